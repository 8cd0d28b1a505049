"""Accesses to devices: their ends, widths and alignments, from the guest and over the bus; devices in Python."""

from __future__ import annotations

import pytest

from emulator.board import Board, virt_devices
from emulator.devices.device import Device
from emulator.errors import BoardError, BusError
from emulator.machine import Machine
from tests.helpers.machines import END, machine

LOAD_FAULT, STORE_FAULT, FETCH_FAULT = 5, 7, 1
NO_TRAP = (1 << 64) - 1


def trap_of(address: int, access: str, board: Board | None = None) -> tuple[int, int]:
    """mcause and mtval of an access by `t0` = `address`; (NO_TRAP, ...) if it does not trap."""
    made = machine(f"""
            la      t1, vector
            csrw    mtvec, t1
            li      t0, {address}
            {access}
            li      s0, -1
    """ + END + """
            .align  4
    vector: csrr    s0, mcause
            csrr    s1, mtval
    """ + END, board)
    assert made.run(max_insns=1000).ok
    return made.harts[0].read("s0"), made.harts[0].read("s1")


@pytest.mark.parametrize(("last", "access"), [
    (0x1000_00FF, "lbu a0, 0(t0)"), (0x1000_00FC, "lw a0, 0(t0)"), (0x1000_00F8, "ld a0, 0(t0)"),
    (0x1000_00FF, "sb a0, 0(t0)"), (0x0200_FFF8, "ld a0, 0(t0)"), (0x0C5F_FFFC, "lw a0, 0(t0)"),
    (0x0010_0FFC, "lw a0, 0(t0)"), (0x0010_1FFC, "lw a0, 0(t0)"), (0xFFFF, "lbu a0, 0(t0)"), (0x1000, "lbu a0, 0(t0)"),
])
def test_a_devices_last_register_answers(last: int, access: str) -> None:
    assert trap_of(last, access)[0] == NO_TRAP


@pytest.mark.parametrize("address", [0, 0xFFF, 0x1_0000, 0x000F_FFFF, 0x0010_2000, 0x01FF_FFFF, 0x0201_0000,
                                     0x0BFF_FFFF, 0x0C60_0000, 0x1000_0100, 0x1000_0FFF, 0x1000_9000, 0x7FFF_FFFF,
                                     0x8800_0000, 1 << 40, 1 << 55, (1 << 56) - 1, 1 << 63, (1 << 64) - 1])
def test_an_address_that_nothing_answers_is_an_access_fault(address: int) -> None:
    assert trap_of(address, "lbu a0, 0(t0)") == (LOAD_FAULT, address)
    assert trap_of(address, "sb a0, 0(t0)") == (STORE_FAULT, address)


@pytest.mark.parametrize(("address", "access"), [
    (0x1000_00FE, "lw a0, 0(t0)"), (0x1000_00FC, "ld a0, 0(t0)"), (0x1000_00FF, "lhu a0, 0(t0)"),
    (0x0200_FFFC, "ld a0, 0(t0)"), (0x0200_FFFF, "lw a0, 0(t0)"), (0xFFFE, "lw a0, 0(t0)"), (0xFFC, "ld a0, 0(t0)"),
])
def test_an_access_over_a_devices_end_is_an_access_fault(address: int, access: str) -> None:
    cause, value = trap_of(address, access)
    assert cause == LOAD_FAULT and address <= value < address + 8
    cause, value = trap_of(address, access.replace("l", "s", 1).replace("hu", "h"))
    assert cause == STORE_FAULT and address <= value < address + 8


@pytest.mark.parametrize("address", [0x0010_0000, 0x0200_0000, 0x0C00_0000, 0x1000_0000])
def test_devices_hold_no_code(address: int) -> None:
    assert trap_of(address, "jr t0") == (FETCH_FAULT, address)


def test_atomics_on_a_device_do_not_hang_or_crash() -> None:
    for access in ("amoadd.w a0, a1, (t0)", "lr.w a0, (t0)", "sc.w a0, a1, (t0)"):
        assert trap_of(0x0200_4000, access)[0] in (NO_TRAP, LOAD_FAULT, STORE_FAULT)


# --- devices in Python ----------------------------------------------------------------------------


class Recorder(Device):
    """Remembers every access; byte i reads as i."""

    name = "recorder"

    def __init__(self, base: int = 0x2000_0000, size: int = 0x1000) -> None:
        super().__init__(base, size)
        self.accesses: list[tuple[str, int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        value = int.from_bytes(bytes((offset + i) & 255 for i in range(size)), "little")
        self.accesses.append(("r", offset, size, value))
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self.accesses.append(("w", offset, size, value))


def recorded(access: str, offset: int) -> tuple[Machine, list[tuple[str, int, int, int]]]:
    made = machine(f"li t0, {0x2000_0000 + offset}\n li a1, 0x8877665544332211\n {access}\n" + END,
                   Board(devices=(*virt_devices(), Recorder)))
    assert made.run(max_insns=1000).ok
    recorder = made.devices[-1]
    assert isinstance(recorder, Recorder)
    return made, recorder.accesses


@pytest.mark.parametrize(("load", "size", "value"), [
    ("lbu", 1, 0x10), ("lhu", 2, 0x1110), ("lwu", 4, 0x13121110), ("lb", 1, 0x10), ("lw", 4, 0x13121110)])
def test_a_load_is_one_read_of_its_width(load: str, size: int, value: int) -> None:
    made, accesses = recorded(f"{load} a0, 0(t0)", 0x10)
    assert accesses == [("r", 0x10, size, value)] and made.harts[0].read("a0") == value


def test_a_doubleword_arrives_as_two_words_the_lower_one_first() -> None:
    made, accesses = recorded("ld a0, 0(t0)", 8)
    assert [(kind, offset, size) for kind, offset, size, _ in accesses] == [("r", 8, 4), ("r", 12, 4)]
    assert made.harts[0].read("a0") == 0x0F0E0D0C0B0A0908
    assert recorded("sd a1, 0(t0)", 8)[1] == [("w", 8, 4, 0x44332211), ("w", 12, 4, 0x88776655)]


@pytest.mark.parametrize(("store", "size", "value"), [("sb", 1, 0x11), ("sh", 2, 0x2211), ("sw", 4, 0x44332211)])
def test_a_store_is_one_write_of_its_width(store: str, size: int, value: int) -> None:
    assert recorded(f"{store} a1, 0(t0)", 0x20)[1] == [("w", 0x20, size, value)]


@pytest.mark.parametrize("offset", [1, 2, 3, 5, 6])
def test_a_misaligned_access_reaches_the_bytes_it_names(offset: int) -> None:
    made, _ = recorded("lwu a0, 0(t0)", offset)
    assert made.harts[0].read("a0") == int.from_bytes(bytes(range(offset, offset + 4)), "little")
    written: dict[int, int] = {}
    for kind, at, size, value in recorded("sw a1, 0(t0)", offset)[1]:
        assert kind == "w"
        written.update({at + i: value >> 8 * i & 255 for i in range(size)})
    assert written == {offset + i: 0x44332211 >> 8 * i & 255 for i in range(4)}


def test_the_bus_makes_the_accesses_that_a_hart_would_make() -> None:
    made = Machine(Board(devices=(*virt_devices(), Recorder)))
    recorder = made.devices[-1]
    assert isinstance(recorder, Recorder)
    assert made.bus.load(0x2000_0008, 8) == 0x0F0E0D0C0B0A0908
    made.bus.store(0x2000_0010, 8, 0x8877665544332211)
    assert recorder.accesses == [("r", 8, 4, 0x0B0A0908), ("r", 12, 4, 0x0F0E0D0C),
                                 ("w", 16, 4, 0x44332211), ("w", 20, 4, 0x88776655)]
    with pytest.raises(BusError):
        made.bus.load(0x2000_0FFC, 8)


@pytest.mark.parametrize(("base", "size"), [
    (0x2000_0800, 0x1000), (0x2000_0000, 0), (0x2000_0000, -4096), (0x1000_0080, 0x1000), (0x8000_0000, 0x1000),
    (0x7FFF_F000, 0x2000), (0x1000, 0x1000), (1 << 64, 0x1000), (-4096, 0x1000)])
def test_a_device_that_cannot_be_there_is_refused_by_name(base: int, size: int) -> None:
    with pytest.raises(BoardError, match="recorder"):
        Machine(Board(devices=(*virt_devices(), lambda: Recorder(base, size))))


def test_a_machine_takes_only_so_many_devices() -> None:
    def at(number: int) -> Recorder:
        return Recorder(0x2000_0000 + number * 0x1000)

    with pytest.raises(BoardError):
        Machine(Board(devices=tuple((lambda i=i: at(i)) for i in range(100))))
