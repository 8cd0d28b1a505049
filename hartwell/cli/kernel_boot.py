"""`hartwell boot` without an image: Hartwell's own kernel boots, stage by stage."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .report import Run
from .software import Software, load_firmware
from .status import INTERNAL, WATCHDOG, CommandError, Outcome, say
from .tracing import TraceOptions, tracing

if TYPE_CHECKING:
    from emulator.machine import Machine
    from kernel import Kernel
    from kernel.boot.booting import StageReport


@dataclass(frozen=True)
class Limits:
    """When the boot ends anyway: after so many instructions or seconds. It is looked at between stages."""

    instructions: int | None
    seconds: float | None


class _LimitError(Exception):
    """A limit was reached."""


def our_kernel(bios: str | None) -> Software:
    """Our kernel behind the firmware that --bios names, our own by default."""
    if bios == "none":
        raise CommandError("nothing to boot: Hartwell's own kernel needs a firmware, so leave --bios away; or name an "
                           "image that runs in M-mode; start with: hartwell boot --bios none mhello")
    from kernel.text.image import kernel_image

    return Software(load_firmware(bios), kernel_image(), None)


def run(machine: Machine, software: Software, limits: Limits, traced: TraceOptions | None, *, attached: bool) -> Run:
    """Boot the kernel that is loaded in `machine`, if it is `attached` with its console on stdout."""
    from emulator.errors import EmulatorError
    from kernel import Kernel
    from kernel.errors import KernelError

    machine.on_output = _write if attached else None
    stages: list[StageReport] = []
    kernel: Kernel | None = None
    started = time.monotonic()

    def on_stage(report: StageReport) -> None:
        stages.append(report)
        _check(limits, machine, started, report)

    with tracing(machine, software, traced):
        try:
            kernel = Kernel.start(machine, on_stage=on_stage)
            result = Outcome("ready", 0, _summary(kernel))
        except _LimitError as reached:
            result = Outcome("watchdog", WATCHDOG, str(reached))
        except KernelError as why:
            after = f" (after the stage {stages[-1].name})" if stages else ""
            result = Outcome("failed", INTERNAL, f"error: {why}{after}")
        except EmulatorError:
            machine.drain_console()
            raise
    machine.drain_console()
    took = time.monotonic() - started
    say(result.message)
    return Run(None, result, took, tuple(stages))


def _check(limits: Limits, machine: Machine, started: float, report: StageReport) -> None:
    where = f"in the stage {report.name}"
    if limits.instructions is not None and machine.instructions >= limits.instructions:
        raise _LimitError(f"the limit of {limits.instructions:,} instructions was reached {where}")
    if limits.seconds is not None and time.monotonic() - started >= limits.seconds:
        raise _LimitError(f"the limit of {limits.seconds:,.15g} seconds was reached {where}")


def _summary(kernel: Kernel) -> str:
    """The last line: what there is now."""
    from kernel.boot.figures import amount
    from kernel.picture import FrameMap, FrameUsage

    mm, machine = kernel.mm, kernel.machine
    free = FrameUsage.of(FrameMap.read(mm)).free << 12
    cpus = mm.cpu_locals.count
    return (f"kernel ready: {mm.paging.name}, {cpus} CPU{'s' * (cpus > 1)}, {amount(free)} of "
            f"{amount(sum(bank.size for bank in machine.board.banks))} free, {machine.instructions:,} instructions")


def _write(data: bytes) -> None:
    import os

    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]
