"""Arguments of system calls by name: flags, signals and requests, as strace(1) writes them.

Sources: Linux, include/uapi/asm-generic: fcntl.h, mman.h, mman-common.h, ioctls.h, signal.h; include/uapi/linux:
fcntl.h, sched.h, wait.h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kernel.process.signals import Signal

Names = Sequence[tuple[int, str]]

OPEN: Final[Names] = (
    (0o100, "O_CREAT"), (0o200, "O_EXCL"), (0o400, "O_NOCTTY"), (0o1000, "O_TRUNC"), (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"), (0o4010000, "O_SYNC"), (0o20200000, "O_TMPFILE"), (0o200000, "O_DIRECTORY"),
    (0o400000, "O_NOFOLLOW"), (0o2000000, "O_CLOEXEC"), (0o10000000, "O_PATH"), (0o100000, "O_LARGEFILE"))
ACCESS: Final = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")
PROT: Final[Names] = ((1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC"))
MAP: Final[Names] = (
    (1, "MAP_SHARED"), (2, "MAP_PRIVATE"), (0x10, "MAP_FIXED"), (0x20, "MAP_ANONYMOUS"), (0x4000, "MAP_NORESERVE"),
    (0x8000, "MAP_POPULATE"), (0x20000, "MAP_STACK"), (0x100000, "MAP_FIXED_NOREPLACE"))
CLONE: Final[Names] = (
    (0x100, "CLONE_VM"), (0x200, "CLONE_FS"), (0x400, "CLONE_FILES"), (0x800, "CLONE_SIGHAND"), (0x4000, "CLONE_VFORK"),
    (0x8000, "CLONE_PARENT"), (0x10000, "CLONE_THREAD"), (0x40000, "CLONE_SYSVSEM"), (0x80000, "CLONE_SETTLS"),
    (0x100000, "CLONE_PARENT_SETTID"), (0x200000, "CLONE_CHILD_CLEARTID"), (0x400000, "CLONE_DETACHED"),
    (0x1000000, "CLONE_CHILD_SETTID"))
WAIT: Final[Names] = ((1, "WNOHANG"), (2, "WUNTRACED"), (8, "WCONTINUED"))
AT: Final[Names] = ((0x100, "AT_SYMLINK_NOFOLLOW"), (0x200, "AT_REMOVEDIR"), (0x400, "AT_SYMLINK_FOLLOW"),
                    (0x1000, "AT_EMPTY_PATH"))
MASK_HOW: Final = ("SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK")
IOCTLS: Final = {0x5401: "TCGETS", 0x5402: "TCSETS", 0x5403: "TCSETSW", 0x5404: "TCSETSF", 0x540F: "TIOCGPGRP",
                 0x5410: "TIOCSPGRP", 0x5413: "TIOCGWINSZ"}


def bits(value: int, names: Names, none: str = "0") -> str:
    """The flags in `value`, what has no name in hex; `none` if there are none."""
    shown = []
    for bit, name in sorted(names, key=lambda each: -each[0].bit_count()):
        if value & bit == bit:
            shown.append((bit, name))
            value &= ~bit
    order = {name: place for place, (_, name) in enumerate(names)}
    words = [name for _, name in sorted(shown, key=lambda each: order[each[1]])]
    return "|".join([*words, *([f"{value:#x}"] if value else [])]) or none


def signal(number: int) -> str:
    """SIGTERM; a number for those without a name."""
    return f"SIG{Signal(number).name}" if number in Signal._value2member_map_ else str(number)


def _open(value: int) -> str:
    rest = bits(value & 0xFFFF_FFFF & ~3, OPEN, "")
    return ACCESS[value & 3] + (f"|{rest}" if rest else "")


def _clone(value: int) -> str:
    flags = bits(value & 0xFFFF_FF00, CLONE, "")
    return "|".join(word for word in (flags, signal(value & 0xFF) if value & 0xFF else "") if word) or "0"


KINDS: Final[dict[str, Callable[[int], str]]] = {
    "o": _open, "m": lambda value: bits(value, PROT, "PROT_NONE"), "M": lambda value: bits(value, MAP), "c": _clone,
    "w": lambda value: bits(value & 0xFFFF_FFFF, WAIT), "t": lambda value: bits(value & 0xFFFF_FFFF, AT),
    "g": signal, "i": lambda value: IOCTLS.get(value & 0xFFFF_FFFF, f"{value:#x}"),
    "h": lambda value: MASK_HOW[value] if value < len(MASK_HOW) else str(value),
    "a": lambda value: f"0{value & 0xFFFF_FFFF:02o}", "x": lambda value: f"{value:#x}",
}
"""How a letter of the table (kernel.syscall.table) writes an argument."""
