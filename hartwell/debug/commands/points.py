"""Commands that say where to stop."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.debug import WatchAt
from emulator.errors import EmulatorError
from emulator.stop import Stop

from .. import places
from ..arguments import numbers
from ..command import Command, Completes
from ..errors import DebugError
from ..expression import Expression, ExpressionError
from ..harts import hart_number
from ..stopping import watched_bytes
from ..watching import watch_of

if TYPE_CHECKING:
    from emulator.debug import BreakAt, MarkAt

    from ..numbered import Numbered
    from ..session import Session

_CONDITION = re.compile(r"(?:(.*)\s)?if\b(.*)", re.S)
_HART = re.compile(r"(?:(.*)\s)?(?:hart|thread)\s+(\S+)\s*", re.S)


def break_(session: Session, text: str) -> None:
    set_break(session, text, temporary=False)


def tbreak(session: Session, text: str) -> None:
    set_break(session, text, temporary=True)


def set_break(session: Session, text: str, *, temporary: bool) -> None:
    """A breakpoint at a place, perhaps for one hart, perhaps with a condition."""
    place, condition, hart = _split(session, text)
    found = places.find(session, place)
    is_mark = not found.addresses
    made = session.points.add("mark" if is_mark else "breakpoint", found.what)
    made.temporary = temporary
    _arm(session, made, found.places, condition, hart)
    also = f" if {condition}" if condition else ""
    on = f", hart {hart}" if hart is not None else ""
    session.out(f"{'temporary ' * temporary}{made.kind} {made.number} at {made.what}{on}{also}")


def _split(session: Session, text: str) -> tuple[str, str, int | None]:
    """The place, the condition and the hart of a break command."""
    condition, hart = "", None
    match = _CONDITION.fullmatch(text)
    if match is not None:
        text, condition = match[1] or "", match[2].strip()
        if not condition:
            raise DebugError("if what? Expected an expression, such as if $a0 == 3")
    match = _HART.fullmatch(text)
    if match is not None:
        text, hart = match[1] or "", hart_number(session, match[2])
    return text.strip(), condition, hart


def _arm(session: Session, made: Numbered, wanted: tuple[BreakAt | WatchAt | MarkAt, ...], condition: str,
         hart: int | None) -> None:
    """Give a numbered point its points: all, or none, and then it is gone."""
    try:
        made.condition, made.hart = condition, hart
        test = _test(session, condition, hart)
        for place in wanted:
            made.points.append(session.target.points.add(place, test))
    except (EmulatorError, ExpressionError):
        session.points.discard(made)
        raise


def _test(session: Session, condition: str, hart: int | None) -> Callable[[Stop], bool] | None:
    """Whether a stop is one that the user wants; a condition without a value is."""
    if not condition and hart is None:
        return None
    expression = Expression(condition) if condition else None

    def wanted(stop: Stop) -> bool:
        by = getattr(stop, "hart", session.machine.engine.current_hart)
        if hart is not None and by != hart:
            return False
        if expression is None:
            return True
        try:
            return expression.evaluate(session.scope_of(by)) != 0
        except (EmulatorError, ExpressionError):
            return True

    return wanted


def watch(session: Session, text: str) -> None:
    set_watch(session, text, "watch", stores=True, loads=False)


def rwatch(session: Session, text: str) -> None:
    set_watch(session, text, "rwatch", stores=False, loads=True)


def awatch(session: Session, text: str) -> None:
    set_watch(session, text, "awatch", stores=True, loads=True)


def set_watch(session: Session, text: str, command: str, *, stores: bool, loads: bool) -> None:
    """A watchpoint, perhaps for one hart, perhaps with a condition."""
    place, condition, hart = _split(session, text)
    bytes_ = watch_of(session, place, command, stores=stores, loads=loads)
    where = "virtual" if bytes_.virtual else "physical"
    of = {(True, False): "stores to", (False, True): "loads from", (True, True): "accesses to"}[stores, loads]
    made = session.points.add("watchpoint", f"{of} {bytes_.size} byte{'s' * (bytes_.size > 1)} at {where} "
                                            f"{bytes_.first:#x} ({place})")
    _arm(session, made, (WatchAt(bytes_),), condition, hart)
    session.watched = {**session.watched, **watched_bytes(session)}
    session.out(f"watchpoint {made.number}: {made.what}")


def delete(session: Session, text: str) -> None:
    for numbered in _chosen(session, text):
        session.points.remove(numbered)


def enable(session: Session, text: str) -> None:
    for numbered in _chosen(session, text):
        session.points.enable(numbered, True)


def disable(session: Session, text: str) -> None:
    for numbered in _chosen(session, text):
        session.points.enable(numbered, False)


def _chosen(session: Session, text: str) -> list[Numbered]:
    """The points with the numbers that are typed; all of them without any. DebugError if one is missing."""
    return [session.points.get(number) for number in dict.fromkeys(numbers(text))] if text else list(session.points)


def condition(session: Session, text: str) -> None:
    number, _, expression = text.partition(" ")
    chosen = numbers(number)
    if len(chosen) != 1:
        raise DebugError("condition of which breakpoint? Expected its number, and an expression")
    numbered = session.points.get(chosen[0])
    test = _test(session, expression.strip(), numbered.hart)
    numbered.condition = expression.strip()
    for point in numbered.points:
        point.condition = test
    session.out(f"{numbered.kind} {numbered.number} "
                + (f"stops only if {numbered.condition}" if numbered.condition else "stops always"))


_PLACES = """\
PLACE is a symbol (main, main+0x10), an address (0x80200000, *$ra), a source line (hello.c:12, or 12 in the file at
pc), or a mark of Hartwell's own kernel: stage:NAME, before a boot stage, op:NAME, before an operation of its memory
manager, op:NAME:done, behind one; * stands for any name. Nothing is pc. if EXPR stops only if it is not 0, hart N
only on that hart. No memory is changed: the guest cannot find breakpoints, and they cost nothing elsewhere. At most
256."""
_WATCHED = """\
What is watched: a symbol, an address, or {u8}, {u16}, {u32} or {u64} in front of one; LEN in bytes, 8 if nothing
says it. The machine stops behind the access, also one that stores what was there before. Memory that is mapped is
watched where it physically is, whatever address is used; an address that is not mapped is taken for a physical one
if there is memory. Changes by Hartwell's own kernel, in Python, count. At most 32."""

COMMANDS = (
    Command("break", "break [PLACE] [hart N] [if EXPR]", "stop before the instruction at PLACE", _PLACES,
            break_, ("b", "br"), Completes.PLACE),
    Command("tbreak", "tbreak [PLACE] [hart N] [if EXPR]", "the same, once", _PLACES,
            tbreak, ("tb",), Completes.PLACE),
    Command("hbreak", "hbreak [PLACE] [hart N] [if EXPR]", "the same as break: all are the machine's", _PLACES,
            break_, ("hb",), Completes.PLACE),
    Command("watch", "watch ADDR [LEN] [if EXPR]", "stop behind stores to memory", _WATCHED,
            watch, (), Completes.EXPRESSION),
    Command("rwatch", "rwatch ADDR [LEN] [if EXPR]", "stop behind loads from memory", _WATCHED,
            rwatch, (), Completes.EXPRESSION),
    Command("awatch", "awatch ADDR [LEN] [if EXPR]", "stop behind loads and stores", _WATCHED,
            awatch, (), Completes.EXPRESSION),
    Command("delete", "delete [N ...]", "delete breakpoints, all if no number is given", "Ranges, too: delete 2-4.",
            delete, ("d", "del")),
    Command("enable", "enable [N ...]", "stop there again", "", enable),
    Command("disable", "disable [N ...]", "do not stop there for now", "", disable),
    Command("condition", "condition N [EXPR]", "stop at breakpoint N only if EXPR is not 0; without EXPR, always", """\
A condition that has no value when it is asked for stops.""", condition, ("cond",), Completes.EXPRESSION),
)
