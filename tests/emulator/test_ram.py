"""Memory: from 1 MiB to 64 GiB, in banks with holes, the same bytes for guest and host."""

from __future__ import annotations

import subprocess
import sys

import fdt
import pytest

from emulator.board import Board
from emulator.errors import BoardError, BusError
from emulator.machine import Machine
from emulator.range import Range
from tests.helpers.machines import END, FIRMWARE, ROOT, flat, image, load, machine, run

MIB, GIB = 1 << 20, 1 << 30
BANKS = (Range(0x8000_0000, MIB), Range(0x8010_0000, MIB), Range(0x9000_0000, MIB), Range(1 << 40, MIB),
         Range((1 << 50) - MIB, MIB))


@pytest.mark.parametrize("size", [MIB, 2 * MIB, 128 * MIB, 3 * GIB, 5 * GIB, 64 * GIB])
def test_the_guest_reaches_the_last_byte_and_not_one_more(size: int) -> None:
    made = run(f"""
            la      t0, vector
            csrw    mtvec, t0
            li      t0, {0x8000_0000 + size - 8}
            li      t1, 0x1122334455667788
            sd      t1, 0(t0)
            ld      s0, 0(t0)
            lbu     s1, 8(t0)           # traps
            j       end
            .align  4
    vector: csrr    s2, mcause
            csrr    s3, mtval
    end:
    """ + END, Board(memory=size))
    hart = made.harts[0]
    assert (hart.read("s0"), hart.read("s2"), hart.read("s3")) == (0x1122334455667788, 5, 0x8000_0000 + size)
    assert made.bus.read(0x8000_0000 + size - 8, 8) == bytes.fromhex("8877665544332211")


@pytest.mark.parametrize("size", [MIB, 64 * GIB])
def test_a_program_boots_in_the_smallest_and_the_largest_memory(size: int) -> None:
    assert machine(END, Board(memory=size)).run(max_insns=1000).ok


def test_the_firmware_and_hello_boot_in_64_gib() -> None:
    made = Machine(Board(memory=64 * GIB, harts=8))
    made.boot(kernel=load(image("hello").path), firmware=load(FIRMWARE))
    assert made.run(max_insns=20_000_000).ok
    assert image("hello").printed(made.console) == image("hello").expected


def test_64_gib_cost_next_to_nothing_until_they_are_used() -> None:
    code = """if True:
        import time
        from emulator.board import Board
        from emulator.machine import Machine
        Machine().close()
        started = time.perf_counter()
        made = Machine(Board(memory=64 << 30))
        seconds = time.perf_counter() - started
        status = open("/proc/self/status").read()
        print(seconds, int(status.split("VmRSS:")[1].split()[0]) // 1024)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60, capture_output=True,
                          text=True)
    seconds, resident = done.stdout.split()
    assert float(seconds) < 0.5 and int(resident) < 200  # `bench` holds them to 0.1 s and 100 MiB


def test_every_bank_holds_data_and_the_holes_between_are_access_faults() -> None:
    ends = [at for bank in BANKS[1:] for at in (bank.base, bank.end - 8)]
    stores = "".join(f"li t0, {at}\n sd t0, 0(t0)\n" for at in ends)
    made = run(f"""
            la      t0, vector
            csrw    mtvec, t0
            {stores}
            li      s2, 0
            li      t0, 0x80200000      # between the second and the third
            ld      t1, 0(t0)
            li      t0, 0x90100000
            sd      t1, 0(t0)
            li      t0, {1 << 40 | MIB}
            ld      t1, 0(t0)
            li      t0, {1 << 50}
            ld      t1, 0(t0)
            j       end
            .align  4
    vector: addi    s2, s2, 1
            csrr    t2, mcause
            slli    s3, s3, 4
            or      s3, s3, t2
            csrr    t2, mepc
            addi    t2, t2, 4
            csrw    mepc, t2
            mret
    end:
    """ + END, Board(banks=BANKS))
    for at in ends:
        assert made.bus.read(at, 8) == at.to_bytes(8, "little")
    assert (made.harts[0].read("s2"), made.harts[0].read("s3")) == (4, 0x5755)


def test_an_access_may_cross_from_one_bank_into_the_next() -> None:
    made = run("li t0, 0x800ffffc\n li t1, 0x1122334455667788\n sd t1, 0(t0)\n ld s0, 0(t0)\n" + END,
               Board(banks=BANKS))
    assert made.harts[0].read("s0") == 0x1122334455667788
    assert made.bus.read(0x8010_0000, 4) == bytes.fromhex("44332211")


def test_code_may_cross_from_one_bank_into_the_next() -> None:
    made = run("""
            li      t0, 0x800ffffe      # addi a0, a0, 1 over the border, then ret
            li      t1, 0x00150513
            sh      t1, 0(t0)
            srli    t1, t1, 16
            sh      t1, 2(t0)
            li      t1, 0x8082
            sh      t1, 4(t0)
            fence.i
            li      a0, 41
            jalr    ra, 0(t0)
    """ + END, Board(banks=BANKS))
    assert made.harts[0].read("a0") == 42


def test_an_instruction_half_behind_the_end_of_ram_faults_at_the_half_that_is_missing() -> None:
    made = run("""
            la      t0, vector
            csrw    mtvec, t0
            li      t0, 0x800ffffe
            li      t1, 0x0013
            sh      t1, 0(t0)
            fence.i
            jr      t0
            .align  4
    vector: csrr    s0, mcause
            csrr    s1, mtval
            csrr    s2, mepc
    """ + END, Board(memory=MIB))
    assert [made.harts[0].read(name) for name in ("s0", "s1", "s2")] == [1, 0x8010_0000, 0x800F_FFFE]


def test_guest_and_host_see_the_same_bytes_at_once() -> None:
    made = machine("la t0, 2f\n1: ld a0, 0(t0)\n sd a1, 8(t0)\n j 1b\n .align 8\n2: .dword 1, 2")
    view = made.bus.memory(0x8000_0000, 64)
    made.run(max_insns=100)
    assert made.harts[0].read("a0") == 1
    at = bytes(view).index(b"\1\0\0\0\0\0\0\0")
    view[at] = 77
    made.harts[0].write("a1", 0xABCD)
    made.run(max_insns=100)
    assert made.harts[0].read("a0") == 77 and bytes(view[at + 8:at + 10]) == b"\xcd\xab"


def test_the_host_gets_a_bus_error_where_nothing_answers() -> None:
    made = Machine(Board(banks=BANKS))
    for address, size in ((0, 1), (0x8020_0000, 1), (0x801F_FFFF, 2), (1 << 50, 1), (1 << 63, 8), (0x7FFF_FFFF, 1)):
        with pytest.raises(BusError, match="no memory"):
            made.bus.read(address, size)
    with pytest.raises(BusError, match="hart 0 cannot read|no memory"):
        made.harts[0].read_memory(0x8020_0000, 4)


def test_banks_and_reserved_ranges_are_in_the_device_tree() -> None:
    made = Machine(Board(banks=BANKS, reserved=(Range(0x9000_0000, 0x1000), Range(1 << 40, 0x2000))))
    plan = made.boot(kernel=flat(b"\x6f\0\0\0"))
    tree = fdt.parse_dtb(made.bus.read(plan.device_tree, 0x4000))
    found = []
    for node in tree.root.nodes:
        if node.name.startswith("memory@"):
            cells = node.get_property("reg").data
            found += [Range(cells[i] << 32 | cells[i + 1], cells[i + 2] << 32 | cells[i + 3])
                      for i in range(0, len(cells), 4)]
    assert sorted(found, key=lambda bank: bank.base) == list(BANKS)
    reserved = [node.name for node in tree.get_node("/reserved-memory").nodes]
    assert {name.partition("@")[2] for name in reserved} >= {"90000000", "10000000000"}


@pytest.mark.parametrize("options", [
    {"memory": 0}, {"memory": -1}, {"memory": 4096}, {"memory": MIB - 4096}, {"memory": MIB + 1},
    {"memory": 64 * GIB + 4096}, {"memory": 1 << 70}, {"harts": 0}, {"harts": 9}, {"harts": -1},
    {"banks": (Range(0x8000_0000, MIB), Range(0x8008_0000, MIB))},
    {"banks": (Range(0x9000_0000, MIB), Range(0x8000_0000, MIB))}, {"banks": (Range(0x7000_0000, MIB),)},
    {"banks": (Range(0x8000_0800, MIB),)}, {"banks": (Range(0x8000_0000, 0), Range(0x9000_0000, MIB))},
    {"banks": (Range(1 << 50, MIB),)}, {"banks": tuple(Range(0x8000_0000 + i * 2 * MIB, MIB) for i in range(40))},
    {"mmu": "sv32"}, {"quantum": 0}, {"clock_hz": 0}, {"clock_hz": -10_000_000}, {"clock_hz": 15_000_000},
    {"timebase_hz": 0}, {"timebase_hz": -1},
])
def test_a_board_that_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(BoardError):
        Board(**options)  # type: ignore[arg-type]
