"""The real LLDB: it attaches, stops, steps, reads and writes."""

from __future__ import annotations

from tests.helpers.gdb import facts
from tests.helpers.lldb import needs_lldb, run
from tests.helpers.machines import image
from tests.helpers.rsp import serving

pytestmark = needs_lldb


def test_it_breaks_steps_and_looks() -> None:
    hello = image("hello")
    with serving(hello.boot()) as server:
        lines = run(server.port, hello.path, [
            "register read pc priv", "breakpoint set -n main", "process continue", "register read pc a0 satp",
            "thread step-inst", "register read pc", "memory read --format x --size 4 --count 2 0x80200000",
            "register write a1 0x1234", "register read a1", "memory write 0x80300000 0x11 0x22",
            "memory read --format x --size 1 --count 2 0x80300000", "process plugin packet monitor position",
            "thread step-over", "frame variable", "process detach"])
        facts(lines, "pc = 0x0000000000001000", "priv = 0x0000000000000003",
              "Breakpoint 1: where = hello.elf`main at hello.c:7:1", "stop reason = breakpoint 1.1",
              "hello.elf`main(hart=0) at hello.c:7:1", "pc = 0x0000000080200056", "a0 = 0x0000000000000000",
              "stop reason = instruction step into", "pc = 0x0000000080200058",
              "0x80200000: 0x00001297 0x00028293", "a1 = 0x0000000000001234", "0x80300000: 0x11 0x22",
              "the present", "stop reason = step over", "(unsigned long) hart = 0", "Process 1 detached")
        assert server.wait().ok


def test_it_stops_at_watchpoints_and_at_the_end() -> None:
    hello = image("hello")
    with serving(hello.boot()) as server:
        lines = run(server.port, hello.path, [
            "breakpoint set -n main", "process continue", "watchpoint set expression -w write -s 8 -- $sp-8",
            "process continue", "register read pc", "watchpoint delete 1", "breakpoint delete 1", "process continue"])
        facts(lines, "Watchpoint created: Watchpoint 1: addr = 0x80202ff8 size = 8 state = enabled type = w",
              "stop reason = watchpoint 1", "The run is over: the guest exited with code 0.")


def test_harts_are_threads() -> None:
    pingpong = image("smp-pingpong")
    with serving(pingpong.boot()) as server:
        lines = run(server.port, pingpong.path, [
            "thread list", "breakpoint set -n main", "process continue", "thread select 2", "register read pc",
            "thread step-inst", "register read pc", "process detach"])
        facts(lines, "* thread #1: tid = 0x0001, 0x0000000000001000, stop reason = signal SIGTRAP",
              "  thread #2: tid = 0x0002, 0x0000000000001000", "stop reason = breakpoint 1.1",
              "pc = 0x0000000080001130", "stop reason = instruction step into", "pc = 0x0000000080001134")
