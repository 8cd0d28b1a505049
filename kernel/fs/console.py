"""The console: /dev/console and /dev/tty, on whatever the kernel gives it to write to and to read from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kernel.errno import Errno, SysError
from kernel.mm.io.reader import AnyVmReader
from kernel.mm.io.writer import AnyVmWriter

from .inode import Inode
from .open_file import Flags, OpenFile, Poll, put_bytes, take_bytes
from .terminal import LineDiscipline
from .wait import WaitQueue, WouldBlock

PIECE = 4096
"""Bytes that are put out at once."""


class Console:
    """A terminal, or something like it: `output(bytes)` puts out, `feed` and `hang_up` are the other side's.

    A read gets one line at most, as far as it has come. `terminal` says whether programs are told that it is one;
    then keys go through `discipline`, which shows them by `echo` where that is wanted.
    """

    def __init__(self, output: Callable[[bytes], None], terminal: bool = False,
                 echo: Callable[[bytes], None] | None = None) -> None:
        self.output, self.terminal = output, terminal
        self.readable = WaitQueue()
        self.foreground = 1
        """The process group that gets the signals of keys."""
        self.signal: Callable[[int, int], None] = lambda group, number: None
        """Sends a signal to a process group."""
        self.discipline = LineDiscipline(self._put, self._end, echo or output,
                                         lambda number: self.signal(self.foreground, number))
        self._input = bytearray()
        self._ends: deque[int] = deque()
        """How far on in `_input` somebody has typed the end (Ctrl-D): a read there finds it, once."""
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Somebody has typed `data`."""
        if self.terminal:
            self.discipline.keys(data)
        else:
            self._put(data)

    def _put(self, data: bytes) -> None:
        self._input += data
        self.readable.wake()

    def _end(self) -> None:
        self._ends.append(len(self._input))
        self.readable.wake()

    def hang_up(self) -> None:
        """Nothing will be typed any more: behind what there is, reads find the end."""
        self._ended = True
        self.readable.wake()

    @property
    def has_input(self) -> bool:
        """Whether a read would not wait."""
        return bool(self._input) or bool(self._ends) or self._ended

    def open(self, inode: Inode, flags: Flags) -> ConsoleFile:
        """An open file: what `Devices.register` takes."""
        return ConsoleFile(self, inode, flags)

    def read(self, writer: AnyVmWriter, nonblock: bool) -> int:
        """The rest of a line, or what there is of it; 0 at the end."""
        if not writer.avail:
            return 0
        if self._ends and not self._ends[0]:
            self._ends.popleft()
            return 0
        if not self._input:
            if self._ended:
                return 0
            if nonblock:
                raise SysError(Errno.EAGAIN, "nothing was typed")
            raise WouldBlock(self.readable)
        size = min(self._input.find(b"\n") + 1 or len(self._input), writer.avail, *list(self._ends)[:1])
        put_bytes(writer, bytes(self._input[:size]))
        del self._input[:size]
        self._ends = deque(end - size for end in self._ends)
        return size

    def write(self, reader: AnyVmReader) -> int:
        """Put out all of it, up to a fault."""
        done = 0
        while reader.has_remain:
            try:
                data = take_bytes(reader, PIECE)
            except SysError:
                if done:
                    break
                raise
            self.output(data)
            done += len(data)
        return done


class ConsoleFile(OpenFile):
    """The console, opened."""

    def __init__(self, console: Console, inode: Inode, flags: Flags) -> None:
        super().__init__(flags, inode)
        self.console, self.is_terminal = console, console.terminal

    def _read(self, writer: AnyVmWriter) -> int:
        return self.console.read(writer, self.nonblock)

    def _write(self, reader: AnyVmReader) -> int:
        return self.console.write(reader)

    def poll(self) -> Poll:
        return Poll.OUT | (Poll.IN if self.console.has_input else Poll.NONE)

    def queues(self) -> tuple[WaitQueue, ...]:
        return (self.console.readable,)
