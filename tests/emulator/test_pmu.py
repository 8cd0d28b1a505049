"""The device tree's `pmu` node: what firmware is told about the counters."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest

from emulator.board import Board
from emulator.booting import describe
from emulator.devicetree import Node, compile_tree, parse, source
from emulator.pmu import SBI_EVENTS, pmu_node
from emulator.timing.events import UNTIMED_EVENTS, Event
from tests.helpers.qemu import needs_qemu

Rows = list[tuple[int, ...]]


def rows(node: Node, name: str, columns: int) -> Rows:
    """A property of a tree that was read, as rows of cells."""
    value = node.properties[name]
    if value is True:
        return []
    assert isinstance(value, bytes)
    whole = len(value) // (4 * columns) * 4 * columns  # QEMU's ends with a part of a row
    return list(struct.iter_unpack(f">{columns}I", value[:whole]))


def read_back(events: Collection[Event]) -> Node:
    return parse(compile_tree(Node("", {}, [pmu_node(events)]))).root.children[0]


def test_a_machine_without_a_timing_model_says_that_it_counts_cycles_instructions_and_traps() -> None:
    node = read_back(UNTIMED_EVENTS)
    assert node.properties["compatible"] == b"riscv,pmu\0"
    assert rows(node, "riscv,event-to-mhpmevent", 3) == [(1, 0, 1), (2, 0, 2)]
    assert rows(node, "riscv,event-to-mhpmcounters", 3) == [(1, 1, 0x7FFF9), (2, 2, 0x7FFFC)]
    whole = (0xFFFF_FFFF, 0xFFFF_FFFF)
    assert rows(node, "riscv,raw-event-to-mhpmcounters", 5) == [(0, n, *whole, 0x7FFF8) for n in (1, 2, 3)]


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.NONE], ids=lambda event: event.name)
def test_an_event_is_listed_if_it_is_counted_and_only_then(event: Event) -> None:
    ours = {number for number, selected in SBI_EVENTS.items() if selected is event}
    for events, listed in (([event], ours), (set(Event) - {event}, set(SBI_EVENTS) - ours)):
        node = read_back(events)
        selectors = {number: selector for number, _, selector in rows(node, "riscv,event-to-mhpmevent", 3)}
        assert selectors == {number: SBI_EVENTS[number] for number in listed}
        assert {first for first, _, _ in rows(node, "riscv,event-to-mhpmcounters", 3)} == listed
        raw = {value for _, value, *_ in rows(node, "riscv,raw-event-to-mhpmcounters", 5)}
        assert raw == {int(counted) for counted in events if counted is not Event.NONE}


@pytest.mark.skipif(shutil.which("dtc") is None, reason="dtc (device-tree-compiler) is not installed")
@pytest.mark.parametrize("events", [UNTIMED_EVENTS, tuple(Event)], ids=["untimed", "all"])
def test_dtc_takes_the_machines_tree_without_a_warning(events: Collection[Event]) -> None:
    board = Board(harts=2)
    tree = describe(board, [make() for make in board.devices], events=events)
    for options, data in ((["-I", "dtb", "-O", "dts"], compile_tree(tree)), (["-O", "dtb"], source(tree).encode())):
        done = subprocess.run(["dtc", *options], input=data, capture_output=True, check=True)
        assert done.stderr == b""


@needs_qemu
@pytest.mark.qemu
def test_the_fixed_and_programmable_counters_are_those_of_qemus_board(tmp_path: Path) -> None:
    blob = tmp_path / "virt.dtb"
    subprocess.run(["qemu-system-riscv64", "-M", f"virt,dumpdtb={blob}"], capture_output=True, check=True)
    theirs = next(child for child in parse(blob.read_bytes()).root.children if child.name == "pmu")
    ours = rows(read_back(Event), "riscv,event-to-mhpmcounters", 3)
    for row in rows(theirs, "riscv,event-to-mhpmcounters", 3):
        assert row in ours or row[0] not in SBI_EVENTS
    assert theirs.properties["compatible"] == read_back(Event).properties["compatible"]
