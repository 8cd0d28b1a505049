"""The other CPUs: starting them, and having an idle one do something.

        the CPU that Python runs as          CPU n
        start ── hart_start ──────────────>  entry, its own stack, the kernel's satp ── SERVICE
                                             IDLE: wfi
        call  ── queue, IPI ──────────────>  wakes ── SERVICE: the command, then its results
              <── IPI ─────────────────────  IDLE again
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kernel.errors import BootError

from .abi import Command
from .errors import CpuNotReady
from .sbi import Sbi
from .service import Job, Service


class Smp:
    """All CPUs of a kernel; `cpu()` is the one that its Python code runs as, `service.cpu` by default.

    `call` is Service.call, and reaches parked CPUs too.
    """

    def __init__(self, service: Service, cpu: Callable[[], int] | None = None) -> None:
        self.service = service
        self.cpu = cpu or (lambda: service.cpu)
        self.sbi = Sbi(self, service.port, service.header, self.cpu)

    @property
    def online(self) -> list[int]:
        """The CPUs that have started."""
        return self.service.online

    @property
    def others(self) -> list[int]:
        """The harts of the CPUs that have started, but for the one that Python runs as."""
        me = self.cpu()
        return [self.service.hart(cpu).id for cpu in self.service.online if cpu != me]

    def start_all(self, satp: int, harts: Iterable[int] | None = None) -> list[int]:
        """`start` each of `harts` (all of the machine's by default) that has not started; their CPU numbers."""
        service = self.service
        known = {service.hart(cpu).id for cpu in service.online}
        numbers = range(len(service.machine.harts)) if harts is None else harts
        return [self.start(hart, satp) for hart in numbers if hart not in known]

    def start(self, hart: int, satp: int) -> int:
        """Start a hart with `satp`, under which the kernel's text must be mapped, and park it; its CPU number.

        Raises BootError if it is a CPU already or no number is left, SbiError if the firmware refuses.
        """
        service = self.service
        online = service.online
        if hart in {service.hart(cpu).id for cpu in online}:
            raise BootError(f"hart {hart} has started already, as CPU {service.cpu_of(hart)}")
        cpu = len(online)
        if cpu >= service.header.max_cpus:
            raise BootError(f"no CPU number is left for hart {hart}: the kernel's text has {service.header.max_cpus}")
        service.port.store(service.header.cpu_satp, satp)
        job = self._queue(cpu, Command.NOP)  # at once: the hart may get here before hart_start returns
        try:
            self.sbi.hart_start(hart, service.header.secondary_start, cpu)
        except BaseException:
            service.jobs.pop(cpu, None)
            raise
        self._finish(cpu, job)
        return cpu

    def call(self, cpu: int, command: Command, *args: int) -> tuple[int, int]:
        """Have a CPU do `command`; its results. A parked CPU is woken for it and parked again."""
        service = self.service
        if service.ready(cpu):
            return service.call(cpu, command, *args)
        return self._wake(cpu, self._queue(cpu, command, *args))

    def summon(self, cpu: int) -> None:
        """Make a parked CPU ready: for `Service.begin_user`, or to have Python code run as that CPU."""
        if not self.service.ready(cpu):
            self._wake(cpu, self._queue(cpu, Command.NOP, keep=True))

    def together(self, calls: Mapping[int, tuple[int, ...]]) -> dict[int, tuple[int, int]]:
        """Have parked CPUs call guest code at once, each what `calls` says (address, arguments); their results.

        The CPU that waits is none of them. CpuNotReady if one of them is not parked.
        """
        service, waker = self.service, self._waker()
        for cpu in calls:
            if service.ready(cpu):
                service.rest(cpu)
        jobs: dict[int, Job] = {}
        mask = 0
        for cpu, arguments in calls.items():
            jobs[cpu] = self._queue(cpu, Command.CALL, *arguments)
            mask |= 1 << service.hart(cpu).id
        try:
            while any(job.results is None for job in jobs.values()):
                service.call(waker, Command.IDLE, mask)
                mask = 0
        except BaseException:
            for cpu in calls:
                service.jobs.pop(cpu, None)
            raise
        return {cpu: job.results for cpu, job in jobs.items() if job.results is not None}

    def _queue(self, cpu: int, command: Command, *args: int, keep: bool = False) -> Job:
        """Have the CPU find a command when it next asks, and wake us afterwards. CpuNotReady if it has one."""
        service = self.service
        if cpu in service.jobs:
            hart = service.hart(cpu)
            raise CpuNotReady(f"CPU {cpu} is still busy with {service.jobs[cpu].command.name}", hart.id, hart.pc)
        job = service.jobs[cpu] = Job(command, args, service.hart(self._waker()).id, keep)
        return job

    def _wake(self, cpu: int, job: Job) -> tuple[int, int]:
        """Have a parked CPU do the `job` that is queued for it."""
        return self._finish(cpu, job, 1 << self.service.hart(cpu).id)

    def _waker(self) -> int:
        """The CPU that waits for a parked one: a ready CPU, the one that Python runs as if it is."""
        service = self.service
        for cpu in (self.cpu(), *service.online):
            if service.ready(cpu):
                return cpu
        hart = service.hart(self.cpu())
        raise CpuNotReady("no CPU waits for a command", hart.id, hart.pc)

    def _finish(self, cpu: int, job: Job, mask: int = 0) -> tuple[int, int]:
        """Wait for `job`, after an IPI to the harts in `mask`; its results. The IPI that ends it is always taken."""
        service, waker = self.service, self._waker()
        try:
            while True:
                service.call(waker, Command.IDLE, mask)
                if job.results is not None:
                    return job.results
                mask = 0
        except BaseException:
            if not job.begun:
                service.jobs.pop(cpu, None)
            elif service.ready(cpu):  # it has trapped: put it to sleep as it is, and have the waker back
                service.jobs.pop(cpu, None)
                service.park(cpu, waker)
            raise
