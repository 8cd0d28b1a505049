"""info: what there is. Its subjects are a table, too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from emulator import csrs
from emulator.debug import WatchAt
from emulator.errors import RegisterError
from emulator.hart import F_NAMES, X_NAMES
from emulator.stop import CAUSES, INTERRUPTS

from ..backtrace import backtrace
from ..command import Command, CommandTable, split_line
from ..context import SATP_MODES, harts, register_lines
from ..errors import DebugError
from ..instructions import named
from ..stopping import place, source_line

if TYPE_CHECKING:
    from ..session import Session

MOST_SYMBOLS = 200
INTERRUPT = 1 << 63


def registers(session: Session, text: str) -> None:
    names = tuple(name.lstrip("$") for name in text.split()) or X_NAMES[1:]
    for name in names:
        session.scope.register(name)
    for line in register_lines(session, names):
        session.out(line)


def all_registers(session: Session, text: str) -> None:
    registers(session, "")
    for line in register_lines(session, (*F_NAMES, "priv")):
        session.out(line)
    csr(session, "")


def csr(session: Session, text: str) -> None:
    wanted = text.lower().lstrip("$")
    shown = 0
    for _, name in sorted(csrs.NAMES.items()):
        if wanted not in name:
            continue
        try:
            value = session.hart.read_csr(name)
        except RegisterError:
            continue
        session.out(f"{name:14} {value:#018x}{_decoded(name, value)}")
        shown += 1
    if not shown:
        raise DebugError(f"no CSR has {text!r} in its name")


def _decoded(name: str, value: int) -> str:
    if name in ("mcause", "scause"):
        code = value & ~INTERRUPT
        known = INTERRUPTS if value & INTERRUPT else CAUSES
        return f"  {known.get(code, 'reserved')}"
    if name == "satp":
        return f"  {SATP_MODES.get(value >> 60, f'mode {value >> 60}')}, root {(value & (1 << 44) - 1) << 12:#x}"
    return ""


def breakpoints(session: Session, text: str) -> None:
    if not len(session.points):
        session.out("there are no breakpoints or watchpoints")
        return
    session.out("num  kind        on   hits  what")
    for each in session.points:
        also = (f", hart {each.hart}" if each.hart is not None else "") + (
            f" if {each.condition}" if each.condition else "") + (", once" if each.temporary else "")
        session.out(f"{each.number:<4} {each.kind:<11} {'yes' if each.enabled else 'no':<4} {each.hits:<5} "
                    f"{each.what}{also}")


def harts_(session: Session, text: str) -> None:
    for line in harts(session):
        session.out(line)


def stages(session: Session, text: str) -> None:
    if not session.target.driven:
        raise DebugError("only Hartwell's own kernel boots in stages, and another guest is running here")
    from kernel.boot.stages import STAGES

    reached = {frame.mark.name: frame for frame in session.target.history
               if frame.mark is not None and frame.position <= session.target.end}
    for stage in STAGES:
        frame = reached.get(f"stage:{stage.name}")
        if frame is None:
            when = "not begun"
        else:
            when = f"begun after {frame.snapshot.instructions:,} instructions"
            when += "" if frame.position <= session.target.position else ", ahead of here"
        session.out(f"{stage.name:24} {when:48} {stage.title}")


def history(session: Session, text: str) -> None:
    target = session.target
    end = target.end_instructions
    session.out(f"the history begins after {target.history.first.snapshot.instructions:,} instructions, and ends "
                f"after {end:,}")
    session.out(f"the machine is {place(session)}, at cycle {session.machine.clock:,} ({target.position})")
    if target.ended is not None:
        session.out(f"the run has ended: {target.ended}")
    for name, position in session.places.items():
        session.out(f"{name} is {position}")


def symbols(session: Session, text: str) -> None:
    try:
        pattern = re.compile(text)
    except re.error as why:
        raise DebugError(f"{text!r} is no regular expression: {why}") from None
    found = [symbol for symbol in session.programs.symbols if pattern.search(symbol.name)]
    if not found:
        raise DebugError(f"no symbol matches {text!r}" if text else "there are no symbols; symbol-file adds some")
    for symbol in found[:MOST_SYMBOLS]:
        session.out(f"{symbol.address:#018x} {symbol.size or '-':>6}  {symbol.name}")
    if len(found) > MOST_SYMBOLS:
        session.out(f"... and {len(found) - MOST_SYMBOLS:,} more: info symbols REGEX shows fewer")


def mem(session: Session, text: str) -> None:
    machine = session.machine
    rows = [(machine.ram.rom.base, machine.ram.rom.size, "boot ROM")]
    rows += [(bank.base, bank.size, "RAM") for bank in machine.ram.banks]
    rows += [(device.base, device.size, device.name) for device in machine.devices]
    for base, size, what in sorted(rows):
        session.out(f"{base:#014x}-{base + size - 1:#014x}  {what}")
    for image in session.programs.images:
        for part in image.segments:
            linked = f", linked at {part.virtual:#x}" if part.virtual != part.address else ""
            session.out(f"{part.address:#014x}-{part.end - 1:#014x}  {image.name} {part.flags}{linked}")


def frame(session: Session, text: str) -> None:
    calls = backtrace(session.hart, session.programs)
    call = calls[min(session.frame_number, len(calls) - 1)]
    session.out(f"frame {session.frame_number} of {len(calls)}: pc {named(session, call.pc)}, sp {call.sp:#x}, "
                f"found by {call.how.value}")
    if session.frame_number + 1 < len(calls):
        session.out(f"returns to {named(session, calls[session.frame_number + 1].pc)}")


def display(session: Session, text: str) -> None:
    for each in session.displays:
        session.out(f"{each.number}: {'/' + each.format + ' ' if each.format else ''}{each.text}")
    if not session.displays:
        session.out("there are no displays")


def line(session: Session, text: str) -> None:
    for shown in source_line(session) or [f"there is no source line at {named(session, session.hart.pc)}"]:
        session.out(shown)


def watchpoints(session: Session, text: str) -> None:
    held = [each for each in session.points if any(isinstance(point.place, WatchAt) for point in each.points)]
    if not held:
        session.out("there are no watchpoints")
    for each in held:
        session.out(f"{each.number:<4} {'yes' if each.enabled else 'no':<4} {each.hits:<5} {each.what}")


SUBJECTS = CommandTable((("Subjects", (
    Command("registers", "registers [NAME ...]", "x1 to x31 and pc, or those named", "", registers, ("r",)),
    Command("all-registers", "all-registers", "floating point and CSRs, too", "", all_registers),
    Command("csr", "csr [PART]", "control and status registers, those with PART in their name", "", csr),
    Command("breakpoints", "breakpoints", "breakpoints, watchpoints and marks to stop at", "", breakpoints, ("b",)),
    Command("watchpoints", "watchpoints", "watchpoints only", "", watchpoints),
    Command("harts", "harts", "where each hart is", "", harts_, ("threads",)),
    Command("stages", "stages", "the stages of the kernel's boot, and when each began", "", stages),
    Command("history", "history", "from where to where the history goes, and where in it the machine is", "", history),
    Command("symbols", "symbols [REGEX]", "symbols of the programs, those that match", "", symbols),
    Command("mem", "mem", "the physical memory map: RAM, devices, programs", "", mem),
    Command("frame", "frame", "the selected frame of the backtrace", "", frame),
    Command("display", "display", "what is shown at every stop", "", display),
    Command("line", "line", "the source line at pc", "", line),
)),), "subject of info")

HELP = "SUBJECT is one of\n" + "\n".join(f"  {each.usage:22} {each.summary}" for each in SUBJECTS)


def info(session: Session, text: str) -> None:
    if not text:
        raise DebugError(f"info about what? Expected one of {', '.join(each.name for each in SUBJECTS)}")
    word, rest = split_line(text)
    SUBJECTS.find(word).run(session, rest)
