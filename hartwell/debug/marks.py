"""The Python side at a mark: what the kernel, which runs on the host, has and is about to do.

        stage:NAME                the stages that have ended with what they reported, and what the boot has by now
        op:NAME, op:NAME:done     the operation's fields, and the Python code that asks for it

In the past, the kernel's code is further on: only what was known then, and cannot have changed since, is shown.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import kernel
from emulator.stop import Mark

if TYPE_CHECKING:
    from kernel.boot.booting import Booting

    from .session import Session

KERNEL = Path(kernel.__file__).parent
ADDRESSES = frozenset({"address", "root", "device_tree", "kernel_start", "kernel_end", "paddr", "max_paddr", "satp",
                       "pc", "largest_piece"})
"""Figures and fields that are shown in hexadecimal."""


def at_mark(session: Session, mark: Mark) -> list[str]:
    """What Python knows at `mark`, in lines; in the past only what cannot have changed since."""
    from kernel.boot.booting import Booting

    past, detail = session.target.in_past, mark.detail
    if isinstance(detail, Booting):
        said = _ended(detail, mark.name) + ([] if past else _parts(detail))
    else:
        said = _fields(detail) if is_dataclass(detail) else []
    return [*said, *([] if past else python_stack(session))]


def _ended(boot: Booting, name: str) -> list[str]:
    """The stages that had ended when the boot came to the mark of one."""
    said: list[str] = []
    for report in boot.reports:
        if f"stage:{report.name}" == name:
            break
        said.append(f"  {report.name}, after {report.instructions:,} instructions, cycle {report.cycles:,}")
        said.append("      " + ", ".join(f"{each}={figure(each, value)}" for each, value in report.figures.items()))
        said += [f"      {line}" for line in report.lines]
    return ["stages that have ended:", *said] if said else ["no stage has ended yet"]


def _parts(boot: Booting) -> list[str]:
    """What the boot has by now, to go on with."""
    has = [each.name for each in fields(boot) if each.name not in ("machine", "choices", "reports")
           and hasattr(boot, each.name)]
    return [f"the boot has {', '.join(has)}"] if has else []


def by(mark: Mark) -> str:
    """What the kernel's code did behind a mark: for `last-write` and watchpoints."""
    kind, _, name = mark.name.partition(":")
    if kind == "stage":
        return f"in the stage {name}"
    if name.endswith(":done"):
        stage = getattr(mark.detail, "stage", "")
        return (f"in the stage {stage}, " if stage else "") + f"after {name.removesuffix(':done')} was done"
    return f"in {mark.detail}" if is_dataclass(mark.detail) else f"behind {mark.name}"


def _fields(detail: object) -> list[str]:
    assert is_dataclass(detail)
    found = [(each.name, getattr(detail, each.name)) for each in fields(detail) if each.name != "moment"]
    return [f"  {name:8} {figure(name, value)}" for name, value in found
            if value not in (None, "") and (name != "root" or value)]


def figure(name: str, value: object) -> str:
    """A figure as people read it; nothing in it depends on where Python has an object."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, int):
        return f"{value:#x}" if name in ADDRESSES else f"{value:,}"
    return str(value) if isinstance(value, str) else type(value).__name__


def python_stack(session: Session) -> list[str]:
    """The kernel's Python code that has come here, innermost first."""
    frame, places = session.target.program_frame, list[str]()
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(KERNEL) and path.name != "operations.py":
            places.append(f"  {frame.f_code.co_qualname} ({path.relative_to(KERNEL.parent).as_posix()}:"
                          f"{frame.f_lineno})")
        frame = frame.f_back
    return ["Python:", *places] if places else []
