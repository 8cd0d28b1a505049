"""Pipes and FIFOs: bytes on their way from writers to readers.

        head ──► … bytes … ──► tail     counted since the pipe was made; byte n is in frame n / 4096 % 16

A frame is allocated when the first byte of its page comes, and dropped when the last one is gone. Heap:
PipeState. A write of up to PIPE_BUF bytes goes in whole, or waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.mm.fields import Struct, u64
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.frame.frame import Frame
from kernel.mm.io.pod import Array
from kernel.mm.io.reader import AnyVmReader, VmReader
from kernel.mm.io.writer import AnyVmWriter, VmWriter
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SHIFT, PAGE_SIZE

from .open_file import Flags, OpenFile, Poll
from .ramfs.file_data import transfer
from .stat import FileType, Stat
from .wait import WaitQueue, WouldBlock

if TYPE_CHECKING:
    from kernel.mm.context import Mm

    from .inode import Inode

FRAMES: Final = 16
CAPACITY: Final = FRAMES * PAGE_SIZE
"""Bytes that are on their way at most, as in Linux."""
PIPE_BUF: Final = 4096


class PipeState(Struct):
    """A pipe: bytes read and written so far, ends that are open, and the frames' physical addresses, 0 for none."""

    head = u64()
    tail = u64()
    readers = u64()
    writers = u64()
    frames = Array(u64, FRAMES)


STATE_LAYOUT = Layout(PipeState.SIZE, 8)
_FRAMES = PipeState.frames.offset


class Pipe:
    """The pipe itself; `readable`, `writable` and `opened` are where those wait who cannot go on."""

    def __init__(self, mm: Mm) -> None:
        """ENOMEM."""
        try:
            self.address = mm.heap.alloc_zeroed(STATE_LAYOUT)
        except NoMemory as why:
            raise SysError(Errno.ENOMEM, str(why)) from None
        self._mm, self._port, self._linear = mm, mm.port, mm.paging.linear_base
        self._at = mm.vaddr_to_paddr(self.address)
        self.state = PipeState.at(mm.port, self._at)
        self.readable, self.writable, self.opened = WaitQueue(), WaitQueue(), WaitQueue()
        self.reader_opens = self.writer_opens = 0
        """How often an end was opened."""

    @property
    def used(self) -> int:
        """Bytes that are on their way."""
        return self.state.tail - self.state.head

    def read(self, writer: AnyVmWriter, nonblock: bool) -> int:
        """Take what is there; 0 if nothing is, and nobody will write any more."""
        state, done = self.state, 0
        head, tail = state.head, state.tail
        if not writer.avail:
            return 0
        if head == tail:
            if not state.writers:
                return 0
            if nonblock:
                raise SysError(Errno.EAGAIN, "the pipe is empty")
            raise WouldBlock(self.readable)
        while head < tail and writer.avail:
            inside = head % PAGE_SIZE
            slot = self._slot(head)
            source = self._port.load(slot) + self._linear + inside
            size = min(tail - head, PAGE_SIZE - inside)
            copied, fault = transfer(VmReader.from_kernel_space(self._mm, source, size), writer)
            head, done = head + copied, done + copied
            state.head = head
            if copied == PAGE_SIZE - inside and tail <= head - PAGE_SIZE + CAPACITY:
                self._drop(slot)
            if fault is not None:
                if not done:
                    raise fault
                break
        self.writable.wake()
        return done

    def write(self, reader: AnyVmReader, nonblock: bool) -> int:
        """Put all of it in, as room comes. EPIPE if nobody reads; ENOMEM."""
        state, wanted, done = self.state, reader.remain, 0
        if not wanted:
            return 0
        if not state.readers:
            raise SysError(Errno.EPIPE, "nobody reads the pipe")
        tail = state.tail
        room = CAPACITY - (tail - state.head)
        left = min(wanted, room) if wanted > PIPE_BUF or room >= wanted else 0
        fault: SysError | None = None
        while left and fault is None:
            inside = tail % PAGE_SIZE
            try:
                target = self._frame(self._slot(tail)) + self._linear + inside
            except NoMemory as why:
                fault = SysError(Errno.ENOMEM, str(why))
                break
            size = min(left, PAGE_SIZE - inside)
            copied, fault = transfer(reader, VmWriter.from_kernel_space(self._mm, target, size))
            tail, done, left = tail + copied, done + copied, left - copied
            state.tail = tail
        if done:
            self.readable.wake()
        if done == wanted or done and (nonblock or fault is not None):
            return done
        if fault is not None:
            raise fault
        if nonblock:
            raise SysError(Errno.EAGAIN, f"the pipe has room for {room} bytes")
        raise WouldBlock(self.writable, done)

    def drop(self) -> None:
        """Give all memory back."""
        for index in range(FRAMES):
            self._drop(self._at + _FRAMES + 8 * index)
        self._mm.heap.dealloc(self.address, STATE_LAYOUT)

    def frames(self) -> list[int]:
        """Physical addresses of its frames."""
        return [paddr for paddr in self.state.frames if paddr]

    def _slot(self, position: int) -> int:
        """Where the address of the frame is that has byte `position`."""
        return self._at + _FRAMES + 8 * (position >> PAGE_SHIFT) % (8 * FRAMES)

    def _frame(self, slot: int) -> int:
        paddr = self._port.load(slot)
        if not paddr:
            paddr = FrameAllocOptions(self._mm).zeroed(False).alloc_frame().into_raw()
            self._port.store(slot, paddr)
        return paddr

    def _drop(self, slot: int) -> None:
        if paddr := self._port.load(slot):
            self._port.store(slot, 0)
            Frame.from_raw(self._mm, paddr).drop()


class PipeEnd(OpenFile):
    """One end of a pipe, or both (a FIFO that is opened with O_RDWR)."""

    def __init__(self, pipes: Pipes, pipe: Pipe, flags: Flags, inode: Inode | None, ino: int) -> None:
        super().__init__(flags, inode)
        self.pipe, self._pipes, self._ino = pipe, pipes, ino
        self._seen = pipe.reader_opens, pipe.writer_opens
        state = pipe.state
        if flags.reads:
            state.readers += 1
            pipe.reader_opens += 1
        if flags.writes:
            state.writers += 1
            pipe.writer_opens += 1
        pipe.opened.wake()

    def ready(self) -> None:
        pipe = self.pipe
        if self.nonblock or self.flags.reads and self.flags.writes:
            return
        opens = pipe.writer_opens != self._seen[1] if self.flags.reads else pipe.reader_opens != self._seen[0]
        if not opens and not (pipe.state.writers if self.flags.reads else pipe.state.readers):
            raise WouldBlock(pipe.opened)

    def _read(self, writer: AnyVmWriter) -> int:
        return self.pipe.read(writer, self.nonblock)

    def _write(self, reader: AnyVmReader) -> int:
        return self.pipe.write(reader, self.nonblock)

    def stat(self) -> Stat:
        if self.inode is not None:
            return self.inode.stat()
        return Stat(self._pipes.device, self._ino, FileType.FIFO.mode | 0o600, 1)

    def poll(self) -> Poll:
        pipe, found = self.pipe, Poll.NONE
        state, used = pipe.state, pipe.used
        if self.flags.reads:
            found |= Poll.IN if used else Poll.NONE
            if not state.writers and pipe.writer_opens != self._seen[1]:
                found |= Poll.HUP
        if self.flags.writes:
            found |= Poll.OUT if CAPACITY - used >= PIPE_BUF else Poll.NONE
            found |= Poll.NONE if state.readers else Poll.ERR
        return found

    def queues(self) -> tuple[WaitQueue, ...]:
        return self.pipe.readable, self.pipe.writable

    def released(self) -> None:
        pipe, state = self.pipe, self.pipe.state
        if self.flags.reads:
            state.readers -= 1
        if self.flags.writes:
            state.writers -= 1
        if not state.readers and not state.writers:
            self._pipes.forget(pipe)
            return
        pipe.readable.wake()
        pipe.writable.wake()


class Pipes:
    """All pipes: those of `pipe2`, numbered as they come, and those of FIFOs that are open."""

    device = 0

    def __init__(self, mm: Mm) -> None:
        self._mm, self._made = mm, 0
        self._open: list[Pipe] = []
        self._fifos: dict[Inode, Pipe] = {}

    def create(self, flags: Flags = Flags.RDONLY) -> tuple[PipeEnd, PipeEnd]:
        """A pipe: its read and its write end. ENOMEM."""
        pipe = self._new()
        self._made += 1
        extra = flags & Flags.NONBLOCK
        reading = PipeEnd(self, pipe, Flags.RDONLY | extra, None, self._made)
        writing = PipeEnd(self, pipe, Flags.WRONLY | extra, None, self._made)
        return reading, writing

    def open(self, inode: Inode, flags: Flags) -> PipeEnd:
        """An end of the FIFO `inode`. ENXIO for writing without waiting when nobody reads; ENOMEM."""
        pipe = self._fifos.get(inode)
        if flags.writes and not flags.reads and flags & Flags.NONBLOCK and (pipe is None or not pipe.state.readers):
            raise SysError(Errno.ENXIO, "nobody reads the FIFO")
        if pipe is None:
            pipe = self._fifos[inode] = self._new()
        return PipeEnd(self, pipe, flags, inode, inode.ino)

    def forget(self, pipe: Pipe) -> None:
        """Both ends are closed."""
        pipe.drop()
        self._open.remove(pipe)
        self._fifos = {inode: other for inode, other in self._fifos.items() if other is not pipe}

    def objects(self) -> list[int]:
        """Kernel virtual addresses of all heap objects of pipes."""
        return [pipe.address for pipe in self._open]

    def frames(self) -> list[int]:
        """Physical addresses of all frames of pipes."""
        return [paddr for pipe in self._open for paddr in pipe.frames()]

    def _new(self) -> Pipe:
        pipe = Pipe(self._mm)
        self._open.append(pipe)
        return pipe
