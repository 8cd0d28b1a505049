"""The two sides of the agreement: kernel.S and kernel/cpu/abi.py say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kernel.cpu import abi
from kernel.cpu.abi import Command, HostCallNumber, TrapFrame
from kernel.text.image import HEADER_ADDRESS, KERNEL_ADDRESS, RawHeader

SOURCE = (Path(__file__).resolve().parents[3] / "kernel" / "text" / "kernel.S").read_text()


def defined(name: str) -> int:
    """The value of a #define of the source."""
    found = re.search(rf"^#define {name}\s+(.+?)(\s*/\*.*)?$", SOURCE, re.MULTILINE)
    assert found, name
    return int(eval(found[1], {}, {}))


def test_host_calls_have_the_same_numbers() -> None:
    assert {call.name: defined(call.name) for call in HostCallNumber} == {call.name: call for call in HostCallNumber}
    assert len(re.findall(r"HOST_CALL [A-Z]", SOURCE)) == len(HostCallNumber)


def test_commands_are_in_the_same_order() -> None:
    table = SOURCE[SOURCE.index("\ncommands:"):SOURCE.index("\ncommands_end:")]
    assert re.findall(r"\.quad\s+do_(\w+)", table) == [command.name.lower() for command in Command]
    assert [*Command] == [*range(len(Command))]


def test_the_trap_frame_has_the_same_layout() -> None:
    for name in ("KERNEL_SP", "SEPC", "SSTATUS", "SCAUSE", "STVAL"):
        assert defined(f"FRAME_{name}") == getattr(TrapFrame, name.lower()).offset
    assert defined("FRAME_SIZE") == TrapFrame.SIZE and TrapFrame.SIZE % 16 == 0


def test_the_trap_frames_registers_are_those_of_the_hart() -> None:
    from emulator.hart import X_NAMES

    assert [(field.name, field.offset) for field in TrapFrame.FIELDS[1:32]] == [
        (name, 8 * number) for number, name in enumerate(X_NAMES) if number]


@pytest.mark.parametrize("name", ["SSTATUS_SIE", "SSTATUS_SPP", "SSTATUS_SUM", "SSI"])
def test_status_bits_are_the_same(name: str) -> None:
    assert defined(name) == getattr(abi, name)


def test_host_calls_are_of_the_custom_0_opcode() -> None:
    assert [call.instruction for call in HostCallNumber] == [0x0b, 0x0200_000b, 0x0400_000b]


def test_the_header_has_the_same_fields_in_the_same_order() -> None:
    header = SOURCE[SOURCE.index("\nheader:"):SOURCE.index("\nheader_end:")]
    found = [next(filter(None, match)) for match in re.findall(r"PHYSICAL\((\w+)\)|\.quad\s+(\w+)", header)]
    names = {"__kernel_start": "kernel_start", "__kernel_end": "kernel_end", "console_buffer": "console"}
    assert [names.get(name, name.lower()) for name in found] == [
        field.name for field in RawHeader.FIELDS if field.name not in ("magic", "version", "size")]
    assert f".org    _start + {HEADER_ADDRESS - KERNEL_ADDRESS}\n" in SOURCE
