"""The other commands, help and version; and what start-up may cost."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import hartwell as package
from hartwell import catalogue

from .conftest import ROOT, Hartwell


COMMANDS = ("boot", "debug", "explain-boot", "stats", "profiles", "images", "info", "dts", "memmap", "buddyinfo",
            "slabinfo", "frames", "pagetable", "diff")


def test_version_is_the_packages(fresh: Hartwell) -> None:
    assert fresh("--version").out == f"hartwell {package.__version__}\n"


@pytest.mark.parametrize("arguments", ["", "--help"])
def test_no_command_shows_the_commands(hartwell: Hartwell, arguments: str) -> None:
    done = hartwell(*arguments.split())
    assert (done.code, done.err) == (0, "")
    assert all(command in done.out for command in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "kernel layout", "kernel demo-buddy", "kernel cost"])
def test_help_of_every_command_has_examples_of_it(hartwell: Hartwell, command: str) -> None:
    done = hartwell(*command.split(), "--help", env={"COLUMNS": "100"})
    assert done.code == 0
    assert "Examples" in done.out
    assert f"  hartwell {command}" in done.out


def test_boots_help_documents_every_exit_code(hartwell: Hartwell) -> None:
    text = hartwell("boot", "--help").out
    for words in ("1  Hartwell itself failed", "2  a mistake", "3  watchdog", "4  deadlock", "5  trap loop",
                  "130  Ctrl-C"):
        assert words in text


def test_images_lists_every_image_with_its_title(hartwell: Hartwell) -> None:
    lines = hartwell("images").out.splitlines()
    for image in catalogue.everything():
        assert any(line.startswith(f"{image.name} ") and image.title in line for line in lines), image.name


def test_info_shows_segments_entry_and_symbols_of_an_elf(hartwell: Hartwell) -> None:
    text = hartwell("info", ROOT / "images/hello/hello.elf").out
    assert "entry    0x80200000  _start" in text
    assert "0x80200000.." in text
    assert "r-x" in text
    assert "it runs in S-mode, behind the firmware" in text


def test_info_says_why_a_program_would_not_boot(hartwell: Hartwell) -> None:
    done = hartwell("info", ROOT / "images/mhello/mhello.elf")
    assert done.code == 0
    assert "It would not boot with 128 MiB" in done.out
    assert done.out.rstrip().endswith("add --bios none")
    assert "it runs in M-mode" in hartwell("info", "mhello").out


def test_info_of_a_flat_binary_shows_where_it_would_go(hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    assert "entry    0x80200000" in hartwell("info", flat(0x6F)).out
    assert "entry    0x80000000" in hartwell("info", "--bios", "none", flat(0x6F)).out


def test_dts_describes_the_machine_that_was_asked_for(hartwell: Hartwell) -> None:
    text = hartwell("dts", "--smp", "3", "-m", "2G", "--mmu", "sv39", "--append", "console=ttyS0").out
    assert [f"cpu@{n}" in text for n in range(4)] == [True, True, True, False]
    assert "reg = <0x0 0x80000000 0x0 0x80000000>;" in text
    assert 'mmu-type = "riscv,sv39";' in text
    assert 'bootargs = "console=ttyS0";' in text


@pytest.mark.parametrize("options", ["", "--smp 8 -m 64G --append quiet"])
def test_dtc_compiles_the_text_to_the_binary_without_a_warning(
        hartwell: Hartwell, tmp_path: Path, options: str) -> None:
    if shutil.which("dtc") is None:
        pytest.skip("dtc is not installed")
    from emulator.devicetree import parse

    (tmp_path / "board.dts").write_text(hartwell("dts", *options.split()).out)
    assert hartwell("dts", "--dtb-out", "board.dtb", *options.split()).code == 0
    done = subprocess.run(["dtc", "-I", "dts", "-O", "dtb", "-o", "text.dtb", "board.dts"], cwd=tmp_path,
                          capture_output=True, text=True, check=True)
    assert done.stderr == ""
    text, binary = (parse((tmp_path / name).read_bytes()).root for name in ("text.dtb", "board.dtb"))
    assert [(path, sorted(node.properties)) for path, node in text.walk()] == \
        [(path, sorted(node.properties)) for path, node in binary.walk()]


@pytest.mark.parametrize("what", ["'hello'", "'-m', '32M'"], ids=["hello", "our kernel"])
def test_boot_imports_neither_numba_nor_rich_nor_capstone_nor_pydantic_nor_timing_profiles(what: str) -> None:
    """Each costs more time than booting hello does."""
    code = (f"import sys; sys.argv = ['hartwell', 'boot', {what}]; from hartwell.cli import main; code = main(); "
            "print([m for m in ('numba', 'rich', 'capstone', 'elftools', 'pydantic', 'unicorn', "
            "'emulator.timing.profile') if m in sys.modules]); "
            "sys.exit(code)")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)  # compiles if need be
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_command_imports_no_other() -> None:
    code = ("import sys; sys.argv = ['hartwell', 'images']; from hartwell.cli import main; main(); "
            "from hartwell.cli.commands import TABLE; "
            "print([m for e in TABLE.values() if (m := f'hartwell.cli.{e.module}') in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['hartwell.cli.images']"


def test_boot_hello_takes_less_than_a_second_once_compiled(fresh: Hartwell) -> None:
    def seconds() -> float:
        started = time.monotonic()
        assert fresh("boot", "hello").code == 0
        return time.monotonic() - started

    assert min(seconds() for _ in range(3)) < 1.0
