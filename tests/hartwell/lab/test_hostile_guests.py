"""Allocators that mean harm: what they do to their machine is a finding, and never an error of the host's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.loader import load_image
from hartwell.cli import main
from hartwell.lab.errors import SpecError, SubjectFailed
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.subject import catalogue, load_subject
from hartwell.lab.subject.guest import PANIC, GuestSubject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial

RET = 0x8067


@pytest.fixture(scope="module")
def naive() -> Iterator[GuestSubject]:
    with load_subject("naive", Setting(memory=16 << 20, given=1 << 20)) as subject:
        assert isinstance(subject, GuestSubject)
        yield subject


@pytest.fixture
def hostile(naive: GuestSubject) -> Iterator[GuestSubject]:
    """An allocator whose code tests write over; it is sound again for the next one."""
    sound = naive.pristine
    yield naive
    naive.pristine = sound
    naive.reset()


def becomes(subject: GuestSubject, code: bytes) -> None:
    """What the pristine subject does to allocate is `code`."""
    subject.reset()
    at = subject.machine.harts[0].translate(subject.text.address("hartwell_frame_alloc"))
    assert at is not None
    subject.machine.bus.write(at, code)
    subject.keep()


def words(*code: int) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in code)


def finding(subject: GuestSubject) -> Finding:
    """What is said about an allocation."""
    program = Program()
    program.alloc(4096, 4096)
    [found] = Trial(subject).run(program.operations, conserve=False).findings
    return found


def test_an_address_at_the_end_of_all_addresses_is_out_of_range(hostile: GuestSubject) -> None:
    becomes(hostile, words(0xFFF0_0513, RET))  # li a0, -1
    assert finding(hostile).kind in (FindingKind.OUT_OF_RANGE, FindingKind.MISALIGNED)


def test_a_last_word_is_one_line_that_a_terminal_takes_as_text(hostile: GuestSubject) -> None:
    becomes(hostile, words(0x517, 0xC5_0513, PANIC) + b"gone:\n\x1b[2J\xff\0")  # auipc a0, 0; addi a0, a0, 12
    found = finding(hostile)
    assert found.kind is FindingKind.CRASH and found.details["panic"] == "gone:\\n\\x1b[2J\\xff"


@pytest.mark.parametrize("code", [
    pytest.param(words(0x1800_1073), id="csrw satp, zero"),
    pytest.param(words(0x1050_1073, 0), id="csrw stvec, zero, and a trap"),
    pytest.param(words(0x113, RET), id="li sp, 0"),
    pytest.param(words(0x80_0893, 0x73), id="li a7, 8; ecall: switch the machine off"),
    pytest.param(words(0x1050_0073, 0xFFDF_F06F), id="wfi, again and again"),
    pytest.param(words(0xB), id="the kernel's own host call"),
    pytest.param(words(0x1020_0073), id="sret"),
])
def test_what_an_allocator_does_to_its_hart_is_a_finding(hostile: GuestSubject, code: bytes) -> None:
    becomes(hostile, code)
    assert finding(hostile).kind in (FindingKind.CRASH, FindingKind.HANG)


@pytest.mark.parametrize("number", [0, 2, 1 << 63, (1 << 64) - 1])
def test_a_kernel_that_is_written_over_is_a_finding(hostile: GuestSubject, number: int) -> None:
    """The kernel's text keeps which hart a CPU is: a guest can write there, too."""
    service = hostile.kernel.service
    hostile.machine.bus.write(service.header.cpus, number.to_bytes(8, "little"))
    with pytest.raises(SubjectFailed, match="the kernel's own memory was damaged") as failed:
        program = Program()
        program.alloc(4096, 4096)
        hostile.run(program.operations)
    assert failed.value.finding.kind is FindingKind.CRASH
    hostile.reset()
    assert Trial(hostile).run(program.operations, conserve=False).ok


def test_what_is_no_elf_is_called_so() -> None:
    with pytest.raises(SpecError, match="mine: is no ELF file: begins with 00 01 02 03; expected 7f 45 4c 46"):
        GuestSubject(bytes(range(256)), "mine")


def test_an_allocator_that_does_not_come_up_is_no_mistake_on_the_command_line(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Its first function is code that is none: all commands say so in a line, and end with 1."""
    elf = catalogue.find("naive")
    assert elf is not None
    data = bytearray(elf.read_bytes())
    image = load_image(bytes(data), "naive", 0)
    symbol = image.symbols.find("hartwell_frame_add_free_memory")
    assert symbol is not None
    segment = image.segments[0]
    where = data.find(bytes(segment.data[symbol.address - segment.virtual:][:16]))
    data[where:where + 4] = bytes(4)
    file = tmp_path / "bad.elf"
    file.write_bytes(data)
    for command in (["trial"], ["cost", "-n", "10"], ["race", "--budget", "10"], ["hang"],
                    ["client", "client-bugs", "--frame-allocator"]):
        monkeypatch.setattr("sys.argv", ["hartwell", "lab", *command, str(file)])
        assert main() == 1
        said = capfd.readouterr()
        assert said.out == "" and said.err.startswith("hartwell: error: the allocator failed: crash: add ")
        assert said.err.count("\n") == 1
