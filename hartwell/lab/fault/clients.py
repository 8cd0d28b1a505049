"""Clients: the kernel itself, when the allocator that it stands on says no to its n-th request.

        boot       all stages of a boot
        map        an address space: 40 pages far apart, with the tables for them; protected, unmapped, dropped
        heap       objects of many sizes on the kernel's heap, its slabs and what is larger than those
        area       kernel virtual areas, mapped and given back
        program    a user program with system calls, from its ELF to its exit

An allocator in Python is given to a kernel; those of its requests that a client makes are counted, and then each is
refused, alone or with all that follow. The client must say so (NoMemory, ENOMEM, a program that is killed) or do
without, and all must be as it was: each frame and each object in one place, every count right (`kernel.mm.check`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from emulator import Board, Machine
from hartwell.lab.subject.catalogue import OWN
from hartwell.lab.subject.python import Factory, PythonSubject
from hartwell.lab.subject.subject import SubjectKind
from kernel import Choices, Kernel
from kernel.cpu.errors import CpuHung
from kernel.errno import Errno, SysError
from kernel.errors import AllocatorHung, KernelError, NoMemory
from kernel.fs.console import Console
from kernel.fs.open_file import Flags
from kernel.fs.ramfs.ramfs import Storage
from kernel.mm import Frame, FrameAllocOptions, Layout, PageFlags, PageProperty, VmReader
from kernel.mm.check import check
from kernel.mm.kspace.kvirt_area import KVirtArea
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.vm_space.vm_space import VmSpace
from kernel.process.userland import Userland, first_files
from kernel.syscall.table import SystemCalls

from .verdict import FaultError, Injection, Verdict

KIND: Final = "alloc"
BOOT: Final = "boot"
PROGRAM: Final = "mmaptest"
SIZES: Final = (8, 24, 64, 200, 512, 1500, 2048, 5000, 40_000)


@dataclass
class Refusals:
    """Which request is refused: number `refused` (from 0), and with `lasting` all behind it; None for none."""

    refused: int | None = None
    lasting: bool = False
    requests: int = 0

    def refuse(self) -> bool:
        """Whether this request is."""
        number, self.requests = self.requests, self.requests + 1
        if self.refused is None:
            return False
        return number >= self.refused if self.lasting else number == self.refused


class Refused(Exception):  # noqa: N818 - what a program's end says, not an error
    """A client did not do what it was to do, and said so."""


def _map(kernel: Kernel) -> None:
    mm = kernel.mm
    with VmSpace(mm) as space, FrameAllocOptions(mm).alloc_frame() as page:
        frame: Frame[Any] = page
        place = range(0, 1 << 38)
        with space.cursor_mut(place) as cursor:
            for number in range(40):
                cursor.jump(number * 0x1234_5000)
                with frame.clone() as mapped:  # still held if it cannot be mapped
                    cursor.map(mapped, PageProperty.new_user(PageFlags.RW))
        with space.cursor_mut(place) as cursor:
            for number in range(0, 40, 3):
                cursor.jump(number * 0x1234_5000)
                cursor.protect_next(PAGE_SIZE, lambda flags, cache: (PageFlags.R, cache))
        with space.cursor_mut(place) as cursor:
            cursor.unmap(20 * 0x1234_5000)


def _heap(kernel: Kernel) -> None:
    heap = kernel.mm.heap
    held: list[tuple[int, Layout]] = []
    try:
        for size in SIZES:
            layout = Layout(size)
            held += ((heap.alloc(layout), layout) for _ in range(max(2 * PAGE_SIZE // size, 2)))
    finally:
        for address, layout in held:
            heap.dealloc(address, layout)


def _area(kernel: Kernel) -> None:
    mm = kernel.mm
    with ExitStack() as stack:
        for pages in (1, 3, 17, 5):
            frames = []
            for _ in range(pages):
                frames.append(stack.enter_context(FrameAllocOptions(mm).alloc_frame()))
            stack.enter_context(KVirtArea.map_frames(mm, (pages + 2) * PAGE_SIZE, PAGE_SIZE, frames,
                                                     PageProperty.new_kernel(PageFlags.RW)))


def _program(kernel: Kernel) -> None:
    from hartwell.programs import find

    found = find(PROGRAM)
    assert found is not None
    console = Console(lambda data: None)
    console.hang_up()
    system = Userland(Storage.FRAMES, console, SystemCalls(), None).start(kernel)
    try:
        file = system.files.open(system.files.place, b"/program", Flags.CREAT | Flags.WRONLY, 0o755)
        try:
            file.write(VmReader.from_slice(found.program()))
        finally:
            file.close()
        status = system.run("/program", [b"program"], [], first_files(system))
    finally:
        system.close()
    if status:
        raise Refused(f"the program was killed by signal {status & 0x7F}" if status & 0x7F else
                      f"the program exited with {status >> 8}")


CLIENTS: Final[dict[str, Callable[[Kernel], None]]] = {"map": _map, "heap": _heap, "area": _area, "program": _program}


def refusing(factory: Factory, kind: SubjectKind, refusals: Refusals) -> Factory:
    """The same allocator, which refuses what `refusals` say. FaultError if it is no class."""
    if not isinstance(factory, type):
        raise FaultError(f"{factory!r}: expected a class, of which one can be made that refuses")

    base: Any = factory

    class Refusing(base):  # type: ignore[misc]
        def alloc(self, layout: Layout) -> object:
            if not refusals.refuse():
                return super().alloc(layout)
            if kind is SubjectKind.FRAME:
                return None
            raise NoMemory("refused, to see what comes of it")

    return Refusing


class Clients:
    """The clients of a subject's allocator, on a kernel of their own; `close` it."""

    def __init__(self, subject: PythonSubject) -> None:
        self._factory, self._kind, self._setting = subject.factory, subject.kind, subject.setting
        self._own = subject.spec in OWN
        self.refusals = Refusals()
        self._kernel: Kernel | None = None
        self._again: Callable[[], None] | None = None
        self._counts: dict[str, int] = {}

    def count(self, client: str) -> int:
        """How many requests a client makes. FaultError if it fails when none is refused."""
        if client not in self._counts:
            verdict, said = self._attempt(client, None, False)
            if verdict is not Verdict.MASKED:
                raise FaultError(f"{client}: fails without any fault: {said}; mend that first")
            self._counts[client] = self.refusals.requests
        return self._counts[client]

    def refuse(self, number: int, client: str, request: int, lasting: bool) -> Injection:
        """Have a client's request refused."""
        count = self.count(client)
        verdict, said = self._attempt(client, request, lasting)
        what = f"request {request}{' and all that follow' if lasting else ''} of {count}"
        return Injection(number, KIND, client, request, what, verdict, said)

    def _attempt(self, client: str, request: int | None, lasting: bool) -> tuple[Verdict, str]:
        refusals = self.refusals
        if client == BOOT:
            self.close()
        else:
            self._begin()
        refusals.refused, refusals.lasting, refusals.requests = request, lasting, 0
        said = ""
        try:
            if self._kernel is None:
                self._kernel = self._boot()
            else:
                CLIENTS[client](self._kernel)
        except (AllocatorHung, CpuHung) as why:
            self.close()
            return Verdict.HANG, _line(why)
        except (KernelError, Refused) as why:
            said = f"{type(why).__name__}: {_line(why)}" if isinstance(why, KernelError) else str(why)
        except SysError as why:
            said = f"{Errno(why.errno).name}"
        except Exception as why:
            said = f"{type(why).__name__}: {_line(why)}"
        finally:
            refusals.refused = None
        if self._kernel is None:
            return Verdict.DETECTED, said
        try:
            check(self._kernel.mm, [], objects=[])
        except KernelError as why:
            self.close()
            return Verdict.SILENT, f"{said}, and " * bool(said) + f"the kernel's invariants do not hold: {_line(why)}"
        return (Verdict.DETECTED, said) if said else (Verdict.MASKED, "")

    def _begin(self) -> None:
        """Have a kernel that is the same each time: the kernel's own allocators know nothing that memory does not."""
        if self._again is not None:
            self._again()
            return
        self.close()
        self._kernel = kernel = self._boot()
        if not self._own:
            return
        for run in CLIENTS.values():  # metadata types are registered when they are first used
            run(kernel)
        snapshot, state = kernel.machine.snapshot(), kernel.service.state()

        def again() -> None:
            kernel.machine.revisit(snapshot)
            kernel.service.restore(state)

        self._again = again

    def _boot(self) -> Kernel:
        frame = self._kind is SubjectKind.FRAME
        made = refusing(self._factory, self._kind, self.refusals)
        choices = Choices(frame_allocator=made if frame else None, heap_allocator=None if frame else made,
                          watchdog_lines=None)
        machine = Machine(Board(harts=self._setting.harts, memory=self._setting.memory))
        try:
            return Kernel.boot(machine, choices)
        except BaseException:
            machine.close()
            raise

    def close(self) -> None:
        """Let go of the machine."""
        kernel, self._kernel, self._again = self._kernel, None, None
        if kernel is not None:
            kernel.close()
            kernel.machine.close()


def _line(why: BaseException) -> str:
    return str(why).partition("\n")[0]
