"""What is said at a stop: why the machine stands still, where, and what the user has asked to see.

        breakpoint 1: hart 0 reached 0x80200000 <_start>
        hart 0, S-mode, after 4,153 instructions
         => 0x80200000 <_start>:  auipc  sp, 8
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.debug import HostWrote, ProgramEnded, WatchAt
from emulator.hart import PRIVILEGE_NAMES
from emulator.stop import Breakpoint, HistoryBegins, HostCall, Interrupted, Marked, Stepped, Stop, Watch, Watchpoint

from .context import context
from .instructions import around, named
from .marks import at_mark, by
from .palette import Role

if TYPE_CHECKING:
    from .numbered import Numbered
    from .session import Session

LONGEST = 32
"""Bytes of a watched piece of memory that are shown."""


def arrived(session: Session, stop: Stop) -> None:
    """Say that the machine has stopped, look at the hart that it is about, and delete temporary breakpoints."""
    target = session.target
    hart = getattr(stop, "hart", None)
    if hart is None and not isinstance(stop, Stepped):
        hart = session.machine.engine.current_hart
    if hart is not None:
        session.hart_number = hart
    session.frame_number = 0
    session.listing = None
    hit = session.points.of(target.points.at(stop))
    for line in reason(session, stop, hit):
        session.out(line)
    for numbered in hit:
        if numbered.temporary:
            session.points.remove(numbered)
    session.watched = watched_bytes(session)
    show_place(session)
    if isinstance(stop, Marked):
        for line in at_mark(session, stop.mark):
            session.out(line)


def show_place(session: Session) -> None:
    """The place where the hart is, or the whole context, and the displays."""
    from .showing import show_displays

    if session.settings.context:
        for line in context(session):
            session.out(line)
    else:
        session.out(where(session))
        for line in [*source_line(session), *around(session, 0, 1)]:
            session.out(line)
    show_displays(session)


def where(session: Session) -> str:
    """The hart, its privilege, and the place in the run, in one line."""
    hart = session.hart
    mode = PRIVILEGE_NAMES.get(hart.priv, str(hart.priv))
    waits = ", waiting in WFI" if hart.waiting else ""
    return f"hart {hart.id}, {mode}-mode{waits}, {place(session)}"


def place(session: Session) -> str:
    """`after 4,153 instructions`, and how far the end is if this is the past."""
    here = f"after {session.machine.instructions:,} instructions"
    return f"{here}, in the past" if session.target.in_past else here


def source_line(session: Session) -> list[str]:
    """The source line at pc, if DWARF tells."""
    line = session.programs.line(session.hart.pc)
    if line is None:
        return []
    return [f"{line.file}:{line.line}" + (f"  {line.text.strip()}" if line.text is not None else "")]


def reason(session: Session, stop: Stop, hit: list[Numbered]) -> list[str]:
    """Why the machine has stopped, in lines; none for a step that was asked for."""
    if isinstance(stop, Stepped) or type(stop) is Stop:
        return []
    numbers = ", ".join(f"{'temporary ' * each.temporary}{each.kind} {each.number}" for each in hit)
    head = f"{numbers}: " if numbers else ""
    for kind, say in _REASONS:
        if isinstance(stop, kind):
            return [session.paint(Role.HEADING, head + say(session, stop)), *values(session, stop)]
    return [session.paint(Role.HEADING, str(stop)), "the run is over; rc, rs, rn and goto go back from here"]


def _breakpoint(session: Session, stop: Stop) -> str:
    assert isinstance(stop, Breakpoint)
    return f"hart {stop.hart} reached {named(session, stop.pc)}"


def _watchpoint(session: Session, stop: Stop) -> str:
    assert isinstance(stop, Watchpoint)
    did = "stored" if stop.store else "loaded"
    return (f"hart {stop.hart} {did} {stop.size} byte{'s' * (stop.size > 1)} at {stop.address:#x}, "
            f"by the instruction at {named(session, stop.pc)}")


def _host_wrote(_session: Session, stop: Stop) -> str:
    assert isinstance(stop, HostWrote)
    where = f" {by(stop.mark)}" if stop.mark is not None else ""
    return f"the kernel's Python code{where} wrote to {stop.watch.first:#x}"


def _ended(_session: Session, stop: Stop) -> str:
    assert isinstance(stop, ProgramEnded)
    said = getattr(stop.result, "said", None)
    if said is not None:  # a replay's program
        return f"{said}. rc, rs, rn and goto go back from here"
    if stop.error is None:
        return "the kernel is ready: its boot is over. rc, rs, rn and goto go back from here"
    return (f"the kernel's boot ended with {type(stop.error).__name__}: {stop.error}; "
            "rc, rs, rn and goto go back from here")


def _host_call(session: Session, stop: Stop) -> str:
    return f"{stop}: the kernel in this snapshot does nothing without its Python; it can be looked at"


_REASONS: tuple[tuple[type[Stop], Callable[[Session, Stop], str]], ...] = (
    (Breakpoint, _breakpoint),
    (Watchpoint, _watchpoint),
    (HostWrote, _host_wrote),
    (Marked, lambda _session, stop: str(stop)),
    (Interrupted, lambda _session, stop: "interrupted" if type(stop) is Interrupted else str(stop)),
    (HistoryBegins, lambda _session, stop: "the history begins here"),
    (ProgramEnded, _ended),
    (HostCall, _host_call),
)
"""What is said of each kind of stop; the ends of a machine that runs by itself say it themselves."""


def values(session: Session, stop: Stop) -> list[str]:
    """What the watched bytes held when the machine last stood still, and what they hold now."""
    watch = getattr(stop, "watch", None)
    if not isinstance(watch, Watch):
        return []
    before, now = session.watched.get(watch), watched_bytes(session).get(watch)
    if before is None or now is None:
        return []
    if before == now:
        return [f"  {watch.first:#x} holds {shown(now)}"]
    return [f"  {watch.first:#x} held {shown(before)}, holds {shown(now)}"]


def shown(data: bytes) -> str:
    """A number for up to eight bytes, hexadecimal bytes for more."""
    if not data:
        return "what cannot be read"
    if len(data) <= 8:
        return f"{int.from_bytes(data, 'little'):#x}"
    return data[:LONGEST].hex(" ") + " ..." * (len(data) > LONGEST)


def watched_bytes(session: Session) -> dict[Watch, bytes]:
    """What all watched memory holds now; nothing for what is not memory."""
    found: dict[Watch, bytes] = {}
    for point in session.target.points:
        if isinstance(point.place, WatchAt):
            watch = point.place.watch
            first = session.hart.translate(watch.first) if watch.virtual else watch.first
            view = None if first is None else session.machine.ram.view(first, watch.size)
            if view is not None:
                found[watch] = view.tobytes()
    return found
