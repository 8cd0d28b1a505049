"""`hartwell boot` without an image: Hartwell's own kernel boots, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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


def run(machine: Machine, software: Software, limits: Limits, traced: TraceOptions | None, *, attached: bool,
        watch: Callable[[StageReport], None] | None = None) -> Run:
    """Boot the kernel that is loaded in `machine`, if it is `attached` with its console on stdout.

    `watch` is called after each stage.
    """
    from emulator.errors import EmulatorError
    from kernel.errors import KernelError

    machine.on_output = write if attached else None
    stages: list[StageReport] = []
    kernel: Kernel | None = None
    error: BaseException | None = None
    started = time.monotonic()
    with tracing(machine, software, traced):
        try:
            kernel = start(machine, limits, started, stages, watch)
        except (_LimitError, KernelError, EmulatorError) as why:
            error = why
    machine.drain_console()
    took = time.monotonic() - started
    result = judge(kernel, error, stages)
    say(result.message)
    return Run(None, result, took, tuple(stages))


def start(machine: Machine, limits: Limits, started: float, stages: list[StageReport],
          watch: Callable[[StageReport], None] | None = None) -> Kernel:
    """Boot the kernel that is loaded in `machine`; what each stage reports goes to `stages`, and to `watch`."""
    from kernel import Kernel

    def on_stage(report: StageReport) -> None:
        stages.append(report)
        if watch is not None:
            watch(report)
        _check(limits, machine, started, report)

    return Kernel.start(machine, on_stage=on_stage)


def judge(kernel: object, error: BaseException | None, stages: Sequence[StageReport]) -> Outcome:
    """How the boot ended: with a `kernel`, or an `error`, which is raised if it is no failure of a boot."""
    from kernel import Kernel
    from kernel.errors import KernelError

    if isinstance(kernel, Kernel):
        return Outcome("ready", 0, _summary(kernel))
    if isinstance(error, _LimitError):
        return Outcome("watchdog", WATCHDOG, str(error))
    if isinstance(error, KernelError):
        after = f" (after the stage {stages[-1].name})" if stages else ""
        return Outcome("failed", INTERNAL, f"error: {error}{after}")
    assert error is not None
    raise error


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


def write(data: bytes) -> None:
    """To standard output, at once."""
    import os

    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]
