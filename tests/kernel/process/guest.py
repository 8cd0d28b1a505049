"""Programs on a kernel of our own, for tests: each run is a system with an empty RamFS and the program in it.

After every run all memory must be what it was: free bytes, the invariants, and no CPU that is anywhere but at rest.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kernel import Kernel
from kernel.fs.console import Console
from kernel.fs.open_file import Flags
from kernel.fs.ramfs.ramfs import Storage
from kernel.mm import VmReader
from kernel.mm.check import check
from kernel.mm.vm_space.vm_space import activated_vm_space
from kernel.osdk.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator import HeapAllocator
from kernel.process.system import System
from kernel.process.userland import Userland, first_files
from kernel.syscall.strace import Strace
from kernel.syscall.table import SystemCalls
from tests.helpers.assembler import assemble

CODE, DATA, DATA_SIZE = 0x1_0000, 0x20_0000, 1 << 16
"""Where `program` has its instructions, and its bytes."""
X, W, R = 1, 2, 4


def elf(segments: Sequence[tuple[int, bytes, int, int]], entry: int = CODE) -> bytes:
    """A static program: segments are address, contents, size in memory, PF_ flags."""
    header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 243, 1, entry, 64, 0, 5, 64, 56,
                         len(segments), 0, 0, 0)
    table, body = b"", b""
    for vaddr, data, size, flags in segments:
        at = 4096 + len(body)
        table += struct.pack("<IIQQQQQQ", 1, flags, at, vaddr, vaddr, len(data), size, 4096)
        body += data.ljust(-(-len(data) // 4096) * 4096, b"\0")
    return (header + table).ljust(4096, b"\0") + body


def program(source: str, data: bytes = b"", code_flags: int = R | X) -> bytes:
    """A program from assembly at CODE, with `data`, and zeroes behind it, at DATA."""
    code = assemble(source, CODE)
    return elf([(CODE, code, len(code), code_flags), (DATA, data, DATA_SIZE, R | W)])


def call(number: int, *arguments: int | str) -> str:
    """Assembly of a system call; arguments are numbers or registers."""
    lines = [f"{'mv' if isinstance(value, str) else 'li'} a{i}, {value}" for i, value in enumerate(arguments)]
    return "\n".join([*lines, f"li a7, {number}", "ecall"]) + "\n"


@dataclass
class Ran:
    """How a run has ended."""

    status: int
    output: bytes
    deaths: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    @property
    def signal(self) -> int:
        """The signal that has ended it, 0 for none."""
        return self.status & 0x7F

    @property
    def code(self) -> int:
        """What it has exited with."""
        assert not self.signal, f"signal {self.signal}: {self.deaths}, {self.output!r}"
        return self.status >> 8


class Programs:
    """Runs programs on a booted kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.system: System | None = None

    @property
    def free(self) -> int:
        """Bytes of free memory when the heap has given back what it does not need."""
        frames, heap = self.kernel.mm.frame_allocator.inner, self.kernel.mm.heap.inner
        assert isinstance(frames, FrameAllocator) and isinstance(heap, HeapAllocator)
        heap.reclaim()
        return frames.load_total_free_size()

    def start(self, files: Mapping[str, bytes], output: bytearray | None = None, *, storage: Storage = Storage.FRAMES,
              ran: Ran | None = None, stdin: bytes = b"") -> System:
        """A system with `files`, all executable, in its tree, and nothing to read but `stdin`."""
        ran = ran or Ran(0, b"")
        out = output if output is not None else bytearray()
        console = Console(out.extend)
        console.feed(stdin)
        console.hang_up()
        userland = Userland(storage, console, SystemCalls(Strace(ran.calls.append)),
                            lambda process, why: ran.deaths.append(why))
        system = userland.start(self.kernel)
        for path, data in files.items():
            file = system.files.open(system.files.place, path.encode(), Flags.CREAT | Flags.WRONLY, 0o755)
            file.write(VmReader.from_slice(data))
            file.close()
        return system

    def run(self, image: bytes, *arguments: str, files: Mapping[str, bytes] | None = None,
            storage: Storage = Storage.FRAMES, stdin: bytes = b"") -> Ran:
        """Run a program to its end; then everything is as it was."""
        free, ran, out = self.free, Ran(0, b""), bytearray()
        system = self.start({"/program": image, **(files or {})}, out, storage=storage, ran=ran, stdin=stdin)
        self.system = system
        ran.status = system.run("/program", [b"program", *map(str.encode, arguments)], [b"A=1"], first_files(system))
        ran.output = bytes(out)
        self.at_rest(system)
        system.close()
        check(self.kernel.mm, [], objects=[])
        assert self.free == free, f"{free - self.free} bytes are gone"
        return ran

    def at_rest(self, system: System) -> None:
        """No process is left, no CPU runs or translates for one, and its stack is its own."""
        service, mm = self.kernel.service, self.kernel.mm
        assert not system.processes and not len(system.futexes)
        for cpu in service.online:
            assert service.ready(cpu) or cpu in service._asleep, f"CPU {cpu} is busy"
            assert activated_vm_space(mm, cpu) == 0, f"CPU {cpu} translates by an address space that is gone"
            sp = service.hart(cpu).read("sp")
            assert not mm.paging.linear_base <= sp < mm.paging.linear_base + (1 << 40), f"CPU {cpu}: sp = {sp:#x}"
