"""The commands together, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from hartwell import __version__

from .commands import Commands
from .status import BROKEN_PIPE, FAILED, INTERNAL, INTERRUPTED, USAGE, CommandError, debugging, fail, fail_internally

app = typer.Typer(name="hartwell", rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)

# typer has carried its own click since 0.26; the base classes are the same in both.
_UsageError, _ClickException = typer.BadParameter.__mro__[1:3]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hartwell {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def hartwell(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                          help="Print the version and exit.")] = False,
) -> None:
    """A RISC-V machine that boots firmware and kernels, and does the same thing every time.

    It is the virt board that QEMU made common: up to 8 harts, CLINT, PLIC, a UART.
    Software built for that board runs here unchanged.

    [b]hartwell boot[/b]         boots Hartwell's own kernel; the commands below look at its memory.
    [b]hartwell boot hello[/b]   boots a test image; [b]hartwell images[/b] lists them all.
    [b]hartwell debug hello[/b]  steps through it, forwards and backwards.
    [b]hartwell test buddy[/b]   grades an allocator; [b]hartwell lab[/b] has more.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def make() -> Any:
    """The command `hartwell`, as click has it; `commands` makes those below it when they are asked for."""
    group: Any = typer.main.get_command(app)
    group.commands = Commands()
    return group


def run() -> int:
    """Run the command line; every exception ends here, as one line on stderr."""
    _open_standard_streams()
    try:
        code = make()(prog_name="hartwell", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        # typer turns a broken pipe into exit(1), among other things.
        if isinstance(end.__context__, BrokenPipeError):
            return _broken_pipe()
        raise
    except BrokenPipeError:
        return _broken_pipe()
    except KeyboardInterrupt:
        return INTERRUPTED
    except CommandError as error:
        return fail(str(error), USAGE)
    except typer.Abort:
        return INTERRUPTED
    except MemoryError:
        return fail("the host has not enough memory for this machine; try a smaller -m", INTERNAL)
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    from emulator.errors import DeviceFailedError, EmulatorError, EngineError, NativeCodeError

    if isinstance(error, _UsageError):
        where = getattr(error, "ctx", None)
        command = where.command_path if where is not None else "hartwell"
        return fail(f"{_one_line(error)} ({command} --help shows how)", USAGE)
    if isinstance(error, _ClickException):
        return fail(_one_line(error), USAGE)
    if debugging():
        return fail_internally(error)
    if isinstance(error, DeviceFailedError | EngineError | NativeCodeError):
        return fail(str(error), INTERNAL)
    if isinstance(error, _raised("hartwell.lab.errors", "SubjectFailed")):  # no mistake of who types the command
        return fail(f"the allocator failed: {error}", FAILED)
    if isinstance(error, EmulatorError):
        return fail(str(error), USAGE)
    if isinstance(error, _raised("kernel.errors", "KernelError")):
        return fail(str(error), INTERNAL)
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        return fail(f"{what}{error.strerror or error}", INTERNAL)
    return fail_internally(error)


def _raised(module: str, name: str) -> type[Exception]:
    """The exception `name` of a module, if that was ever imported."""
    kind: type[Exception] = getattr(sys.modules.get(module), name, CommandError)
    return kind


def _one_line(error: Exception) -> str:
    """What typer says, as our errors are written: no capital, no full stop, one line."""
    text = " ".join(str(getattr(error, "format_message", lambda: error)()).split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _broken_pipe() -> int:
    """Whoever read our output is gone: end quietly, and keep Python from flushing into the pipe once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return BROKEN_PIPE


def _open_standard_streams() -> None:
    """Give closed standard streams to /dev/null, lest a file that we open gets their number."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w", closefd=False))
