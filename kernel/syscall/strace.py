"""Showing system calls as strace does: name, arguments, result.

    [1] openat(AT_FDCWD, "/etc/passwd", O_RDONLY, 0) = -1 ENOENT (No such file or directory)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kernel.errno import Errno, SysError
from kernel.process.memory import read_string, read_user

from .arguments import KINDS
from .registers import signed

if TYPE_CHECKING:
    from kernel.process.task import Task

    from .table import SystemCall

SHOWN = 32
"""Bytes of a string that are shown."""
AT_FDCWD = -100


class Strace:
    """Tells `emit` a line for each system call, when it is over."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._begun: dict[Task, str] = {}

    def begin(self, task: Task, call: SystemCall, arguments: tuple[int, ...]) -> None:
        """A call begins: its arguments are shown as they are now."""
        shown = [self._argument(task, letter, arguments, index) for index, letter in enumerate(call.arguments)]
        self._begun[task] = f"[{task.tid}] {call.name}({', '.join(shown)})"

    def end(self, task: Task, result: object) -> None:
        """It is over; `result` is None for one that does not return."""
        line = self._begun.pop(task, None)
        if line is not None:
            self._emit(f"{line} = {_result(result)}")

    def _argument(self, task: Task, letter: str, arguments: tuple[int, ...], index: int) -> str:
        value = arguments[index]
        if letter == "f":
            number = signed(value, 32)
            return "AT_FDCWD" if number == AT_FDCWD else str(number)
        if letter == "d":
            return str(signed(value))
        if letter in KINDS:
            return KINDS[letter](value)
        if letter == "s" and value:
            try:
                return _quoted(read_string(task.process.space, value))
            except SysError:
                return f"{value:#x}"
        if letter == "b" and value:
            try:
                size = arguments[index + 1]
                return _quoted(read_user(task.process.space, value, min(size, SHOWN)), size > SHOWN)
            except (SysError, IndexError):
                return f"{value:#x}"
        return f"{value:#x}" if value else "NULL"


def _quoted(data: bytes, more: bool = False) -> str:
    text = data[:SHOWN].decode("latin-1")
    shown = "".join(c if " " <= c <= "~" and c not in '"\\' else c.encode("unicode_escape").decode() if c != '"'
                    else '\\"' for c in text)
    return f'"{shown}"' + ("..." if more or len(data) > SHOWN else "")


def _result(result: object) -> str:
    if not isinstance(result, int):
        return "?"
    if -4096 < result < 0:
        try:
            error = Errno(-result)
            return f"-1 {error.name} ({error.text})"
        except ValueError:
            return f"-1 errno {-result}"
    return str(result) if result < 1 << 32 else f"{result:#x}"
