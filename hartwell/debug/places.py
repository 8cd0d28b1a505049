"""Places as users type them: where to break, where to run to.

        main   main+0x10   *0x80200000   0x80200000   *$ra      addresses, by expressions
        hello.c:12   12                                         a source line; a number alone is in the file at pc
        (nothing)                                               the pc of the selected frame
        stage:heap   op:frame_alloc   op:heap_alloc:done        marks of Hartwell's own kernel; stage:* is all stages
        operation:3                                             a mark of a replay of the allocator lab
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from emulator.debug import BreakAt, MarkAt

from .errors import DebugError
from .expression import evaluate

if TYPE_CHECKING:
    from .session import Session

ADDRESS = (1 << 64) - 1
_LINE = re.compile(r"(?:(.+):)?(\d+)")
_NAME = re.compile(r"[A-Za-z_.$][\w.$]*")


@dataclass(frozen=True)
class Places:
    """`what` was asked for, as lists show it, and where that is."""

    what: str
    places: tuple[BreakAt | MarkAt, ...]

    @property
    def addresses(self) -> list[int]:
        return [place.address for place in self.places if isinstance(place, BreakAt)]


def mark_names() -> list[str]:
    """All marks that our kernel sets, in order."""
    from kernel.boot.stages import STAGES
    from kernel.mm.operations import OperationKind

    return [*(f"stage:{stage.name}" for stage in STAGES),
            *(f"op:{kind.value}{done}" for kind in OperationKind for done in ("", ":done"))]


def find(session: Session, text: str) -> Places:
    """The places that `text` means; DebugError or ExpressionError if it means none."""
    text = text.strip()
    if text.startswith(("stage:", "op:", "operation:")):
        return _marks(session, text)
    if not text:
        return _addresses(session, [session.scope.register("pc")])
    line = _LINE.fullmatch(text)
    if line is not None and (line[1] is None or not line[1].endswith(":")):
        return _lines(session, line[1], int(line[2]))
    value = evaluate(text.removeprefix("*"), session.scope) & ADDRESS
    return _addresses(session, _everywhere(session, text, value) if _NAME.fullmatch(text) else [value])


def address(session: Session, text: str) -> int:
    """The one address that an expression means."""
    return evaluate(text, session.scope) & ADDRESS


def _addresses(session: Session, addresses: list[int]) -> Places:
    name = session.programs.format(addresses[0])
    what = f"{addresses[0]:#x}" if name.startswith("0x") else f"{addresses[0]:#x} <{name}>"
    if len(addresses) > 1:
        what += " and at " + ", ".join(f"{each:#x}" for each in addresses[1:])
    return Places(what, tuple(BreakAt(each) for each in addresses))


def _everywhere(session: Session, name: str, value: int) -> list[int]:
    """All addresses of a symbol: firmware and kernel may both have one of that name."""
    found = [symbol.address for image in session.programs.images
             if (symbol := image.symbols.find(name)) is not None and symbol.address != value]
    return [each for address in (value, *found) for each in (address, *elsewhere(session, address))]


def elsewhere(session: Session, linked: int) -> list[int]:
    """Where else the code is that was linked at an address: a higher-half kernel begins at its physical one."""
    return [segment.address + linked - segment.virtual
            for image in session.programs.images for segment in image.segments
            if segment.address != segment.virtual and segment.virtual <= linked < segment.virtual + segment.size]


def _lines(session: Session, file: str | None, line: int) -> Places:
    if file is None:
        here = session.programs.line(session.scope.register("pc"))
        if here is None:
            raise DebugError(f"line {line} of which file? There is no source line here; *{line} is an address")
        file = here.file
    addresses = session.programs.addresses_of(file, line)
    if not addresses:
        raise DebugError(f"{file}:{line}: there is no code of such a line in the programs that are loaded")
    return Places(f"{file}:{line}, {', '.join(f'{each:#x}' for each in addresses)}",
                  tuple(BreakAt(each) for each in addresses))


def _marks(session: Session, text: str) -> Places:
    names = [*mark_names(), *session.marks]
    if not any(fnmatchcase(name, text) for name in names):
        kind = text.partition(":")[0]
        known = ", ".join(name for name in names if name.startswith(f"{kind}:") and not name.endswith(":done"))
        also = ", and each with :done" if kind == "op" else ""
        raise DebugError(f"no mark is called {text}: there are {known}{also}")
    if not session.target.driven:
        raise DebugError(f"{text}: only Hartwell's own kernel sets marks, and another guest is running here; "
                         "hartwell debug without an image boots it")
    return Places(text, (MarkAt(text),))
