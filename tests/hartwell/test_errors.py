"""A mistake gives one line on stderr that says what is wrong and what to do, exit code 2, and runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT, Hartwell

HELLO = ROOT / "images/hello/hello.elf"


@pytest.mark.parametrize(("arguments", "line"), [
    ("bogus", "no such command 'bogus' (hartwell --help shows how)"),
    ("boot --bogus hello", "no such option"),
    ("boot hello hello", "unexpected extra argument"),
    ("boot --bios none", "nothing to boot: Hartwell's own kernel needs a firmware"),
    ("boot helo", "no image and no file is called 'helo': did you mean hello?"),
    ("boot xyzzy", "hartwell images lists the images"),
    ("boot ./nope.elf", "kernel ./nope.elf: no such file"),
    ("boot .", "kernel .: is a directory"),
    ("boot /dev/zero", "is not a regular file"),
    ("boot hello --kernel x", "both IMAGE (hello) and --kernel (x) name a kernel"),
    ("boot hello --bios nope", "firmware nope: no such file"),
    ("boot hello --initrd nope", "initrd nope: no such file"),
    ("boot hello --dtb nope", "device tree nope: no such file"),
    ("boot hello --smp 0", "0 harts: expected 1 to 8"),
    ("boot hello --smp 9", "9 harts: expected 1 to 8"),
    ("boot hello --smp two", "invalid value for '--smp'"),
    ("boot hello -m 0", "'0' is zero"),
    ("boot hello -m -5M", "is negative"),
    ("boot hello -m 10P", "is not a size"),
    ("boot hello -m 999999T", "is absurd"),
    ("boot hello -m 65G", "expected 1048576 (1 MiB) to 68719476736 (64 GiB)"),
    ("boot hello -m 1M", "does not fit into RAM, which ends at 0x80100000; memory is 1 MiB, 3 MiB would be enough"),
    ("boot hello -m 5000001B", "base and size must be multiples of 4096"),
    ("boot hello --mmu sv32", "mmu 'sv32': expected sv39, sv48 or sv57"),
    ("boot hello --quantum 0", "quantum"),
    ("boot hello --timing rokcet", "no timing profile is called \"rokcet\": did you mean rocket?"),
    ("boot hello --timing fast", "no timing profile is called \"fast\": expected rocket, simple or u74, or the path"),
    ("boot hello --timing nope.toml", "profile nope.toml: no such file"),
    ("boot --timing ./nope", "profile ./nope: no such file"),
    ("stats hello --timing off", "--timing off: there is nothing to show without a timing profile"),
    ("stats helo", "did you mean hello?"),
    ("stats hello --max-insns 0", "--max-insns '0': expected a number of instructions"),
    ("profiles rokcet", "no timing profile is called \"rokcet\": did you mean rocket?"),
    ("profiles off", "no timing profile is called \"off\""),
    ("boot hello --max-insns 0", "--max-insns '0': expected a number of instructions"),
    ("boot hello --disk /nonexistent.img", "disk /nonexistent.img: No such file or directory"),
    ("boot hello --disk pyproject.toml --disk ./pyproject.toml", "given twice"),
    ("boot hello --max-insns many", "expected a number of instructions, such as 5000000 or 5M"),
    ("boot hello --timeout 0", "--timeout 0: expected a number of seconds above 0"),
    ("boot hello --timeout nan", "expected a number of seconds above 0"),
    ("boot hello --trace calls", "--trace calls: expected kinds out of insns, traps, mmio, csr"),
    ("boot hello --trace ,", "--trace names nothing"),
    ("boot hello --trace-file t", "--trace-file without --trace"),
    ("boot hello --trace-range main", "--trace-range without --trace"),
    ("boot hello --trace insns --trace-range nope", "--trace-range nope: no such symbol"),
    ("boot hello --trace insns --trace-range 0x10..main2", "'main2' is neither a symbol nor an address"),
    ("boot hello --trace insns --trace-range 0x20..0x10", "0x20 is not below 0x10"),
    ("boot hello --trace insns --trace-file /nowhere/t", "--trace-file /nowhere/t: No such file or directory"),
    ("boot --bios fw --append x", "firmware fw: no such file"),
    ("boot --initrd nope", "initrd nope: no such file"),
    ("boot --dump-ram /nowhere/t", "--dump-ram /nowhere/t: No such file or directory"),
    ("memmap --ram nope", "RAM dump nope: no such file"),
    ("memmap --ram pyproject.toml", "RAM dump pyproject.toml: no such file"),
    ("memmap --ram nope -m 1G", "both --ram and -m: nope tells what the machine was like"),
    ("slabinfo --ram nope --smp 2", "both --ram and --smp"),
    ("buddyinfo --ram nope --mmu sv39", "both --ram and --mmu"),
    ("buddyinfo --smp 99", "99 harts: expected 1 to 8"),
    ("frames", "missing argument 'PADDR'"),
    ("frames here", "'here' is no physical address: expected a number such as 0x80200000"),
    ("frames -m 16M 0x1_0000_0000", "0x100000000 has no metadata: physical memory is"),
    ("pagetable there", "'there' is no virtual address"),
    ("pagetable --space 0x80200000", "--space 0x80200000 is no root of a page table; there are 0x"),
    ("kernel bogus", "no such command 'bogus'"),
    ("dts --dtb-out /nowhere/t", "--dtb-out /nowhere/t: No such file or directory"),
    ("dts --smp 99", "99 harts: expected 1 to 8"),
    ("info", "missing argument 'IMAGE'"),
    ("info helo", "did you mean hello?"),
    ("info ./nope", "image ./nope: no such file"),
])
def test_mistake_is_one_line_and_exit_code_2(hartwell: Hartwell, arguments: str, line: str) -> None:
    done = hartwell(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("error: ")
    assert line in done.error


def test_machine_mode_program_behind_the_firmware_is_told_of_bios_none(hartwell: Hartwell) -> None:
    done = hartwell("boot", ROOT / "images/mhello/mhello.elf")
    assert done.code == 2
    assert done.error.endswith("add --bios none")


@pytest.mark.parametrize(("change", "line"), [
    (lambda elf: elf[:40], "ELF header at offset 0x28: found the end of the file"),
    (lambda elf: elf[:4] + b"\x01" + elf[5:], "EI_CLASS at offset 0x4: found 1 (32-bit), expected 2 (64-bit)"),
    (lambda elf: elf[:18] + b"\x3e\0" + elf[20:], "found 62 (X86_64), expected 243 (RISC-V)"),
    (lambda elf: elf[:0x1100], "the file may be truncated"),
    (lambda elf: b"", "is empty"),
    (lambda elf: b"#!/bin/sh\n", "a script"),
    (lambda elf: b"070701" + elf, "a cpio archive; an initramfs goes to --initrd"),
    (lambda elf: b"\xd0\x0d\xfe\xed" + elf, "a device tree goes to --dtb"),
    (lambda elf: b"\x1f\x8b" + elf, "damaged gzip data"),
], ids=["header cut", "32-bit", "x86", "segment cut", "empty", "script", "cpio", "dtb", "gzip"])
def test_bad_program_file_is_one_line_with_its_name(
        hartwell: Hartwell, tmp_path: Path, change: Callable[[bytes], bytes], line: str) -> None:
    (tmp_path / "prog").write_bytes(change(HELLO.read_bytes()))
    done = hartwell("boot", "./prog")
    assert (done.code, done.out) == (2, "")
    assert "prog" in done.error
    assert line in done.error


def test_elf_whose_segments_overlap_is_refused(hartwell: Hartwell, tmp_path: Path) -> None:
    elf = bytearray(HELLO.read_bytes())
    headers = int.from_bytes(elf[32:40], "little")
    loads = [at for at in range(headers, headers + 56 * elf[56], 56) if elf[at] == 1]
    elf[loads[1] + 24:loads[1] + 32] = elf[loads[0] + 24:loads[0] + 32]
    (tmp_path / "prog").write_bytes(elf)
    done = hartwell("boot", "./prog")
    assert done.code == 2
    assert "overlapping" in done.error


def test_elf_outside_ram_is_refused(hartwell: Hartwell, tmp_path: Path) -> None:
    elf = bytearray(HELLO.read_bytes())
    headers = int.from_bytes(elf[32:40], "little")
    for at in range(headers, headers + 56 * elf[56], 56):
        elf[at + 24:at + 32] = (int.from_bytes(elf[at + 24:at + 32], "little") - 0x7000_0000).to_bytes(8, "little")
    (tmp_path / "prog").write_bytes(elf)
    done = hartwell("boot", "./prog")
    assert done.code == 2
    assert "lies outside RAM, which starts at 0x80000000" in done.error


def test_initrd_larger_than_memory_is_refused_with_the_memory_it_needs(hartwell: Hartwell, tmp_path: Path) -> None:
    with (tmp_path / "initrd").open("wb") as out:
        out.truncate(200 << 20)
    done = hartwell("boot", "hello", "--initrd", "initrd")
    assert done.code == 2
    assert "initrd (200 MiB) does not fit" in done.error
    assert "would be enough" in done.error


@pytest.mark.parametrize("content", [b"garbage", b"\xd0\x0d\xfe\xed", b"\xd0\x0d\xfe\xed" + bytes(100)])
def test_malformed_device_tree_is_refused_by_the_files_name(hartwell: Hartwell, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "my.dtb").write_bytes(content)
    done = hartwell("boot", "hello", "--dtb", "my.dtb")
    assert done.code == 2
    assert done.error.startswith("error: my.dtb: ")


@pytest.mark.parametrize("command", ["boot hello --timing mine.toml", "stats --timing mine.toml",
                                     "profiles mine.toml"])
def test_profile_that_cannot_be_is_refused_by_file_key_and_value(
        hartwell: Hartwell, tmp_path: Path, command: str) -> None:
    (tmp_path / "mine.toml").write_text('base = "rocket"\n[l1d]\nsets = 48\n')
    done = hartwell(*command.split())
    assert (done.code, done.out) == (2, "")
    assert done.error == "error: mine.toml: l1d.sets = 48: expected a power of two, 1 to 4096 sets"


def test_file_that_may_not_be_read_is_one_line(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    done = hartwell("boot", "./loop")
    assert done.code == 2
    assert "cannot be read" in done.error


def test_control_characters_in_a_file_name_do_not_reach_the_terminal(hartwell: Hartwell) -> None:
    done = hartwell("boot", "./a\x1b[31m\nb")
    assert done.code == 2
    assert "\\x1b[31m\\nb" in done.error


def test_debug_variable_shows_the_traceback(hartwell: Hartwell) -> None:
    done = hartwell("boot", "hello", "--smp", "9", env={"HARTWELL_DEBUG": "1"})
    assert "Traceback" in done.err
    assert "BoardError" in done.err


def test_trace_file_on_a_full_disk_is_one_line(hartwell: Hartwell) -> None:
    done = hartwell("boot", "hello", "--trace", "insns", "--trace-file", "/dev/full")
    assert done.code == 1
    assert done.error == "error: No space left on device"


def test_ram_dump_on_a_full_disk_is_one_line(hartwell: Hartwell) -> None:
    done = hartwell("boot", "hello", "--dump-ram", "/dev/full")
    assert (done.code, done.error) == (1, "error: No space left on device")


def test_cache_that_cannot_be_written_does_not_matter(hartwell: Hartwell) -> None:
    done = hartwell("boot", "hello", env={"HARTWELL_CACHE": "/proc/nowhere"})
    assert done.code == 0
    assert done.error.startswith("compiling native hooks")
