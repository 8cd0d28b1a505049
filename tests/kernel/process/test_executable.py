"""Programs that are none, or strange ones: ENOEXEC, another errno, or a signal; never an error of the host's."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.errno import Errno, SysError
from kernel.process.executable import Executable
from kernel.process.signals import Signal
from tests.helpers.assembler import assemble

from .guest import CODE, R, W, X, Programs, call, elf

EXIT = assemble(call(94, 3), CODE)
GOOD = elf([(CODE, EXIT, len(EXIT), R | X)])
EDGES = (0, 1, 2, 63, 64, 65, 4095, 4096, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 1 << 32, 0x7FFF_FFFF_F000, 1 << 47, 1 << 62,
         (1 << 63) - 4096, (1 << 63) - 1, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1)
words = st.sampled_from(EDGES) | st.integers(0, (1 << 64) - 1)
ERRNOS = (Errno.ENOEXEC, Errno.ENOMEM)


class Bytes:
    """A file's contents, for the parser alone."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, offset: int, size: int) -> bytes:
        return self.data[offset:offset + size]

    def frame(self, offset: int) -> None:
        return None

    def hold(self) -> None:
        pass

    def release(self) -> None:
        pass


def run(programs: Programs, image: bytes) -> int:
    """The status of running `image`; minus an errno if it was refused. Memory is what it was in either case."""
    try:
        return programs.run(image).status
    except SysError as why:
        system = programs.system
        assert system is not None
        programs.at_rest(system)
        system.close()
        return -why.errno


def allowed(status: int) -> bool:
    """Refused for what it is, killed by a signal for what it does, or it has exited."""
    return -status in ERRNOS or 0 < status & 0x7F < 32 or not status & 0x7F


def test_a_good_one(programs: Programs) -> None:
    assert run(programs, GOOD) == 3 << 8


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_bytes_that_are_no_program(data: bytes) -> None:
    for image in (data, b"\x7fELF" + data, GOOD[:64] + data):
        try:
            Executable.parse(Bytes(image))
        except SysError as why:
            assert why.errno is Errno.ENOEXEC


@given(st.lists(st.tuples(st.integers(16, 119), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_headers_with_wrong_bytes(programs: Programs, changes: list[tuple[int, int]]) -> None:
    image = bytearray(GOOD)
    for at, byte in changes:
        image[at] = byte
    assert allowed(run(programs, bytes(image)))


@given(words, words, words, words, st.integers(0, 7))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_segments_anywhere(programs: Programs, offset: int, vaddr: int, file_size: int, memory_size: int,
                           flags: int) -> None:
    """Alone, and behind a good one."""
    strange = struct.pack("<IIQQQQQQ", 1, flags, offset, vaddr, vaddr, file_size, memory_size, 4096)
    for offset_of_it, count in ((64, 1), (120, 2)):
        image = bytearray(GOOD)
        image[offset_of_it:offset_of_it + 56] = strange
        image[56:58] = struct.pack("<H", count)
        assert allowed(run(programs, bytes(image)))


@given(words)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_an_entry_anywhere(programs: Programs, entry: int) -> None:
    status = run(programs, elf([(CODE, EXIT, len(EXIT), R | X)], entry))
    assert allowed(status) and (status == 3 << 8 or status & 0x7F in (Signal.SEGV, Signal.ILL, Signal.BUS))


@pytest.mark.parametrize(("what", "at", "value"), [
    ("phnum", 56, 0), ("phnum", 56, 0xFFFF), ("phnum", 56, 65), ("phentsize", 54, 55), ("machine", 18, 62),
    ("type", 16, 1), ("type", 16, 4),
])
def test_what_is_refused(programs: Programs, what: str, at: int, value: int) -> None:
    image = bytearray(GOOD)
    image[at:at + 2] = struct.pack("<H", value)
    assert run(programs, bytes(image)) == -Errno.ENOEXEC, what


@pytest.mark.parametrize("offset", [0, 1, 4095, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 64])
def test_headers_that_are_not_in_the_file(programs: Programs, offset: int) -> None:
    image = bytearray(GOOD)
    image[32:40] = struct.pack("<Q", offset)
    assert allowed(run(programs, bytes(image)))


def test_an_interpreter_is_refused_with_advice(programs: Programs) -> None:
    image = bytearray(GOOD)
    image[64:68] = struct.pack("<I", 3)
    with pytest.raises(SysError, match="link with -static"):
        Executable.parse(Bytes(bytes(image)))


def test_segments_that_overlap_are_refused(programs: Programs) -> None:
    for second in (CODE, CODE + 16, CODE - 4096):
        assert run(programs, elf([(CODE, EXIT, 4096, R | X), (second, b"", 8192, R | W)])) == -Errno.ENOEXEC


def test_a_segment_larger_than_memory_is_there_only_where_it_is_touched(programs: Programs) -> None:
    assert run(programs, elf([(CODE, EXIT, len(EXIT), R | X), (1 << 30, b"x", 1 << 44, R | W)])) == 3 << 8


def test_code_that_may_only_be_executed(programs: Programs) -> None:
    assert run(programs, elf([(CODE, EXIT, len(EXIT), X)])) == 3 << 8
