"""Looking: against the machine itself, binutils, gdb's formats, and the sources."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from emulator.hart import X_NAMES
from tests.helpers.machines import IMAGES

from .debugger import Debugger, debugging, objdump, symbols

pytestmark = pytest.mark.cross


@pytest.fixture
def hello() -> Iterator[Debugger]:
    """The image hello, behind a few instructions of main."""
    with debugging("hello") as made:
        made.do("tb main", "c", "si 3")
        yield made


def test_info_registers_are_the_machines(hello: Debugger) -> None:
    lines = hello.do("info registers")
    shown = {line.split()[0]: int(line.split()[1], 16) for line in lines}
    assert shown == hello.machine.harts[0].registers()
    assert lines[-1].endswith("<main+0x6>")
    assert hello.do("info registers a1 $sp mstatus")[2].split()[1] == f"{hello.session.hart.read_csr('mstatus'):#018x}"
    assert "nosuch" in hello.fails("info registers nosuch")


def test_info_csr_is_what_m_mode_would_read(hello: Debugger) -> None:
    lines = hello.do("info csr")
    for line in lines:
        name, value = line.split()[:2]
        if name not in ("cycle", "time", "instret", "mcycle", "minstret") and "counter" not in name:
            assert int(value, 16) == hello.machine.harts[0].read_csr(name), name
    assert any(line.startswith("mcause") for line in lines)
    assert [line.split()[0] for line in hello.do("info csr pmpcfg")] == ["pmpcfg0", "pmpcfg2"]
    assert "nothing" in hello.fails("info csr nothing")
    everything = hello.do("info all-registers")
    assert {"ra", "ft0", "priv", "satp"} <= {line.split()[0] for line in everything}


@pytest.mark.parametrize(("command", "expected"), [
    ("x/2xg $sp", lambda word: [f"{word(0):#018x}", f"{word(8):#018x}"]),
    ("x/1dw $sp", lambda word: [str(((word(0) & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000)]),
    ("x/3xb $sp", lambda word: [f"0x{word(0) >> 8 * n & 255:02x}" for n in range(3)]),
    ("xp/1xg $sp", lambda word: [f"{word(0):#018x}"]),
])
def test_x_shows_memory(hello: Debugger, command: str, expected: object) -> None:
    sp = hello.machine.harts[0].read("sp")

    def word(offset: int) -> int:
        return int.from_bytes(hello.machine.bus.read(sp + offset, 8), "little")

    (line,) = hello.do(command)
    assert line.split("\t")[1:] == expected(word)  # type: ignore[operator]
    assert line.startswith(f"{sp:#x}")


def test_x_goes_on_where_it_stopped(hello: Debugger) -> None:
    whole = hello.do("x/4i main")
    assert hello.do("x/2i main") == whole[:2]
    assert hello.do("x/2i") == whole[2:]
    hello.do("x/2i main")
    hello.said.clear()
    hello.session.repeat()
    assert hello.said[0].strip() == whole[2].strip().removeprefix("=>").strip()
    assert hello.do("x/s main+0x7e2")[0].endswith('"Hello from Hartwell.\\n"')
    assert hello.fails("x 0x100000000000").startswith("no memory at 0x100000000000")
    assert "q is none of" in hello.fails("x/q main")


def test_devices_are_not_read(hello: Debugger) -> None:
    hello.machine.feed(b"key")
    assert "no memory at 0x10000000" in hello.fails("x/1xb 0x10000000")
    assert "no memory at 0x10000000" in hello.fails("xp/1xb 0x10000000")
    assert "memory" in hello.fails("p {u8}0x10000000")
    assert hello.machine.uart.input_left == 3


@pytest.mark.parametrize(("text", "shown"), [
    ("1 + 2 * 3", "7"), ("0x10", "16 = 0x10"), ("main", f"{0x80200056} = 0x80200056 <main>"), ("/x 255", "0xff"),
    ("/t 5", "101"), ("/d -1", "-1"), ("/u -1", str(2**64 - 1)), ("/o 8", "010"), ("/c 65", "65 'A'"),
    ("/a main+4", "0x8020005a <main+0x4>"), ("/z 1", "0x0000000000000001"), ("$pc - main", "6"),
    ("{u16}main", f"{0x1141} = 0x1141"), ("main == $pc - 6", "1"), ("-5", "-5 = 0xfffffffffffffffb"),
])
def test_print_shows_values(hello: Debugger, text: str, shown: str) -> None:
    command = f"p{text}" if text.startswith("/") else f"p {text}"
    assert hello.do(command) == [f"$1 = {shown}"]


def test_print_remembers(hello: Debugger) -> None:
    hello.do("p 20", "p $1 + 1")
    assert hello.said == ["$2 = 21 = 0x15"]
    assert hello.do("p") == ["$3 = 21 = 0x15"]
    assert "there is no value $9" in hello.fails("p $9")
    assert "column" in hello.fails("p 1 +")
    assert "no format 'q'" in hello.fails("p/q 1")


def test_displays_are_shown_at_every_stop(hello: Debugger) -> None:
    assert hello.do("display $pc - main") == ["1: $pc - main = 6"]
    assert hello.do("display/2i $pc")[0] == "2: /2i $pc"
    said = hello.do("si")
    assert said[-4] == "1: $pc - main = 10 = 0xa" and len(said) == 7
    assert hello.do("display/x $a0")[0].startswith("3: /x $a0 = 0x")
    hello.do("undisplay 2")
    assert hello.do("display") == ["1: $pc - main = 10 = 0xa", f"3: /x $a0 = {hello.session.hart.read('a0'):#x}"]
    assert hello.do("info display") == ["1: $pc - main", "3: /x $a0"]
    hello.do("undisplay")
    assert hello.do("display") == []
    assert "no display 5" in hello.fails("undisplay 5")
    hello.fails("display nowhere")
    assert hello.do("info display") == ["there are no displays"]


def test_disas_has_binutils_instructions(hello: Debugger) -> None:
    code, main = objdump("hello"), symbols("hello")["main"]
    lines = hello.do("disas")
    assert lines[0] == "main:"
    shown = {int(re.findall(r"0x[0-9a-f]+", line)[0], 16): line for line in lines[1:]}
    function = [address for address in sorted(code) if main <= address < symbols("hello")["exit"]]
    assert sorted(shown) == function
    for address, line in shown.items():
        mnemonic = line.split(":  ")[1].split()[0]
        assert mnemonic.removeprefix("c.") in {code[address].removeprefix("c."), "mv", "li", "ret", "addi16sp"}, line
    assert [line for line in lines if line.startswith(" =>")] == [shown[main + 6]]
    assert hello.do("disas print")[0] == "print:"
    assert len(hello.do("disas main,+4")) == 3
    assert hello.do("disas main,main+4") == hello.do("disas main,+4")
    assert "not behind" in hello.fails("disas main,main")
    assert "no function is known" in hello.fails("disas 0x84000000")


def test_where_the_next_instruction_leads_is_told(hello: Debugger) -> None:
    for _ in range(60):
        line = next(line for line in hello.do("context") if line.startswith(" =>"))
        pc = hello.pc
        size = 4 if hello.machine.bus.read(pc, 1)[0] & 3 == 3 else 2
        hello.do("si")
        if "[taken" in line:
            assert hello.pc != pc + size
            assert ("forwards" in line) == (hello.pc > pc)
        elif "[not taken]" in line:
            assert hello.pc == pc + size
        elif "[to " in line:
            assert f"[to {hello.session.programs.format(hello.pc)}]" in line
    assert hello.machine.instructions


def test_backtrace_is_who_called_whom(hello: Debugger) -> None:
    hello.do("tb put_field", "c")
    calls = hello.do("bt")
    assert [re.sub(r"\+0x[0-9a-f]+", "", line.split(" in ")[1].split()[0]) for line in calls] == [
        "put_field", "print", "main", "_start"]
    assert calls[0].startswith("*#0")
    assert len(hello.do("bt 2")) == 2
    ra = hello.machine.harts[0].read("ra")
    assert f"{ra:#018x}" in calls[1]


def test_up_and_down_select_frames(hello: Debugger) -> None:
    hello.do("tb put_field", "c")
    sp = hello.machine.harts[0].read("sp")
    assert hello.do("up")[0].startswith("*#1")
    assert int(hello.do("p/x $pc")[0].split()[-1], 16) == hello.machine.harts[0].read("ra")
    assert int(hello.do("p/x $sp")[0].split()[-1], 16) >= sp
    assert hello.do("info frame")[0].startswith("frame 1 of 4: pc ")
    assert "hello.c" in hello.do("up")[0]
    assert any("print(" in line for line in hello.do("list"))
    assert hello.do("down 2")[0].startswith("*#0")
    assert hello.do("frame 1")[0].startswith("*#1") and hello.do("frame")[0].startswith("*#1")
    assert "no frame 4" in hello.fails("up 3")
    assert "no frame -1" in hello.fails("down 2")
    hello.do("si")
    assert hello.session.frame_number == 0


def test_list_is_the_source(hello: Debugger) -> None:
    source = (IMAGES / "hello" / "hello.c").read_text().splitlines()
    for line in hello.do("list"):
        number, _, text = line[4:].strip().partition("  ")
        assert source[int(number) - 1] == text
    assert any(line.startswith(" =>") for line in hello.said)
    last = int(hello.said[-1].split()[0])
    assert "no line" in hello.fails("list") or int(hello.said[0].split()[0]) == last + 1
    listed = hello.do("list print.c:20")
    assert int(listed[0].split()[0]) == 15 and len(listed) == 10
    assert int(hello.do("l")[0].split()[0]) == 25
    assert "no source line" in hello.fails("list 0x84000000")


def test_the_context_is_what_the_machine_is(hello: Debugger) -> None:
    lines = hello.do("context")
    text = "\n".join(lines)
    cells = re.findall(r"([* ])(\w+) +0x([0-9a-f]{16})", "\n".join(lines[1:9]))
    assert {name: int(value, 16) for _, name, value in cells} == hello.machine.harts[0].registers()
    assert lines[0].startswith(f"--- hart 0, S-mode, after {hello.machine.instructions:,} instructions ---")
    assert "satp bare" in text and "--- source: images/hello/hello.c:" in text and "--- harts" not in text
    before = hello.machine.harts[0].registers()
    hello.do("si")
    changed = {name for star, name, _ in re.findall(r"([* ])(\w+) +0x([0-9a-f]{16})", "\n".join(
        hello.do("context")[1:9])) if star == "*"}
    after = hello.machine.harts[0].registers()
    assert changed == {name for name in before if before[name] != after[name]}
    sp = hello.machine.harts[0].read("sp")
    stack = next(line for line in hello.said if re.match(r"    0x[0-9a-f]{16}   sp", line))
    assert stack.split()[2] == f"0x{int.from_bytes(hello.machine.bus.read(sp, 8), 'little'):016x}"


def test_the_context_has_paging_and_harts() -> None:
    with debugging("pagefault-sv48") as debugger:
        debugger.do("b trap", "c")
        satp = debugger.machine.harts[0].read_csr("satp")
        assert satp >> 60 == 9
        assert f"satp sv48, root table {(satp & (1 << 44) - 1) << 12:#x}, asid 0" in debugger.do("context")
        assert "sv48" in next(line for line in debugger.do("info csr satp"))
        assert debugger.do("info csr scause")[0].endswith("page fault")
    with debugging("smp-pingpong", harts=2) as debugger:
        debugger.do("b player", "c")
        lines = debugger.do("context")
        assert lines[-2].startswith("   hart 0") and lines[-1].startswith(" * hart 1")


def test_info_tells_of_programs_and_memory(hello: Debugger) -> None:
    known = symbols("hello")
    shown = {line.split()[2]: int(line.split()[0], 16) for line in hello.do("info symbols ^p")}
    assert shown.items() >= {name: known[name] for name in ("print", "put_field", "page_alloc", "pool")}.items()
    assert "regular expression" in hello.fails("info symbols (")
    assert "no symbol matches" in hello.fails("info symbols ^nosuch$")
    memory = hello.do("info mem")
    assert "0x000080000000-0x000087ffffff  RAM" in memory
    assert any("uart" in line and line.startswith("0x000010000000") for line in memory)
    assert any(line.startswith("0x000080200000") and "hello.elf" in line for line in memory)
    assert hello.do("info line")[0].startswith("images/hello/hello.c:")
    assert hello.do("info harts")[0].startswith(" * hart 0  S  runs")
    assert "info about what?" in hello.fails("info")
    assert "did you mean registers" in hello.fails("info registres")


def test_info_history_and_stages(hello: Debugger) -> None:
    hello.do("mark here", "goto begin")
    assert hello.do("info history")[:2] == [
        f"the history begins after 0 instructions, and ends after {hello.target.end_instructions:,}",
        "the machine is after 0 instructions, in the past, at cycle 0 (step 0)"]
    assert hello.said[-1].startswith("here is step ")
    hello.do("goto end", "c", "info history")
    assert "the run has ended: the guest exited with code 0" in hello.said
    assert "another guest" in hello.fails("info stages")


def test_looking_changes_nothing(hello: Debugger) -> None:
    before = hello.state()
    memory = bytes(hello.machine.bus.read(0x8020_0000, 0x50000))
    for line in ("context", "info all-registers", "x/8xg $sp", "bt", "disas", "list", "info symbols", "info mem",
                 "p $a0", "info history", "help", "info harts", "hart", "hart 0", "last-write buffer"):
        hello.do(line)
    assert hello.state() == before and hello.machine.bus.read(0x8020_0000, 0x50000) == memory
    assert X_NAMES
