"""Going forwards: each command against the same machine without a debugger, and against binutils."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.machines import FIRMWARE

from .debugger import Debugger, alone, debugging, nm, objdump, source_line, state, symbols

pytestmark = pytest.mark.cross


@pytest.fixture
def hello() -> Iterator[Debugger]:
    """The image hello, at its reset."""
    with debugging("hello") as made:
        yield made


def test_continue_goes_to_a_breakpoint_and_to_the_end(hello: Debugger) -> None:
    main = symbols("hello")["main"]
    assert hello.do("b main") == [f"breakpoint 1 at {main:#x} <main>"]
    said = hello.do("c")
    assert said[:2] == [f"breakpoint 1: hart 0 reached {main:#x} <main>",
                        f"hart 0, S-mode, after {hello.machine.instructions:,} instructions"]
    with alone("hello", main) as machine:
        assert hello.state() == state(machine)
        machine.run()
        assert hello.do("c")[0] == "the guest exited with code 0"
        assert hello.state() == state(machine)
    assert hello.do("c")[0] == "the guest exited with code 0"
    assert bytes(hello.guest) == hello.machine.console


def test_continue_n_is_the_nth_hit(hello: Debugger) -> None:
    putc = nm(FIRMWARE)["console_putc"]
    with alone("hello", putc) as machine:
        machine.set_breakpoints([putc])
        expected = [machine.instructions]
        for _ in range(5):
            machine.run()
            expected.append(machine.instructions)
    hello.do("b console_putc", "c")
    assert hello.machine.instructions == expected[0]
    hello.do("c 2")
    assert hello.machine.instructions == expected[2]
    hello.do("b *0", "c 3")
    assert hello.machine.instructions == expected[5]


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_stepi_makes_the_machines_steps(hello: Debugger, count: int) -> None:
    hello.do("tb main", "c")
    with alone("hello", symbols("hello")["main"]) as machine:
        for _ in range(count):
            machine.step()
        hello.do(f"si {count}" if count > 1 else "stepi")
        assert hello.state() == state(machine)


def test_stepi_follows_traps(hello: Debugger) -> None:
    ecall = next(address for address, mnemonic in sorted(objdump("hello").items())
                 if mnemonic == "ecall" and address > symbols("hello")["exit"])
    said = hello.do(f"b *{ecall:#x}", "c", "si")
    assert said[0].startswith("hart 0, M-mode")
    assert hello.pc == hello.machine.harts[0].read_csr("mtvec") & -4
    assert hello.machine.harts[0].read_csr("mepc") == ecall


def test_nexti_goes_over_a_call(hello: Debugger) -> None:
    code = sorted(objdump("hello"))
    main = symbols("hello")["main"]
    call = next(address for address in code if address > main and objdump("hello")[address] == "jalr")
    behind = code[code.index(call) + 1]
    hello.do(f"b *{call:#x}", "c")
    assert hello.pc == call and b"Hello" not in hello.machine.console
    hello.do("ni")
    assert hello.pc == behind and b"Hello from Hartwell." in hello.machine.console
    assert hello.do("ni")[0] == f"hart 0, S-mode, after {hello.machine.instructions:,} instructions"
    assert hello.pc == code[code.index(behind) + 1]


def test_nexti_goes_over_an_environment_call() -> None:
    with debugging("sbi-selftest") as debugger:
        code = sorted(objdump("sbi-selftest"))
        calls = [address for address in code if objdump("sbi-selftest")[address] == "ecall"]
        debugger.do(*(f"tb *{call:#x}" for call in calls), "c")
        assert debugger.pc in calls
        before = debugger.machine.instructions
        said = debugger.do("ni")
        assert debugger.pc == code[code.index(calls[calls.index(debugger.session.hart.pc - 4)]) + 1]
        assert said[0].startswith("hart 0, S-mode") and debugger.machine.instructions > before + 10


def test_nexti_goes_over_an_interrupt() -> None:
    with debugging("timer") as debugger:
        debugger.do(f"tb *{symbols('timer')['trap_vector']:#x}", "c")
        hart = debugger.machine.harts[0]
        assert hart.read_csr("scause") >> 63
        interrupted = hart.read_csr("sepc")
        debugger.do("rsi")
        assert debugger.pc == interrupted and hart.priv == 1
        before = debugger.machine.instructions
        debugger.do("ni")
        assert hart.priv == 1 and debugger.machine.instructions > before + 50  # the handler
        code = sorted(objdump("timer"))
        assert debugger.pc == code[code.index(interrupted) + 1]


def test_step_goes_into_functions_by_lines(hello: Debugger) -> None:
    hello.do("tb main", "c")
    seen = []
    for _ in range(4):
        hello.do("s")
        seen.append(source_line("hello", hello.pc))
    assert seen[0][0] == "hello.c"
    assert any(file == "print.c" for file, _ in seen)
    assert all(one != other for one, other in zip(seen, seen[1:], strict=False))


def test_next_stays_in_the_function(hello: Debugger) -> None:
    hello.do("tb main", "c")
    lines = [source_line("hello", hello.pc)]
    while source_line("hello", hello.pc)[0] == "hello.c":
        hello.do("n")
        lines.append(source_line("hello", hello.pc))
    numbers = [line for file, line in lines if file == "hello.c"]
    assert {8, 9} < set(numbers)
    assert lines[-1] == ("start.S", 20)
    assert b"This is hart 0" in hello.machine.console


def test_without_lines_step_is_stepi_and_next_is_nexti(hello: Debugger) -> None:
    hello.do("si 3")
    assert hello.pc < 0x2000
    before = hello.machine.instructions
    hello.do("s")
    hello.do("n")
    assert hello.machine.instructions == before + 2


def test_finish_lands_where_the_function_returns_to(hello: Debugger) -> None:
    hello.do("b put_field", "c")
    ra = hello.machine.harts[0].read("ra")
    said = hello.do("fin")
    assert hello.pc == ra
    assert said[0].startswith("until put_field returns to ") and f"{ra:#x}" in said[0]
    assert said[-1] == f"$1 = a0 = {hello.machine.harts[0].read('a0')} = {hello.machine.harts[0].read('a0'):#x}"
    hello.do("fin")
    assert source_line("hello", hello.pc)[0] == "hello.c"


def test_finish_of_a_selected_frame(hello: Debugger) -> None:
    hello.do("b put_field", "c", "up", "fin")
    assert source_line("hello", hello.pc)[0] == "hello.c"


def test_until_leaves_a_loop() -> None:
    with debugging("hello") as debugger:
        first = symbols("hello")["_start"]
        debugger.do(f"tb *{first + 0x1A:#x}", "c")  # the jump back of the loop that clears .bss
        passes = debugger.machine.harts[0].read("t0")
        debugger.do("until")
        hart = debugger.machine.harts[0]
        assert debugger.pc == first + 0x1C
        assert hart.read("t0") == hart.read("t1") > passes


def test_until_and_advance_go_to_a_place(hello: Debugger) -> None:
    exit_ = symbols("hello")["exit"]
    hello.do("tb main", "c", "advance exit")
    assert hello.pc == exit_
    hello.do("goto begin", "tb main", "c", "until exit")
    assert hello.pc == symbols("hello")["_start"] + 0x2C  # main returned before
    assert "a place" in hello.fails("advance")


def test_run_begins_anew(hello: Debugger) -> None:
    hello.do("b main", "c", "c")
    said = hello.do("run")
    assert said[0].startswith("breakpoint 1: hart 0 reached") and hello.pc == symbols("hello")["main"]


def test_a_guest_that_waits_for_input_stops_and_goes_on() -> None:
    with debugging("uart-echo", typed=False) as debugger:
        assert debugger.do("c")[0].startswith("every hart waits")
        assert debugger.do("c")[0].startswith("every hart waits")
        debugger.do(r"type hello there\nquit\n")
        assert debugger.do("c")[0] == "the guest exited with code 0"
        assert b"hello there" in debugger.machine.console


@pytest.mark.parametrize(("line", "words"), [
    ("si 0", "expected a count from 1 on"), ("c -1", "expected a count"), ("si nowhere", "nowhere"),
    ("finish now", "finish takes no argument"), ("advance nowhere", "nowhere"),
])
def test_what_cannot_be_done_moves_nothing(hello: Debugger, line: str, words: str) -> None:
    before = hello.state()
    assert words in hello.fails(line)
    assert hello.state() == before
