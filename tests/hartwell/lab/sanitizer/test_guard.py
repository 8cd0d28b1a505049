"""The guard: every access of every kind is judged by exactly the bytes that it is to, compared with a model."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from importlib.resources import files

import pytest

from emulator.errors import EngineError
from emulator.stop import Wrong
from hartwell.lab.sanitizer import Sanitizer
from hartwell.lab.sanitizer.client import PREFIX, Client
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.guest import GuestSubject
from kernel.cpu.errors import CpuStopped

RETURN = 0x8082
A0, A1, A2 = 10, 11, 12
PAGE = 4096


def store(width: int) -> int:
    """sb, sh, sw, sd a1, 0(a0): `width` is the power of two."""
    return A1 << 20 | A0 << 15 | width << 12 | 0x23


def load(width: int) -> int:
    return A0 << 15 | width << 12 | A2 << 7 | 0x03


def amo(width: int) -> int:
    """amoadd a2, a1, (a0)."""
    return A1 << 20 | A0 << 15 | width << 12 | A2 << 7 | 0x2F


class Bench:
    """A client whose code is one instruction, run on any address; memory whose shadow is set by hand."""

    def __init__(self, client: Client) -> None:
        self.subject = client.subject
        self.code = client.function(client.scenarios[0])
        self.start, self.paddr = self.subject.memory.start, self.subject.memory.paddr
        self.other = self.subject.text.address("hartwell_heap_add_free_memory")

    def place(self, instruction: int, at: int) -> None:
        paddr = self.subject.machine.harts[0].translate(at)
        assert paddr is not None
        self.subject.machine.bus.write(paddr, instruction.to_bytes(4, "little") + RETURN.to_bytes(2, "little"))

    def judged(self, sanitizer: Sanitizer, address: int, at: int) -> Wrong | None:
        """What is said of the instruction at `at`, done on `address`."""
        try:
            self.subject.call(0, at, address, 0x5A)
        except CpuStopped:
            stop = sanitizer.guard.found()
            assert stop.pc == at == self.subject.machine.harts[0].pc
            assert stop.address <= address + 7 and stop.paddr - self.paddr == stop.address - self.start
            return stop.what
        return None


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with load_subject("slab") as subject:
        assert isinstance(subject, GuestSubject)
        bugs = files("allocators") / "client-bugs" / "client-bugs.elf"
        client = Client(subject, bugs.read_bytes(), "client-bugs.elf")
        assert client.text.image.symbols.find(PREFIX + "clean") is not None
        yield Bench(client)


@pytest.mark.parametrize(("made", "widths", "aligned", "wrong", "by_client"), [
    (store, range(4), False, Wrong.USER_STORE, True), (load, range(4), False, Wrong.USER_LOAD, True),
    (amo, (2, 3), True, Wrong.USER_STORE, True), (store, range(4), False, Wrong.KEEPER_STORE, False),
])
def test_accesses_are_judged_to_the_byte(bench: Bench, made: Callable[[int], int], widths: list[int], aligned: bool,
                                         wrong: Wrong, by_client: bool) -> None:
    chance = random.Random(7)
    at = bench.code if by_client else bench.other
    seen = set()
    for width in widths:
        bench.subject.reset()
        bench.place(made(width), at)
        bench.subject.keep()
        for _ in range(12):
            bench.subject.reset()
            with Sanitizer(bench.subject, loads=True) as sanitizer:
                middle = PAGE * chance.randrange(1, 6)
                states = [chance.choice([0, 0, 0, 0x10, 3, 5, 0xFB, 0xFF]) for _ in range(8)]
                sanitizer.guard.shadow[middle // 8 - 4:middle // 8 + 4] = states
                live = [middle - 32 + 8 * n + i for n, state in enumerate(states)
                        for i in range(8 if state in (0, 0x10) else state if state < 8 else 0)]
                offset = middle + chance.randrange(-12, 12)
                if aligned:
                    offset &= -(1 << width)
                accessed = range(offset, offset + (1 << width))
                legal = all(byte in live for byte in accessed) if by_client else not set(accessed) & set(live)
                said = bench.judged(sanitizer, bench.start + offset, at)
                assert said is (None if legal else wrong), (width, offset - middle, states)
                seen.add(legal)
    assert seen == {True, False}


def test_other_memory_is_not_judged(bench: Bench) -> None:
    bench.subject.reset()
    bench.place(store(3), bench.code)
    with Sanitizer(bench.subject) as sanitizer:
        end = bench.start + bench.subject.memory.size
        assert bench.judged(sanitizer, bench.start - 8, bench.code) is None
        assert bench.judged(sanitizer, end, bench.code) is None
        assert bench.judged(sanitizer, end - 8, bench.code) is Wrong.USER_STORE


def test_there_is_one_guard_at_a_time_and_none_afterwards(bench: Bench) -> None:
    bench.subject.reset()
    bench.place(store(3), bench.code)
    bench.subject.keep()
    with Sanitizer(bench.subject) as sanitizer:
        with pytest.raises(EngineError, match="expected one at a time"):
            Sanitizer(bench.subject).guard.__enter__()
        assert bench.judged(sanitizer, bench.start, bench.code) is Wrong.USER_STORE
    bench.subject.reset()
    bench.subject.call(0, bench.code, bench.start, 0x5A)
    assert bench.subject.machine.bus.read(bench.paddr, 8) == b"\x5a" + bytes(7)
