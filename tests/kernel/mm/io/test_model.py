"""Readers and writers against a model that moves byte by byte over a bytearray."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.errors import InvalidArgs, PageFault
from kernel.mm.fields import Integer, i8, i16, i32, i64, u8, u16, u32, u64
from kernel.mm.io import AnyVmReader, AnyVmWriter, VmReader, VmWriter
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.port import MemoryPort

from .conftest import PAGES, PATTERN, SIZE, Arena

HOST_SIZE = 3 * PAGE_SIZE
FIRST = 16
USER_PAGES = 8


@dataclass
class Place:
    """A range in one of the three windows."""

    window: str
    offset: int
    size: int


@dataclass
class Model:
    """The two memories, and which byte of which one an address means."""

    arena: bytearray
    host: bytearray
    pages: list[int | None]
    read_only: frozenset[int]

    def byte(self, place: Place, index: int, write: bool) -> tuple[bytearray, int] | None:
        at = place.offset + index
        if place.window == "kernel":
            return self.arena, at
        if place.window == "host":
            return self.host, at
        page = self.pages[at // PAGE_SIZE]
        if page is None or write and at // PAGE_SIZE in self.read_only:
            return None
        return self.arena, page * PAGE_SIZE + at % PAGE_SIZE

    def run(self, place: Place, size: int, write: bool) -> list[tuple[bytearray, int]]:
        """The bytes up to a fault."""
        found = []
        for index in range(size):
            byte = self.byte(place, index, write)
            if byte is None:
                break
            found.append(byte)
        return found

    def store(self, place: Place, data: bytes) -> int:
        where = self.run(place, len(data), True)
        for (memory, at), value in zip(where, data, strict=False):
            memory[at] = value
        return len(where)

    def load(self, place: Place, size: int) -> bytes:
        return bytes(memory[at] for memory, at in self.run(place, size, False))


class World:
    """The real thing beside its model."""

    def __init__(self, port: MemoryPort, pages: list[int | None], read_only: frozenset[int]) -> None:
        self.arena = Arena(port)
        self.arena.set_contents(PATTERN)
        self.arena.map(FIRST, *pages)
        self.arena.read_only = {FIRST + page for page in read_only}
        self.host = bytearray(i * 5 & 0xFF for i in range(HOST_SIZE))
        self.model = Model(bytearray(PATTERN), bytearray(self.host), pages, read_only)

    def reader(self, place: Place) -> AnyVmReader:
        if place.window == "user":
            return self.arena.user_reader(FIRST * PAGE_SIZE + place.offset, place.size)
        reader = self.arena.reader() if place.window == "kernel" else VmReader.from_slice(self.host)
        return reader.skip(place.offset).limit(place.size).to_fallible()

    def writer(self, place: Place) -> AnyVmWriter:
        if place.window == "user":
            return self.arena.user_writer(FIRST * PAGE_SIZE + place.offset, place.size)
        writer = self.arena.writer() if place.window == "kernel" else VmWriter.from_slice(self.host)
        return writer.skip(place.offset).limit(place.size).to_fallible()

    def check(self) -> None:
        assert self.arena.contents() == self.model.arena
        assert self.host == self.model.host


def places() -> st.SearchStrategy[Place]:
    """Places, often near the ends of pages."""

    def at(window: str, total: int) -> st.SearchStrategy[Place]:
        near = st.builds(lambda page, by: min(max(page * PAGE_SIZE + by, 0), total),
                         st.integers(0, total // PAGE_SIZE), st.integers(-9, 9))
        return near.flatmap(lambda start: st.builds(
            Place, st.just(window), st.just(start),
            st.one_of(st.integers(0, 20), st.integers(0, total)).map(lambda size: min(size, total - start))))

    return st.one_of(at("user", USER_PAGES * PAGE_SIZE), at("kernel", SIZE), at("host", HOST_SIZE))


page_lists = st.lists(st.one_of(st.integers(0, PAGES - 1), st.none()), min_size=USER_PAGES, max_size=USER_PAGES)
read_only = st.frozensets(st.integers(0, USER_PAGES - 1), max_size=2)
kinds = st.sampled_from([u8, u16, u32, u64, i8, i16, i32, i64])
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(pages=page_lists, read_only=read_only, copies=st.lists(st.tuples(places(), places()), min_size=1, max_size=5))
def test_copies_move_the_bytes_that_the_model_moves(
        port: MemoryPort, pages: list[int | None], read_only: frozenset[int],
        copies: list[tuple[Place, Place]]) -> None:
    world = World(port, pages, read_only)
    for source, target in copies:
        size = min(source.size, target.size)
        data = world.model.load(source, size)
        expected = world.model.store(target, data)
        reader, writer = world.reader(source), world.writer(target)
        at, to = reader.cursor, writer.cursor
        try:
            assert reader.read_fallible(writer) == size == expected
        except PageFault as fault:
            assert fault.copied == expected < size
        assert (reader.cursor - at, writer.cursor - to) == (expected, expected)
        assert (reader.remain, writer.avail) == (source.size - expected, target.size - expected)
        world.check()


@many
@given(pages=page_lists, read_only=read_only,
       fills=st.lists(st.tuples(places(), st.integers(0, SIZE)), min_size=1, max_size=4))
def test_fills_zero_the_bytes_that_the_model_zeroes(
        port: MemoryPort, pages: list[int | None], read_only: frozenset[int], fills: list[tuple[Place, int]]) -> None:
    world = World(port, pages, read_only)
    for place, wanted in fills:
        size = min(place.size, wanted)
        expected = world.model.store(place, bytes(size))
        writer = world.writer(place)
        at = writer.cursor
        try:
            assert writer.fill_zeros(wanted) == size == expected  # type: ignore[attr-defined]
        except PageFault as fault:
            assert fault.copied == expected < size
        assert writer.cursor - at == expected
        world.check()


@many
@given(pages=page_lists, read_only=read_only, data=st.data(),
       steps=st.lists(st.tuples(places(), kinds), min_size=1, max_size=8))
def test_values_are_what_the_model_has(
        port: MemoryPort, pages: list[int | None], read_only: frozenset[int], data: st.DataObject,
        steps: list[tuple[Place, type[Integer]]]) -> None:
    world = World(port, pages, read_only)
    for place, kind in steps:
        low = -(1 << 8 * kind.SIZE - 1) if kind.SIGNED else 0
        value = data.draw(st.integers(low, low + (1 << 8 * kind.SIZE) - 1))
        writer, reader = world.writer(place), world.reader(place)
        at = writer.cursor
        try:
            writer.write_val(kind, value)  # type: ignore[attr-defined]
            wrote = world.model.store(place, kind.encode(value))
            assert (wrote, writer.cursor - at) == (kind.SIZE, kind.SIZE)
        except InvalidArgs:
            assert place.size < kind.SIZE
        except PageFault as fault:
            assert fault.copied == world.model.store(place, kind.encode(value)) < kind.SIZE
            assert writer.cursor == at
        world.check()
        there = world.model.load(place, min(place.size, kind.SIZE))
        try:
            assert reader.read_val(kind) == kind.decode(there)  # type: ignore[attr-defined]
            assert reader.cursor - at == kind.SIZE
        except InvalidArgs:
            assert place.size < kind.SIZE
            assert reader.cursor == at
        except PageFault:
            assert len(there) < kind.SIZE
            assert reader.cursor == at
