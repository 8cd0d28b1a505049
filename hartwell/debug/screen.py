"""What the debugger and the guest print, on one standard output.

        batch          whole lines of both; what the guest has not ended with a newline waits for it, or for the end
        interactive    the guest's output as it comes; the debugger begins a new line where the guest left one open
"""

from __future__ import annotations

import codecs
import sys


class Screen:
    """Standard output for a session: `say` for lines of the debugger, `guest` for the guest's bytes."""

    def __init__(self, *, interactive: bool) -> None:
        self._interactive = interactive
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._open = ""  # the guest's line so far
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def say(self, line: str) -> None:
        """A line of the debugger's."""
        if self._interactive and self._open:
            self._open = ""
            sys.stdout.write("\n")
        print(line, flush=self._interactive)

    def guest(self, data: bytes) -> None:
        """Output of the guest's console."""
        text = self._decoder.decode(data)
        if self._interactive:
            self._open = (self._open + text).rpartition("\n")[2]
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        lines, newline, self._open = (self._open + text).rpartition("\n")
        sys.stdout.write((lines + newline).replace("\r", ""))

    def end(self) -> None:
        """The last line of the guest's, if it has no end."""
        text = self._open + self._decoder.decode(b"", final=True)
        self._open = ""
        if text:
            print(text)
        sys.stdout.flush()
