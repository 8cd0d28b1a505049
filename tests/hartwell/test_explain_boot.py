"""`hartwell explain-boot`: what it says, against what the other commands say of the same boot; and its page."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hartwell.explain.names import call_name, satp_text, trap_name
from hartwell.explain.svg import brief, fit, short, text_width, ticks
from kernel.boot.stages import STAGES
from tests.helpers.assembler import assemble

from .conftest import COMMAND, ROOT, Hartwell, environment

BEFORE_OUR_KERNEL = ["reset-vector", "firmware"]


@cache
def run_once(*arguments: str) -> str:
    """What a command that exits with 0 prints; the same for every test that asks."""
    done = subprocess.run([*COMMAND, *arguments], env=environment(), capture_output=True, check=True, timeout=100,
                          stdin=subprocess.DEVNULL)
    return done.stdout.decode()


def explained(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_once("explain-boot", "--json", *arguments))
    return found


def said(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_once(*arguments, "--json"))
    return found


# --- our own kernel -------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [(), ("--smp", "3"), ("--timing", "rocket"), ("--smp", "2", "--mmu", "sv39")],
                         ids=" ".join)
def test_phases_are_the_stages_and_cost_what_the_boot_says_that_they_cost(options: tuple[str, ...]) -> None:
    told, boot = explained(*options), said("boot", *options)
    phases = told["phases"]
    assert [phase["name"] for phase in phases] == BEFORE_OUR_KERNEL + [stage.name for stage in STAGES]
    assert sum(phase["instructions"] for phase in phases) == told["instructions"] == boot["instructions"]
    assert [phase["end"] for phase in phases[2:]] == [stage["cycles"] for stage in boot["stages"]]
    assert all(before["end"] == after["start"] for before, after in pairwise(phases)) and phases[0]["start"] == 0
    until = 0
    for phase, stage in zip(phases[2:], boot["stages"], strict=True):
        first = sum(each["instructions"] for each in phases[:2]) if phase["name"] == "entry" else 0
        assert first + phase["instructions"] == stage["instructions"] - until
        until = stage["instructions"]
    assert "".join(line["text"] + "\n" for line in told["console"]) == boot["console"].replace("\r", "")


def test_satp_switches_translation_on_in_entry_and_to_the_kernels_table_in_activate() -> None:
    told = explained()
    phases = {phase["name"]: phase for phase in told["phases"]}
    boots, ours = told["satp"]
    assert (boots["old"], boots["mode"], ours["mode"]) == ("0x0", "sv48", "sv48")
    assert phases["entry"]["start"] < boots["clock"] <= phases["entry"]["end"]
    assert phases["activate"]["start"] < ours["clock"] <= phases["activate"]["end"]
    built = phases["kernel-page-table"]["page_tables"]
    assert [table["active"] for table in built] == [True, False] and built[1]["root"] == ours["root"]
    assert ours["symbol"] == "do_activate"
    figures = {stage["name"]: stage["figures"] for stage in said("boot")["stages"]}
    assert int(ours["new"], 16) == figures["activate"]["satp"]
    assert built[1]["tables"] == figures["kernel-page-table"]["nodes"]


@pytest.mark.parametrize("options", [(), ("-m", "1G", "--smp", "2")], ids=" ".join)
def test_memory_at_ready_is_what_memmap_says(options: tuple[str, ...]) -> None:
    ready, memmap = explained(*options)["phases"][-1]["memory"], said("memmap", *options)
    assert ready["counted"] and ready["free"] == memmap["free"] << 12
    assert [(use["type"], use["used_by"], use["size"]) for use in ready["uses"]] == [
        (used["type"], used["used_by"], used["unique"] + used["shared"] << 12) for used in memmap["types"]]


def test_what_is_mapped_at_ready_is_what_layout_says() -> None:
    (table,) = explained()["phases"][-1]["page_tables"]
    layout = said("kernel", "layout")
    mapped = [(each["start"], each["end"], each["paddr"]) for part in layout["parts"] for each in part["mappings"]]
    assert [(part["start"], part["end"], part["paddr"]) for part in table["ranges"]] == mapped


def test_before_there_is_metadata_memory_is_the_image_and_what_was_handed_out() -> None:
    memory = {phase["name"]: phase["memory"] for phase in explained("--smp", "4")["phases"]}
    assert memory["firmware"] is None and not memory["cpu-local"]["counted"]
    sizes = {use["used_by"]: use["size"] for use in memory["cpu-local"]["uses"]}
    figures = {stage["name"]: stage["figures"] for stage in said("boot", "--smp", "4")["stages"]}
    assert sizes == {"kernel image": figures["entry"]["kernel_end"] - figures["entry"]["kernel_start"],
                     "early allocator": 3 * figures["cpu-local"]["bytes_each"]}
    assert memory["frame-metadata"]["counted"] and memory["frame-metadata"]["free"] == 0
    assert memory["frame-allocator"]["free"] == figures["frame-allocator"]["free_bytes"]


@pytest.mark.parametrize("options", [(), ("--smp", "3"), ("smp-pingpong", "--timing", "u74"), ("hello",)],
                         ids=" ".join)
def test_levels_of_all_phases_are_those_of_the_run(options: tuple[str, ...]) -> None:
    told = explained(*options)
    for level in ("M", "S", "U", "waiting"):
        whole = sum(hart[level]["cycles"] for hart in told["levels"])
        assert sum(sum(hart[level]) for hart in told["bands"]["harts"]) == whole
        if told["harts"] == 1:  # others may wait behind the last phase
            assert sum(phase["levels"][level] for phase in told["phases"]) == whole
    assert sum(hart[level]["instructions"] for hart in told["levels"] for level in "MSU") == told["instructions"]
    number = sum(trap["number"] for trap in told["traps"])
    assert number == sum(trap["number"] for phase in told["phases"] for trap in phase["traps"])


def test_figures_of_a_timing_model_have_its_error() -> None:
    told = explained("--timing", "rocket")
    stats = said("stats", "--timing", "rocket")
    assert (told["profile"], told["accuracy"], told["cycles"]) == ("rocket", stats["accuracy"], stats["cycles"])
    assert stats["accuracy"] in run_once("explain-boot", "--timing", "rocket")
    assert "a cycle is an instruction" in run_once("explain-boot")


# --- other software ---------------------------------------------------------------------------------------

def test_hello_is_firmware_then_a_program_in_s_mode_that_calls_it() -> None:
    told = explained("hello")
    assert [phase["name"] for phase in told["phases"]] == ["reset-vector", "firmware", "kernel-entry"]
    assert told["phases"][0]["instructions"] == 6  # emulator/bootrom.py
    assert told["phases"][2]["title"] == "S-mode from 0x80200000 <_start>, addresses are physical"
    moves = [step["before"] + step["after"] for step in told["steps"] if step["before"] != step["after"]]
    assert moves == ["MS", "SM", "MS", "SM", "MS", "SM"]
    calls = [(call["extension"], call["function"], call["number"]) for call in told["firmware_calls"]]
    assert calls == [("debug console", "write", 2), ("system reset", "system_reset", 1)]
    assert told["instructions"] == said("boot", "hello")["instructions"] and told["exit_code"] == 0
    assert told["satp"] == [] and all(phase["page_tables"] == [] for phase in told["phases"])


def test_a_program_without_firmware_is_in_m_mode_from_the_boot_rom_on() -> None:
    told = explained("mhello")
    assert [phase["name"] for phase in told["phases"]] == ["reset-vector", "machine-mode"]
    assert told["firmware_calls"] == [] and told["phases"][1]["levels"]["S"] == 0


@pytest.mark.parametrize("mode", ["sv39", "sv48"])
def test_a_change_of_satp_begins_a_phase_whose_mappings_are_told(mode: str) -> None:
    told = explained(f"pagefault-{mode}")
    assert [phase["name"] for phase in told["phases"]] == ["reset-vector", "firmware", "kernel-entry", "paging-1"]
    (change,), last = told["satp"], told["phases"][-1]
    assert change["clock"] == last["start"] and mode in last["title"] and change["symbol"] in last["title"]
    assert told["phases"][2]["page_tables"] == []  # it ran without translation
    (table,) = last["page_tables"]
    assert table["mode"] == mode and len(table["ranges"]) > 5 and table["complete"]


def test_phases_stay_few_when_satp_changes_for_ever(hartwell: Hartwell, tmp_path: Path) -> None:
    source = "li t0, 1\n slli t0, t0, 63\n1: csrw satp, t0\n csrwi satp, 0\n j 1b"
    (tmp_path / "flip.bin").write_bytes(assemble(source))
    done = hartwell("explain-boot", "--bios", "none", "flip.bin", "--max-insns", "1M", "--json")
    told = json.loads(done.out)
    assert done.code == 3 and told["satp_changes"] > 600_000
    assert [phase["name"] for phase in told["phases"]] == ["reset-vector", "machine-mode",
                                                           *(f"paging-{n}" for n in range(1, 9))]
    assert sum(phase["instructions"] for phase in told["phases"]) == told["instructions"]


def test_a_limit_ends_the_boot_and_what_happened_until_then_is_told(hartwell: Hartwell) -> None:
    done = hartwell("explain-boot", "hello", "--max-insns", "400k", "--json")
    told = json.loads(done.out)
    assert done.code == told["exit_code"] == 3 and told["reason"] == "watchdog"
    assert done.error.startswith("the limit of 400,000 instructions was reached")
    assert abs(told["instructions"] - 400_000) < 20  # a block more or less, and traps count
    done = hartwell("explain-boot", "--max-insns", "400k", "--json")
    assert done.code == 3 and json.loads(done.out)["phases"][-1]["name"] == "frame-metadata"
    assert done.error == "the limit of 400,000 instructions was reached in the stage frame-metadata"
    done = hartwell("explain-boot", "hello", "--max-insns", "3")
    assert done.code == 3 and "reset-vector" in done.out and "firmware:" not in done.out


def test_a_kernel_that_cannot_boot_is_explained_up_to_there(hartwell: Hartwell) -> None:
    done = hartwell("explain-boot", "--bios", ROOT / "images/mhello/mhello.elf", "--json")  # it never enters a kernel
    told = json.loads(done.out)
    assert done.code == told["exit_code"] == 1 and "the kernel was not entered" in told["message"] and done.error
    assert [phase["name"] for phase in told["phases"]] == BEFORE_OUR_KERNEL
    assert sum(phase["instructions"] for phase in told["phases"]) == told["instructions"]


def test_ctrl_c_ends_the_run_and_what_happened_until_then_is_told(tmp_path: Path) -> None:
    master, slave = pty.openpty()  # a terminal for stderr, on which progress is shown
    command = [*COMMAND, "explain-boot", "--bios", "none", "spin.bin", "--json"]
    (tmp_path / "spin.bin").write_bytes((0x6F).to_bytes(4, "little"))
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        shown = b""
        while b"million instructions" not in shown:
            shown += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        shown += os.read(master, 4096)
    os.close(master)
    told = json.loads(out)
    assert process.returncode == told["exit_code"] == 130 and told["reason"] == "interrupted"
    assert [phase["name"] for phase in told["phases"]] == ["reset-vector", "machine-mode"]
    assert told["instructions"] > 1_000_000 and b"ended by the user" in shown


# --- the same every time --------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [("--smp", "2", "--timing", "rocket"), ("smp-pingpong", "--smp", "4"), ("timer",)],
                         ids=" ".join)
def test_the_same_command_says_the_same_byte_for_byte(options: tuple[str, ...], hartwell: Hartwell,
                                                      tmp_path: Path) -> None:
    pages, texts = set(), set()
    for seed in ("1", "2"):
        done = hartwell("explain-boot", *options, "--html", "page.html", "--json", env={"PYTHONHASHSEED": seed})
        assert done.code in (0, 3)
        pages.add((tmp_path / "page.html").read_bytes())
        texts.add(done.out)
    assert len(pages) == len(texts) == 1


# --- the page ---------------------------------------------------------------------------------------------

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """A page taken apart; an AssertionError where it is not well formed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)) and all(value is not None for _, value in attrs), (tag, attrs)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes {self.open[-1:]}"

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.texts.append((self.open[-1], data))


@cache
def page_of(folder: Path, *options: str) -> str:
    path = folder / "page.html"
    run_once("explain-boot", *options, "--html", str(path))
    return path.read_text()


BOOTS = [(), ("--smp", "4", "--timing", "rocket"), ("hello",), ("pagefault-sv48",), ("smp-pingpong", "--smp", "8"),
         ("mhello",)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.mark.parametrize("options", BOOTS, ids=" ".join)
def test_the_page_is_well_formed_and_needs_nothing_else(options: tuple[str, ...], folder: Path) -> None:
    text = page_of(folder, *options)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n<html lang=\"en\">") and "<title>How " in text
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids)) and len(ids) >= 4
    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "img", "iframe", "object", "base"), tag
        assert not {name for name in attrs if name in ("src", "href", "style") or name.startswith("on")}, attrs
        for name in attrs.get("aria-labelledby", "").split():
            assert name in ids
    assert not re.search(r"https?:|//|url\(|@import", text.partition("<body>")[0])
    assert "http" not in text.replace(str(folder), "")
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert drawings and all(attrs["role"] == "img" and attrs["aria-labelledby"] for attrs in drawings)


@pytest.mark.parametrize("options", BOOTS, ids=" ".join)
def test_texts_of_the_drawings_have_room(options: tuple[str, ...], folder: Path) -> None:
    for drawing in re.findall(r"<svg.*?</svg>", page_of(folder, *options), re.S):
        _, _, width, height = map(float, re.search(r'viewBox="([^"]*)"', drawing)[1].split())  # type: ignore[index]
        boxes = []
        for attrs, text in re.findall(r"<text ([^>]*)>([^<]*)</text>", drawing):
            given = dict(re.findall(r'([\w-]+)="([^"]*)"', attrs))
            size = 10 if given.get("class") in ("small", "tiny") else 12
            long = text_width(text, size) * 0.9  # what is guessed is rather too much
            x, y = float(given["x"]), float(given["y"])
            left = x - {"start": 0, "middle": long / 2, "end": long}[given.get("text-anchor", "start")]
            assert left >= -0.5 and left + long <= width + 0.5 and size * 0.8 <= y <= height, (text, left, long, y)
            boxes.append((left, y - size * 0.75, left + long, y, text))
        for number, one in enumerate(boxes):
            for other in boxes[:number]:
                apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
                assert apart, (one, other)
        for tag, attrs in Page(drawing).tags:
            if tag == "rect":
                x, y, w, h = (float(attrs[name]) for name in ("x", "y", "width", "height"))
                assert x >= -0.5 and x + w <= width + 0.5 and y >= -0.5 and y + h <= height + 0.5 and w > 0 and h > 0


def test_bands_fill_the_time_that_their_hart_ran(folder: Path) -> None:
    """One hart, no timing: every column of the band is filled from top to bottom, without an overlap."""
    drawing = next(part for part in re.findall(r"<svg.*?</svg>", page_of(folder, "hello"), re.S))
    covered: dict[float, float] = {}
    for data in re.findall(r'<path d="([^"]*)" class="[msuw]"', drawing):
        for x, _, wide, high in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z", data):
            for column in range(int(float(x)), int(float(x) + float(wide)), 2):
                covered[column] = covered.get(column, 0) + float(high)
    assert set(covered.values()) == {28.0} and len(covered) == 465 and min(covered) == 150


def test_the_page_has_the_numbers_and_the_command(folder: Path) -> None:
    text = page_of(folder, "--smp", "4", "--timing", "rocket")
    told = explained("--smp", "4", "--timing", "rocket")
    shown = {data for _, data in Page(text).texts}
    for phase in told["phases"]:
        assert f"{phase['cycles']:,}" in shown and f"{phase['instructions']:,}" in shown and phase["name"] in shown
    assert any(data.startswith("$ hartwell explain-boot --smp 4 --timing rocket --html ") for data in shown)
    assert any(told["accuracy"] in data for data in shown) and any("Hartwell 0." in data for data in shown)
    assert "prefers-color-scheme: dark" in text


def test_what_a_guest_prints_is_text_on_the_page_and_moves_no_cursor(hartwell: Hartwell, tmp_path: Path) -> None:
    evil = '</pre><script src="http://evil">&\x1b[2J\xff'
    source = "li t0, 0x10000000\n" + "".join(f"li t1, {byte}\n sb t1, 0(t0)\n" for byte in evil.encode("latin-1"))
    (tmp_path / "evil.bin").write_bytes(assemble(source + "li t0, 0x100000\n li t1, 0x5555\n sw t1, 0(t0)\n1: j 1b"))
    done = hartwell("explain-boot", "--bios", "none", "evil.bin", "--html", "evil.html")
    assert done.code == 0
    text = (tmp_path / "evil.html").read_text()
    assert "<script" not in text and "&lt;/pre&gt;&lt;script" in text and "\x1b" not in text
    Page(text)
    shown = hartwell("explain-boot", "--bios", "none", "evil.bin").out
    assert "\x1b" not in shown and r"\x1b[2J\xff" in shown


@pytest.mark.parametrize(("arguments", "message"), [
    ("explain-boot helo", "did you mean hello?"),
    ("explain-boot --bios none", "Hartwell's own kernel needs a firmware"),
    ("explain-boot --html /nowhere/page.html", "--html /nowhere/page.html: No such file or directory"),
    ("explain-boot --html .", "--html .: Is a directory"),
    ("explain-boot hello --max-insns none", "--max-insns 'none': expected a number of instructions"),
    ("explain-boot hello --timing nothing", "nothing"),
])
def test_mistakes_are_told_before_anything_runs(arguments: str, message: str, hartwell: Hartwell,
                                                tmp_path: Path) -> None:
    done = hartwell(*arguments.split())
    assert done.code == 2 and message in done.error and done.out == "" and list(tmp_path.iterdir()) == []


def test_a_page_that_was_there_is_kept_when_the_command_is_wrong(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    assert hartwell("explain-boot", "--html", "page.html", "--smp", "9").code == 2
    assert (tmp_path / "page.html").read_text() == "mine"


# --- pieces -------------------------------------------------------------------------------------------------

def test_numbers_of_the_sbi_and_of_traps_have_names() -> None:
    assert call_name(0x48534D, 0) == ("hart state", "hart_start") and call_name(1, 77) == ("legacy", "console_putchar")
    assert call_name(0x10, 99) == ("base", "function 0x63")
    assert call_name(0xABC, 1) == ("extension 0xabc", "function 0x1")
    assert trap_name(False, 13) == "load page fault" and trap_name(True, 5) == "S timer interrupt"
    assert (trap_name(False, 63), trap_name(True, 62)) == ("cause 63", "interrupt 62")
    assert satp_text(8 << 60 | 7 << 44 | 0x80000) == "sv39, root 0x80000000, ASID 7"


def test_numbers_are_short_and_texts_fit() -> None:
    assert [short(n) for n in (0, 999, 1500, 20_000_000, 3 * 10**9)] == ["0", "999", "1.5k", "20M", "3G"]
    assert [brief(n) for n in (12, 584 << 10, 512 << 30, 2281701376, 1020 << 20, (1 << 30) - 1)] == [
        "12", "584K", "512G", "2.12G", "1020M", "1023M"]
    assert ticks(431_118) == [0, 100_000, 200_000, 300_000, 400_000] and ticks(3) == [0, 1, 2, 3]
    assert fit("frame-metadata", 500) == "frame-metadata" and fit("frame-metadata", 3) == ""
    assert fit("frame-metadata", 60).endswith("…") and text_width(fit("frame-metadata", 60)) <= 60
