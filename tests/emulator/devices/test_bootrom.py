"""The boot ROM: what a hart finds in its registers when it leaves it."""

from __future__ import annotations

import struct

import pytest

from emulator.board import Board
from emulator.loader.placement import Plan
from emulator.machine import Machine
from tests.helpers.assembler import assemble
from tests.helpers.machines import END, FIRMWARE, flat, image, load, machine


def behind_the_rom(harts: int) -> tuple[Machine, Plan]:
    made = Machine(Board(harts=harts))
    plan = made.boot(firmware=load(FIRMWARE), kernel=load(image("hello").path))
    made.run(max_insns=6 * harts)
    return made, plan


@pytest.mark.parametrize("harts", [1, 4])
def test_every_hart_starts_in_m_mode_at_the_rom(harts: int) -> None:
    for hart in Machine(Board(harts=harts)).harts:
        assert (hart.pc, hart.priv, hart.read("mhartid")) == (0x1000, 3, hart.id)


def test_a0_is_the_hart_a1_the_device_tree_a2_the_firmwares_instructions() -> None:
    made, plan = behind_the_rom(1)
    hart = made.harts[0]
    assert hart.pc == plan.entry == 0x8000_0000
    assert (hart.read("a0"), hart.read("a1"), hart.read("a2")) == (0, plan.device_tree, 0x1028)
    assert made.bus.read(hart.read("a1"), 4) == bytes.fromhex("d00dfeed")


def test_a0_is_each_harts_own_number() -> None:
    made = machine("sd a0, 0(sp)\n mv s0, a0\n1: j 1b", Board(harts=8))
    for hart in made.harts:
        hart.write("sp", 0x8001_0000 + 8 * hart.id)
    made.run(max_insns=8 * 100_000)
    assert [hart.read("s0") for hart in made.harts] == list(range(8))


def test_the_firmware_is_told_of_the_kernel() -> None:
    made, plan = behind_the_rom(1)
    magic, version, next_address, next_mode, options, boot_hart = struct.unpack("<6Q", made.bus.read(0x1028, 48))
    assert (magic, version, next_address, next_mode, options, boot_hart) == (
        0x4942534F, 2, plan.next_address, 1, 0, 0)
    assert next_address == 0x8020_0000


def test_a_kernel_in_the_firmwares_place_is_entered_in_m_mode() -> None:
    made = machine("csrr s0, mhartid\n auipc s1, 0\n" + END)
    assert made.run(max_insns=1000).ok
    assert made.harts[0].read("s1") == 0x8000_0004


@pytest.mark.parametrize("store", ["sb", "sh", "sw", "sd", "amoadd.w"])
def test_a_store_to_the_rom_changes_nothing_and_traps_nothing(store: str) -> None:
    access = f"{store} t1, 0(t0)" if store[0] == "s" else f"{store} t2, t1, (t0)"
    made = machine(f"li t0, 0x1008\n li t1, -1\n {access}\n lwu s0, 0(t0)\n" + END)
    before = made.bus.read(0x1000, 0xF000)
    assert made.run(max_insns=1000).ok
    assert made.bus.read(0x1000, 0xF000) == before
    assert made.harts[0].read("s0") == int.from_bytes(before[8:12], "little")


def test_the_kernel_that_is_booted_next_is_in_the_rom() -> None:
    made = Machine()
    made.boot(kernel=flat(assemble(END, 0x8010_0000), 0x8010_0000))
    assert struct.unpack("<Q", made.bus.read(0x1018, 8)) == (0x8010_0000,)
    assert made.run(max_insns=100).ok
