"""Pipes and FIFOs: bytes in order, waiting, atomic writes, ends, memory."""

from __future__ import annotations

import random

import pytest

from kernel.errno import Errno, SysError
from kernel.fs.open_file import Flags, Poll
from kernel.fs.pipe import CAPACITY, PIPE_BUF, PipeEnd
from kernel.fs.stat import FileType
from kernel.fs.vfs import Vfs
from kernel.fs.wait import WaitQueue, WouldBlock
from kernel.mm import PAGE_SIZE, FrameAllocOptions, Mm, VmReader, VmWriter

from .conftest import UserPages, check_vfs, free_memory

NOISE = random.Random(1).randbytes(1 << 18)


def take(end: PipeEnd, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[:end.read(VmWriter.from_slice(buffer))])


def put(end: PipeEnd, what: bytes) -> int:
    return end.write(VmReader.from_slice(what))


def errno_of(act: object, *args: object) -> Errno:
    with pytest.raises(SysError) as failed:
        act(*args)  # type: ignore[operator]
    return failed.value.errno


def test_random_reads_and_writes_give_the_bytes_in_order(vfs: Vfs) -> None:
    reading, writing = vfs.pipes.create(Flags.NONBLOCK)
    rng, sent, got = random.Random(2), bytearray(), bytearray()
    for number in range(6000):
        size = rng.choice((1, 7, PAGE_SIZE, PIPE_BUF + 1, rng.randrange(1, CAPACITY + 10)))
        try:
            if rng.random() < 0.5:
                what = NOISE[number:number + size]
                done = put(writing, what)
                assert done == size or done == CAPACITY - (len(sent) - len(got)) and size > PIPE_BUF
                sent += what[:done]
            else:
                there = len(sent) - len(got)
                got += take(reading, size)
                assert len(sent) - len(got) == max(0, there - size)
        except SysError as error:
            assert error.errno is Errno.EAGAIN
        in_pipe = len(sent) - len(got)
        assert reading.pipe.used == in_pipe
        assert len(reading.pipe.frames()) <= in_pipe // PAGE_SIZE + 2
    check_vfs(vfs)
    while len(got) < len(sent):
        got += take(reading, CAPACITY)
    assert got == sent and len(sent) > 10 * CAPACITY
    reading.close()
    writing.close()


def test_up_to_pipe_buf_bytes_go_in_whole_or_wait(vfs: Vfs) -> None:
    reading, writing = vfs.pipes.create()
    assert put(writing, NOISE[:CAPACITY - 100]) == CAPACITY - 100
    reader = VmReader.from_slice(NOISE[:101])
    with pytest.raises(WouldBlock) as wait:
        writing.write(reader)
    assert wait.value.done == 0 and reader.remain == 101 and wait.value.queue is reading.pipe.writable
    assert take(reading, 1) == NOISE[:1]
    assert writing.write(reader) == 101
    assert writing.poll() == Poll.NONE and reading.poll() == Poll.IN
    take(reading, PIPE_BUF)
    assert writing.poll() == Poll.OUT
    reading.close()
    writing.close()


def test_a_large_write_goes_on_where_it_stopped(vfs: Vfs) -> None:
    """Called again with the same reader, as a system call does that waits."""
    reading, writing = vfs.pipes.create()
    reader, done, got, woken = VmReader.from_slice(NOISE), 0, bytearray(), []
    while done < len(NOISE):
        try:
            done += writing.write(reader)
        except WouldBlock as wait:
            done += wait.done
            wait.queue.add(lambda: woken.append(1))
            got += take(reading, CAPACITY // 2)
            assert woken.pop() and len(wait.queue) == 0
    got += take(reading, CAPACITY)
    assert got == NOISE
    reading.close()
    writing.close()


def test_the_end_of_the_writers_and_of_the_readers(vfs: Vfs) -> None:
    reading, writing = vfs.pipes.create()
    with pytest.raises(WouldBlock) as wait:
        take(reading, 1)
    woken: list[int] = []
    wait.value.queue.add(lambda: woken.append(1))
    again = writing.dup()
    put(writing, b"last")
    assert woken == [1]
    writing.close()
    assert take(reading, 2) == b"la" and not reading.poll() & Poll.HUP
    again.close()
    assert reading.poll() == Poll.IN | Poll.HUP
    assert take(reading, 10) == b"st" and take(reading, 10) == b""
    reading.close()
    reading, writing = vfs.pipes.create()
    put(writing, b"lost")
    reading.close()
    assert errno_of(put, writing, b"x") is Errno.EPIPE
    assert writing.poll() & Poll.ERR
    assert put(writing, b"") == 0
    writing.close()


def test_closing_an_end_wakes_who_waits_for_it(vfs: Vfs) -> None:
    reading, writing = vfs.pipes.create()
    woken: list[str] = []
    reading.queues()[0].add(lambda: woken.append("reader"))
    writing.close()
    assert woken == ["reader"] and take(reading, 1) == b""
    reading.close()
    reading, writing = vfs.pipes.create()
    put(writing, NOISE[:CAPACITY])
    with pytest.raises(WouldBlock) as wait:
        put(writing, b"x")
    wait.value.queue.add(lambda: woken.append("writer"))
    reading.close()
    assert woken == ["reader", "writer"] and errno_of(put, writing, b"x") is Errno.EPIPE
    writing.close()


def test_each_end_does_one_thing_and_neither_has_an_offset(vfs: Vfs) -> None:
    reading, writing = vfs.pipes.create()
    assert errno_of(put, reading, b"x") is Errno.EBADF
    assert errno_of(take, writing, 1) is Errno.EBADF
    for end in reading, writing:
        assert errno_of(end.seek, 0, 0) is Errno.ESPIPE
        assert errno_of(end.pread, 0, VmWriter.from_slice(bytearray(1))) is Errno.ESPIPE
        assert errno_of(end.truncate, 0) is Errno.EINVAL
        assert FileType.of(end.stat().mode) is FileType.FIFO
        end.close()
    assert vfs.pipes.objects() == []


def test_faults_of_user_memory(vfs: Vfs, user: UserPages) -> None:
    reading, writing = vfs.pipes.create()
    user.map(0)
    user.put(0, NOISE[:PAGE_SIZE])
    assert errno_of(writing.write, user.reader(PAGE_SIZE, 10)) is Errno.EFAULT
    assert reading.pipe.used == 0
    assert writing.write(user.reader(PAGE_SIZE - 10, 100)) == 10
    assert errno_of(reading.read, user.writer(PAGE_SIZE, 10)) is Errno.EFAULT
    assert reading.read(user.writer(PAGE_SIZE - 4, 100)) == 4
    assert user.get(PAGE_SIZE - 4, 4) == NOISE[PAGE_SIZE - 10:PAGE_SIZE - 6]
    assert take(reading, 100) == NOISE[PAGE_SIZE - 6:PAGE_SIZE]
    reading.close()
    writing.close()


def test_without_memory_a_write_ends_where_it_is_gone(mm: Mm, vfs: Vfs) -> None:
    reading, writing = vfs.pipes.create()
    put(writing, NOISE[:100])
    hold = []
    while True:
        try:
            hold.append(FrameAllocOptions(mm).zeroed(False).alloc_frame())
        except Exception:
            break
    assert put(writing, NOISE[100:10_000]) == PAGE_SIZE - 100
    assert errno_of(put, writing, b"x" * 100) is Errno.ENOMEM
    for frame in hold:
        frame.drop()
    assert take(reading, CAPACITY) == NOISE[:PAGE_SIZE]
    reading.close()
    writing.close()


def test_frames_go_when_their_bytes_are_read_and_all_when_it_is_closed(mm: Mm, vfs: Vfs) -> None:
    free = free_memory(mm)
    reading, writing = vfs.pipes.create()
    put(writing, NOISE[:CAPACITY])
    assert len(reading.pipe.frames()) == 16
    take(reading, 10 * PAGE_SIZE)
    assert len(reading.pipe.frames()) == 6
    reading.close()
    writing.close()
    assert free_memory(mm) == free


def test_a_fifo_waits_for_its_other_end(vfs: Vfs) -> None:
    vfs.mknod(vfs.place, b"fifo", FileType.FIFO.mode | 0o600)
    assert errno_of(vfs.open, vfs.place, b"fifo", Flags.WRONLY | Flags.NONBLOCK) is Errno.ENXIO
    reading = vfs.open(vfs.place, b"fifo")
    with pytest.raises(WouldBlock):
        reading.ready()
    writing = vfs.open(vfs.place, b"fifo", Flags.WRONLY)
    writing.ready()
    reading.ready()
    writing.write(VmReader.from_slice(b"through a name"))
    vfs.unlink(vfs.place, b"fifo")
    writing.close()
    reading.ready()  # a writer has been there
    assert isinstance(reading, PipeEnd) and take(reading, 100) == b"through a name" and take(reading, 1) == b""
    reading.close()
    assert vfs.pipes.objects() == [] and [inode.ino for inode in vfs.root.fs.inodes()] == [1]  # type: ignore[attr-defined]


def test_who_comes_while_others_are_woken_waits_for_the_next_time() -> None:
    queue, order = WaitQueue(), []

    def first() -> None:
        order.append("first")
        queue.add(lambda: order.append("again"))

    def removed() -> None:
        order.append("removed")

    queue.add(first)
    queue.add(removed)
    queue.add(lambda: order.append("second"))
    queue.remove(removed)
    queue.remove(removed)
    assert queue.wake(1) == 1 and order == ["first"]
    assert queue.wake() == 2 and order == ["first", "second", "again"]
    assert queue.wake() == 0
