"""What a stop that nobody waits for means: to the hart, if it made it itself, and to whoever waits for a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from emulator import Deadlock, Exited, Hart, Interrupted, Machine, ResetRequested, Stop, TrapLoop, Watchdog

from .abi import SSTATUS_SIE, SSTATUS_SPIE, SSTATUS_SPP
from .entry import ENTRY
from .errors import CpuDeadlock, CpuError, CpuHung, CpuStopped, CpuTrapLoop, GuestExited, GuestReset

ILLEGAL_INSTRUCTION: Final = 2


def refuse(hart: Hart, instruction: int) -> None:
    """A custom-0 instruction that is not the kernel's: an illegal instruction (privileged specification 4.1).

    The hart goes on at its trap vector. CpuStopped for one of M-mode, and for an ENTRY that is not the first.
    """
    status, privilege = hart.read_csr("sstatus"), hart.priv
    if privilege > 1 or instruction == ENTRY and privilege == 1:
        raise CpuStopped(f"host call {instruction:#x} with privilege {privilege}", hart.id, hart.pc)
    stacked = status & ~(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP)
    stacked |= (SSTATUS_SPIE if status & SSTATUS_SIE else 0) | (SSTATUS_SPP if privilege else 0)
    for name, value in (("sepc", hart.pc), ("scause", ILLEGAL_INSTRUCTION), ("stval", instruction),
                        ("sstatus", stacked), ("priv", 1)):
        hart.write(name, value)
    hart.pc = hart.read_csr("stvec") & ~3


def failure(machine: Machine, stop: Stop, hart: Hart, busy: Sequence[Hart], budget: int) -> BaseException:
    """What the machine's stop means to whoever waits for `hart`: a CpuError, or KeyboardInterrupt.

    `busy` are harts that do something for a parked CPU's job: if `hart` only sleeps until one is done with it, the
    first of them is the one that hangs. `budget` is the instructions that there were.
    """
    if isinstance(stop, Interrupted):
        return KeyboardInterrupt()
    if isinstance(stop, TrapLoop):
        hart = machine.harts[stop.hart]
    kind: type[CpuError] = _FAILURES.get(type(stop), CpuStopped)
    if kind is CpuHung:
        if hart.waiting and busy:
            hart = busy[0]
        return CpuHung(f"no answer within {budget} instructions", hart.id, hart.pc, stop)
    return kind(str(stop), hart.id, hart.pc, stop)


_FAILURES: Final[dict[type[Stop], type[CpuError]]] = {
    Watchdog: CpuHung, TrapLoop: CpuTrapLoop, Deadlock: CpuDeadlock, Exited: GuestExited, ResetRequested: GuestReset,
}
