"""A debugger's work, by its API: which instruction corrupted the free list in images/slab-corruption?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elftools.elf.elffile import ELFFile

from emulator.debug import HostWrote, Target, WatchAt
from emulator.stop import Exited, HistoryBegins, Watch, Watchpoint
from tests.helpers.machines import image

SHOWN = image("slab-corruption")
Symbols = dict[str, tuple[int, int]]


@pytest.fixture
def target() -> Iterator[Target]:
    machine = SHOWN.boot()
    with Target(machine) as held:
        yield held
    machine.close()


@pytest.fixture(scope="module")
def symbols() -> Symbols:
    """Address and size of every symbol of the image."""
    with SHOWN.path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {symbol.name: (symbol["st_value"], symbol["st_size"]) for symbol in table.iter_symbols()}


def word(target: Target, address: int) -> int:
    return int.from_bytes(target.machine.bus.read(address, 8), "little")


def inside(address: int, symbol: tuple[int, int]) -> bool:
    return symbol[0] <= address < symbol[0] + symbol[1]


def test_last_write_and_reverse_resume_find_the_instruction(target: Target, symbols: Symbols) -> None:
    assert target.resume() == Exited(1)
    end = target.position
    free = symbols["messages"][0] + 16
    wild = word(target, free)
    assert f"leads to {wild:x}".encode() in target.machine.console

    head = target.last_write(free, 8)  # the allocator, which has only handed on a link
    assert head is not None
    assert isinstance(head.stop, Watchpoint)
    assert inside(head.stop.pc, symbols["slab_alloc"])
    assert head.after == wild.to_bytes(8, "little")
    assert target.position == end

    target.seek(head.place)
    slot = word(target, free)
    assert word(target, slot) == wild  # the slot that was at the head has the damaged link in it
    target.points.add(WatchAt(Watch(slot, 8)))
    stop = target.reverse_resume()
    assert isinstance(stop, Watchpoint)
    assert inside(stop.pc, symbols["copy_text"])
    assert (stop.address, stop.size) == (slot, 1)
    assert target.machine.harts[0].pc == stop.pc
    assert target.machine.bus.read(stop.pc, 4) == 0x00050023.to_bytes(4, "little")  # sb zero, 0(a0)
    assert word(target, slot) == wild | 0xb0  # as slab_free left it
    text = target.machine.harts[0].read_memory(slot - 32, 32)
    assert len(text.rstrip(b"\0")) == 32
    assert text.startswith(b"Veronica sells ")

    written = target.last_write(slot, 8)  # and before that, it was freed by the rules
    assert written is not None
    assert isinstance(written.stop, Watchpoint)
    assert inside(written.stop.pc, symbols["slab_free"])
    assert end.steps - target.position.steps > 1_000_000


def test_without_the_one_byte_the_free_list_is_sound(target: Target, symbols: Symbols) -> None:
    target.resume()
    head = target.last_write(symbols["messages"][0] + 16, 8)
    assert head is not None
    target.seek(head.place)
    slot = word(target, symbols["messages"][0] + 16)
    target.points.add(WatchAt(Watch(slot, 8)))
    target.reverse_resume()
    target.changing()
    target.machine.harts[0].pc += 4  # past the store
    target.points.remove(next(iter(target.points)))
    assert target.resume() == Exited(0)
    assert target.machine.console.endswith(b"all messages received, 0 left\r\n")


def test_before_the_image_was_loaded_nothing_wrote_there(target: Target, symbols: Symbols) -> None:
    target.resume()
    assert target.last_write(symbols["goods"][0], 8) is None
    target.points.add(WatchAt(Watch(symbols["goods"][0], 8)))
    assert target.reverse_resume() == HistoryBegins()
    assert not isinstance(target.stop, HostWrote)
    assert target.position.steps == 0
