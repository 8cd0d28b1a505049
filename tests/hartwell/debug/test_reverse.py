"""Going back: what was there before is there again, and last-write tells the store that did it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from emulator.debug import Target
from emulator.stop import Watch
from hartwell.debug.idle import no_input
from hartwell.debug.programs import Programs
from hartwell.debug.session import Session
from tests.helpers import machines
from tests.helpers.assembler import BASE, assemble
from tests.helpers.machines import END, FIRMWARE

from .debugger import Debugger, alone, debugging, debugging_kernel, nm, retire, source_line, symbols

pytestmark = pytest.mark.cross


@pytest.fixture
def hello() -> Iterator[Debugger]:
    """The image hello, in front of main."""
    with debugging("hello") as made:
        made.do("tb main", "c")
        yield made


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_reverse_stepi_takes_steps_back(hello: Debugger, steps: int) -> None:
    states = [hello.state()]
    for _ in range(steps):
        hello.do("si")
        states.append(hello.state())
    for state in reversed(states[:-1]):
        said = hello.do("rsi")
        assert hello.state() == state
        assert said[0].endswith("in the past")
    hello.do(f"si {steps}")
    assert hello.state() == states[-1]
    hello.do(f"reverse-stepi {steps}")
    assert hello.state() == states[0]


def test_reverse_continue_comes_to_the_hits_in_the_other_order(hello: Debugger) -> None:
    hello.do("goto begin", "b console_putc", "b main")
    seen = []
    while not hello.do("c")[0].startswith("the guest exited"):
        seen.append((hello.pc, hello.machine.instructions))
    back = []
    while hello.do("rc")[0] != "the history begins here":
        back.append((hello.pc, hello.machine.instructions))
    assert back == seen[::-1] and len(seen) > 20
    assert hello.machine.instructions == 0
    hello.do("rc")
    hello.do("c 3", "rc 2")
    assert (hello.pc, hello.machine.instructions) == seen[0]


def test_reverse_nexti_goes_back_over_a_call(hello: Debugger) -> None:
    states = {}
    while b"Hello" not in hello.machine.console:
        states[hello.pc] = hello.state()
        hello.do("ni")
    behind = hello.pc
    hello.do("rni")
    assert hello.pc == behind - 4
    assert hello.state() == states[hello.pc]


def test_reverse_nexti_goes_back_over_an_environment_call() -> None:
    with debugging("sbi-selftest") as debugger:
        debugger.do("tb trap_handle", "c")  # the firmware's; the first environment call
        debugger.do(f"tb *{debugger.machine.harts[0].read_csr('mepc'):#x}", "rc")
        state = debugger.state()
        debugger.do("ni")
        assert debugger.state() != state
        debugger.do("rni")
        assert debugger.state() == state


def test_reverse_next_and_reverse_step_come_to_lines(hello: Debugger) -> None:
    hello.do("b exit", "c", "delete")
    hello.do("rfin")
    lines = []
    for _ in range(4):
        hello.do("rn")
        lines.append(source_line("hello", hello.pc))
    assert all(file in ("hello.c", "start.S") for file, _ in lines)
    hello.do("goto end", "rfin")
    hello.do("rs", "rs", "rs")
    assert source_line("hello", hello.pc)[0] == "print.c" or source_line("hello", hello.pc)[0] == "hello.c"


def test_reverse_step_goes_into_functions(hello: Debugger) -> None:
    code = symbols("hello")["main"]
    hello.do(f"tb *{code + 0x18:#x}", "c")  # behind the first call of print
    hello.do("rs")
    assert source_line("hello", hello.pc)[0] == "print.c"
    hello.do("goto begin", f"tb *{code + 0x18:#x}", "c", "rn")
    assert source_line("hello", hello.pc)[0] == "hello.c"


def test_reverse_finish_comes_to_the_call(hello: Debugger) -> None:
    hello.do("tb put_field", "c", "si 20")
    ra = int(hello.do("p/x $ra")[0].split()[-1], 16)
    calls = hello.do("bt")
    said = hello.do("rfin")
    assert said[0] == "back to the call of put_field"
    assert hello.do("si") and hello.pc == symbols("hello")["put_field"]
    assert hello.machine.harts[0].read("ra") == ra
    assert " in print" in calls[1]


@pytest.mark.parametrize("number", [0, 1, 123_456, 363_374])
def test_goto_is_where_so_many_instructions_have_retired(hello: Debugger, number: int) -> None:
    with alone("hello") as machine:
        retire(machine, number)
        hello.do(f"goto {number:,}")
        assert hello.machine.instructions == number
        assert hello.machine.harts[0].registers() == machine.harts[0].registers()
        assert hello.machine.console == machine.console


def test_goto_goes_to_the_future_and_to_names(hello: Debugger) -> None:
    start = hello.state()
    assert hello.do("mark start")[0].endswith("goto start comes back")
    hello.do("goto 499000")
    assert hello.machine.instructions == 499_000 and not hello.target.in_past
    hello.do("goto begin")
    assert hello.machine.instructions == 0 and hello.pc == 0x1000
    hello.do("goto start")
    assert hello.state() == start
    hello.do("goto end")
    assert hello.machine.instructions == 499_000
    assert hello.fails("goto nowhere") == ("goto nowhere: expected a number of instructions, such as 1,000,000, or one "
                                           "of begin, end, start")
    assert "expected a name" in hello.fails("mark begin")
    assert "-5" in hello.fails("goto -5")


def test_last_write_is_the_store_that_did_it() -> None:
    source = """
            la      t0, data
            addi    t1, zero, 1
            sd      t1, 0(t0)
            addi    t1, zero, 0x122
            sd      t1, 0(t0)
            ld      t2, 0(t0)
            addi    t2, zero, 0
    """ + END + """
            .align  6
    data:   .space  16
    """
    code = assemble(source)
    first, second = (BASE + at.start() for at in re.finditer(re.escape(assemble("sd t1, 0(t0)")), code))
    data = BASE + len(code) - 16
    made = machines.machine(source)
    said: list[str] = []
    with Target(made, poll=no_input(made)) as target:
        session = Session(target, Programs(), said.append)
        session.execute("c")
        said.clear()
        session.execute(f"last-write {data:#x}")
        assert f": by hart 0, by the instruction at {second:#x}" in said[0]
        assert said[2:] == ["  they held 0x1, and hold 0x122", "goto write goes to just before it"]
        session.execute("goto write")
        assert made.harts[0].pc == second and made.bus.read(data, 8) == (1).to_bytes(8, "little")
        said.clear()
        session.execute(f"last-write {data:#x} 8")
        assert f": by hart 0, by the instruction at {first:#x}" in said[0]
        assert said[2] == "  they held 0x0, and hold 0x1"
        session.execute(f"last-write {{u32}}{data + 8}")
        assert said[-1] == (f"4 bytes at {data + 8:#x}: nothing has written there since the history began, after 0 "
                            "instructions")
        assert made.harts[0].pc == second
    made.close()


def test_last_write_agrees_with_a_run_that_watches(hello: Debugger) -> None:
    buffer = symbols("hello")["buffer"]
    hello.do("c")
    said = hello.do(f"last-write {buffer} 4")
    with alone("hello") as machine:
        machine.set_watchpoints([Watch(buffer, 4)])
        hits = []
        while type(stop := machine.run()).__name__ == "Watchpoint":
            hits.append((stop.pc, machine.instructions - 1))  # type: ignore[attr-defined]
    pc, instructions = hits[-1]
    assert f"after {instructions:,} instructions: by hart 0, by the instruction at {pc:#x}" in said[0]


def test_a_write_of_the_kernel_in_python_is_of_a_stage() -> None:
    with debugging_kernel() as debugger:
        debugger.do("c")
        address = int(debugger.machine.console.split(b"bytes at ")[1].split()[0], 16) & 0xFFFF_FFFF
        said = debugger.do(f"last-write {address + 8}")
        assert "in the stage boot-info, after heap_alloc was done" in said[0]
        debugger.do("goto write")
        assert debugger.machine.bus.read(address + 8, 8) == bytes(8)
        assert debugger.do(f"watch {address + 8}", "c")[0].startswith(
            "watchpoint 1: the kernel's Python code in the stage boot-info")


@pytest.mark.parametrize("line", ["rsi 0", "rc x", "rni -1", "rfin 3", "last-write", "last-write 0x80000000 0",
                                  "last-write nowhere", "goto", "mark"])
def test_what_cannot_be_done_moves_nothing(hello: Debugger, line: str) -> None:
    before = hello.state()
    hello.fails(line)
    assert hello.state() == before


def test_nm_knows_the_firmware() -> None:
    assert nm(FIRMWARE)["_start"] == 0x8000_0000
