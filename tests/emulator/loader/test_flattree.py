"""Device trees from users: each malformed one is refused where it is wrong, and none costs much."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.devicetree import Node, amend, check, compile_tree, decompile, describe_machine, parse, reg
from emulator.errors import DeviceTreeError
from emulator.loader import flattree

SAMPLE = compile_tree(
    describe_machine(
        harts=1, isa="rv64imafdc", mmu="riscv,sv48", timebase_frequency=10_000_000, memory=[(0x8000_0000, 1 << 28)],
        bootargs="console=ttyS0", devices=[Node("serial@10000000", {"reg": reg((0x1000_0000, 0x100))})],
    ),
    [(0x8000_0000, 4096)],
)


def broken(at: int, value: int, data: bytes = SAMPLE) -> bytes:
    buffer = bytearray(data)
    struct.pack_into(">I", buffer, at, value)
    return bytes(buffer)


def structure(*words: bytes | int) -> bytes:
    """A tree whose structure block is these words and whose strings are "x" and "y"."""
    block = b"".join(word.to_bytes(4, "big") if isinstance(word, int) else word for word in words)
    total = 56 + len(block) + 4
    header = struct.pack(">10I", 0xD00DFEED, total, 56, 56 + len(block), 40, 17, 16, 0, 4, len(block))
    return header + bytes(16) + block + b"x\0y\0"


@pytest.mark.parametrize(
    ("data", "fragments"),
    [
        (b"", ["header at offset 0x0", "40 bytes"]),
        (SAMPLE[:39], ["header at offset 0x27"]),
        (broken(0, 0xEDFE0DD0), ["magic at offset 0x0", "0xedfe0dd0", "0xd00dfeed"]),
        (SAMPLE[:-1], ["totalsize at offset 0x4", "truncated"]),
        (broken(4, 39), ["totalsize"]),
        (broken(8, 0xFFFF_FFFC), ["off_dt_struct at offset 0x8"]),
        (broken(8, 58), ["off_dt_struct", "multiple of 4"]),
        (broken(8, 0), ["off_dt_struct"]),
        (broken(12, len(SAMPLE)), ["off_dt_strings at offset 0xc"]),
        (broken(16, len(SAMPLE) - 8 & ~7), ["off_mem_rsvmap at offset 0x10"]),
        (broken(16, 44), ["off_mem_rsvmap", "multiple of 8"]),
        (broken(20, 16), ["version at offset 0x14", "found 16"]),
        (broken(24, 18), ["version", "compatible with 18"]),
        (broken(32, 0xFFFF_FFFF), ["off_dt_strings"]),
        (broken(36, 8), ["token at offset", "end of the structure block"]),
        (structure(9), ["token at offset 0x38", "0x9"]),
        (structure(1, 0, 2), ["token at offset 0x44"]),
        (structure(1, 0, 9), ["token at offset 0x40", "1 nodes deep"]),
        (structure(2), ["token at offset 0x38"]),
        (structure(1, 0, 2, 1, b"a\0\0\0", 2, 9), ["token at offset 0x44", "0x1"]),
        (structure(1, 0, 7, 2, 9), ["token at offset 0x40", "0x7"]),
        (structure(1, b"abc\0", 2, 9), ["node name", "'abc'", "the root"]),
        (structure(1, 0, 1, 0, 2, 2, 9), ["node name", "''", "a name"]),
        (structure(1, 0, 1, b"a/b\0", 2, 2, 9), ["node name", "'a/b'"]),
        (structure(1, b"aaaa", b"aaaa"), ["node name", "no end"]),
        (structure(1, 0, 1, b"a\0\0\0", 2, 1, b"a\0\0\0", 2, 2, 9), ["a second a"]),
        (structure(1, 0, 3, 0, 0, 3, 0, 0, 2, 9), ["property at offset 0x4c", "each once"]),
        (structure(1, 0, 1, b"a\0\0\0", 2, 3, 0, 0, 2, 9), ["before child nodes"]),
        (structure(1, 0, 3, 9, 0, 2, 9), ["property at offset 0x40", "0x9 bytes"]),
        (structure(1, 0, 3, 0xFFFF_FFFF, 0, 2, 9), ["0xffffffff bytes"]),
        (structure(1, 0, 3, 0, 99, 2, 9), ["property name", "0x63"]),
        (structure(1, 0, 3, 0, 1, 2, 9), ["property name", "''"]),
        (structure(1, 0, 3, 0), ["property name at offset", "end of the structure block"]),
    ],
)
def test_malformed_tree_is_refused_where_it_is_wrong(data: bytes, fragments: list[str]) -> None:
    with pytest.raises(DeviceTreeError) as caught:
        check(data, "x.dtb")
    assert str(caught.value).startswith("x.dtb: ")
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_reservations_without_an_end_are_refused() -> None:
    data = bytearray(structure(1, 0, 2, 9))
    data[40:56] = b"\1" * 16
    with pytest.raises(DeviceTreeError, match="memory reservations at offset 0x28"):
        parse(bytes(data))


def test_no_operation_tokens_are_skipped() -> None:
    assert parse(structure(4, 1, 0, 4, 3, 0, 0, 4, 2, 4, 9)).root == Node("", {"x": True})


@pytest.mark.parametrize("levels", [flattree.DEEPEST_NODE, flattree.DEEPEST_NODE + 1, 50_000])
def test_depth_is_bounded(levels: int) -> None:
    opened: list[bytes | int] = [1, b"a\0\0\0"]
    data = structure(1, 0, *opened * (levels - 1), *[2] * levels, 9)
    if levels <= flattree.DEEPEST_NODE:
        decompile(amend(data, "x"))
    else:
        with pytest.raises(DeviceTreeError, match="64 levels"):
            parse(data)


def test_size_is_bounded() -> None:
    with pytest.raises(DeviceTreeError, match="at most 2097152"):
        parse(broken(4, (2 << 20) + 1) + bytes(2 << 20))


def test_the_largest_number_of_properties_takes_seconds_at_most() -> None:
    tree = Node("", {f"p{n}": n for n in range(flattree.MOST_PROPERTIES)})
    begun = time.monotonic()
    data = amend(compile_tree(tree))
    decompile(data)
    assert time.monotonic() - begun < 20
    tree.properties["more"] = 1
    with pytest.raises(DeviceTreeError, match="at most 32768"):
        parse(compile_tree(tree))


EDGES = st.sampled_from([0, 1, 2, 3, 4, 9, 39, 40, 41, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFC, 0xFFFF_FFFF, len(SAMPLE)])
PATCHES = st.lists(
    st.tuples(st.integers(0, len(SAMPLE) // 4 - 1), EDGES | st.integers(0, 0xFFFF_FFFF)), min_size=1, max_size=4
)


def judge(data: bytes) -> None:
    """Every operation on user-supplied bytes gives its result or the typed error, at once."""
    begun = time.monotonic()
    try:
        check(data, "x")
    except DeviceTreeError as error:
        assert str(error).startswith("x: ")
        assert "\n" not in str(error)
    else:
        tree = parse(data)
        assert parse(amend(data)) == tree
        decompile(data)
    assert time.monotonic() - begun < 2


@settings(max_examples=500, deadline=None)
@given(PATCHES, st.integers(0, 3))
@example([(1, 0x20000)], 0)
def test_mutated_tree(patches: list[tuple[int, int]], shift: int) -> None:
    data = SAMPLE
    for word, value in patches:
        data = broken(min(4 * word + shift, len(data) - 4), value, data)
    judge(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SAMPLE)))
def test_truncated_tree(length: int) -> None:
    judge(SAMPLE[:length])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, 4, 9, 0]) | st.binary(min_size=4, max_size=4), max_size=40))
def test_random_structure(words: list[int | bytes]) -> None:
    judge(structure(1, 0, *words, 2, 9))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes(body: bytes) -> None:
    judge(body)
    judge(b"\xd0\x0d\xfe\xed" + body)
