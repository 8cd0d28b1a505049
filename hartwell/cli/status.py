"""Exit codes, error lines, and what a run's end means to the shell.

        n  the guest's own exit code (modulo 256, but 255 instead of a 0 that is none): 0 is success
        1  Hartwell itself failed; the last line on stderr says how
        2  a mistake on the command line or in a file named there; nothing ran
        3  watchdog: --max-insns or --timeout was reached
        4  deadlock: every hart waits for an interrupt that cannot come
        5  trap loop: a trap handler that traps on its own first instruction
      130  ended by Ctrl-C; at a terminal, Ctrl-A x ends with 0

A guest may exit with 1 to 5, too. `--json` tells them apart.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.stop import Stop

FAILED = 1
"""What the lab's commands end with if an allocator fails."""
INTERNAL, USAGE, WATCHDOG, DEADLOCK, TRAP_LOOP = 1, 2, 3, 4, 5
INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports for a process that SIGPIPE ended."""


class CommandError(Exception):
    """A mistake of the user's; the text is one line that says what to do about it."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: a word for programs, the process's exit code, a line for people."""

    reason: str
    exit_code: int
    message: str

    @property
    def worth_telling(self) -> bool:
        """Whether it is anything else than what the user asked for."""
        return self.exit_code != 0 or self.reason == "reset"


def outcome(stop: Stop) -> Outcome:
    """What `stop` means to a shell."""
    from emulator import stop as stops

    if isinstance(stop, stops.Exited):
        return Outcome("exited", stop.code & 0xFF or (255 if stop.code else 0), str(stop))
    for kind, reason, code in (
        (stops.Watchdog, "watchdog", WATCHDOG), (stops.Deadlock, "deadlock", DEADLOCK),
        (stops.TrapLoop, "trap-loop", TRAP_LOOP), (stops.ResetRequested, "reset", 0),
        (stops.Interrupted, "interrupted", INTERRUPTED),
    ):
        if isinstance(stop, kind):
            return Outcome(reason, code, str(stop))
    return Outcome("stopped", INTERNAL, str(stop))


def say(text: str) -> None:
    """One line on stderr, whatever is in `text` (file names may hold anything), even to a closed pipe."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    with suppress(OSError):
        os.write(2, f"hartwell: {line}\n".encode("utf-8", "backslashreplace"))


def show_command(line: str) -> None:
    """A command for the user to copy: a line of its own on stderr."""
    with suppress(OSError):
        os.write(2, f"  {line}\n".encode("utf-8", "backslashreplace"))


def fail(text: str, code: int) -> int:
    """Say what went wrong; `code`, for the caller to exit with."""
    say(f"error: {text}")
    return code


def fail_internally(error: BaseException) -> int:
    """The last resort, for what no one foresaw: a line instead of a traceback."""
    if debugging():
        traceback.print_exception(error, file=sys.stderr)
    return fail(f"this is a defect of Hartwell, please report it ({type(error).__name__}: {error}); "
                "HARTWELL_DEBUG=1 shows where", INTERNAL)


def debugging() -> bool:
    """Whether the user wants tracebacks."""
    return os.environ.get("HARTWELL_DEBUG", "") not in ("", "0")
