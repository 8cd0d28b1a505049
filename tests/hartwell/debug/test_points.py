"""Where to stop: each kind of point, its conditions, and what lists say of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.stop import Watch

from .debugger import Debugger, alone, debugging, debugging_kernel, symbols

pytestmark = pytest.mark.cross


@pytest.fixture
def hello() -> Iterator[Debugger]:
    """The image hello, at its reset."""
    with debugging("hello") as made:
        yield made


@pytest.mark.parametrize(("place", "distance"), [("main", 0), ("main+0x4", 4), ("*main+6", 6), ("0x80200056", 0),
                                                 ("*0x80200056", 0)])
def test_places_by_symbols_and_addresses(hello: Debugger, place: str, distance: int) -> None:
    main = symbols("hello")["main"]
    assert main == 0x80200056
    hello.do(f"break {place}", "c")
    assert hello.pc == main + distance


def test_places_by_source_lines(hello: Debugger) -> None:
    said = hello.do("b hello.c:9")
    assert said[0].startswith("breakpoint 1 at hello.c:9, 0x")
    hello.do("c")
    assert "hello.c:9" in hello.do("info line")[0]
    hello.do("b 10", "c")
    assert hello.pc > symbols("hello")["main"] and "hello.c:1" in hello.do("info line")[0]
    assert "no code of such a line" in hello.fails("b hello.c:4000")
    hello.do("goto begin")
    assert "which file" in hello.fails("b 12")


def test_a_place_of_nothing_is_pc(hello: Debugger) -> None:
    hello.do("tb main", "c")
    assert hello.do("b") == ["breakpoint 2 at 0x80200056 <main>"]


def test_a_name_in_two_programs_is_in_both(hello: Debugger) -> None:
    said = hello.do("b _start")
    assert said == ["breakpoint 1 at 0x80200000 <_start> and at 0x80000000"]
    hello.do("c")
    assert hello.pc == 0x8000_0000
    hello.do("c")
    assert hello.pc == 0x8020_0000


def test_a_temporary_breakpoint_stops_once(hello: Debugger) -> None:
    assert hello.do("tb print") == ["temporary breakpoint 1 at 0x8020027c <print>"]
    assert hello.do("c")[0] == "temporary breakpoint 1: hart 0 reached 0x8020027c <print>"
    assert hello.do("c")[0] == "the guest exited with code 0"
    assert hello.do("info b") == ["there are no breakpoints or watchpoints"]


def test_a_hardware_breakpoint_is_one(hello: Debugger) -> None:
    hello.do("hb print", "c")
    assert hello.pc == symbols("hello")["print"]


def test_conditions(hello: Debugger) -> None:
    hello.do("b console_putc if $a0 == 'H'", "c")
    assert hello.machine.harts[0].read("a0") == ord("H")
    hello.do("condition 1 $a0 == 'W'")
    hello.do("b print if $ra", "c")
    assert hello.pc == symbols("hello")["print"]
    assert hello.do("condition 1") == ["breakpoint 1 stops always"]
    assert hello.do("info b")[1].split()[:4] == ["1", "breakpoint", "yes", "1"]
    assert "if what?" in hello.fails("b main if")
    assert "column" in hello.fails("b main if $a0 ==")
    assert "no breakpoint 9" in hello.fails("condition 9 1")
    assert len(hello.do("info b")) == 3


def test_a_condition_without_a_value_stops(hello: Debugger) -> None:
    hello.do("b main if *1", "c")
    assert hello.pc == symbols("hello")["main"]


def test_disabled_ones_are_passed_and_deleted_ones_gone(hello: Debugger) -> None:
    hello.do("b main", "b print", "disable 1", "c")
    assert hello.pc == symbols("hello")["print"]
    said = hello.do("info breakpoints")
    assert [line.split()[2] for line in said[1:]] == ["no", "yes"]
    hello.do("enable 1", "disable", "enable 1", "goto begin", "c")
    assert hello.pc == symbols("hello")["main"]
    hello.do("delete 1", "enable", "c")
    assert hello.pc == symbols("hello")["print"]
    hello.do("b main", "b exit", "delete 2-3")
    assert len(hello.do("info b")) == 2
    hello.do("delete")
    assert hello.do("info b") == ["there are no breakpoints or watchpoints"]
    for line in ("delete 1", "enable x", "disable 3-1"):
        hello.fails(line)


@pytest.mark.parametrize(("command", "stores", "loads"), [("watch", True, False), ("rwatch", False, True),
                                                          ("awatch", True, True)])
def test_watchpoints_are_the_machines(hello: Debugger, command: str, stores: bool, loads: bool) -> None:
    buffer = symbols("hello")["buffer"]
    hello.do("tb main", "c", f"{command} buffer 8")
    said = hello.do("c")
    with alone("hello", symbols("hello")["main"]) as machine:
        machine.set_watchpoints([Watch(buffer, 8, stores, loads)])
        stop = machine.run()
        assert said[0] == (f"watchpoint 2: hart 0 {'stored' if stop.store else 'loaded'} "  # type: ignore[attr-defined]
                           f"{stop.size} byte{'s' * (stop.size > 1)} at {stop.address:#x}, "  # type: ignore[attr-defined]
                           f"by the instruction at {stop.pc:#x} "  # type: ignore[attr-defined]
                           f"<{hello.session.programs.format(stop.pc)}>")  # type: ignore[attr-defined]
        assert hello.machine.instructions == machine.instructions and hello.pc == machine.harts[0].pc


def test_a_watchpoint_shows_what_changed(hello: Debugger) -> None:
    hello.do("tb main", "c", "watch {u8}buffer+4")
    while "held" not in hello.do("c")[1]:
        pass
    before, now = hello.said[1].split("held ")[1].split(", holds ")
    assert int(before, 16) != int(now, 16)
    assert hello.do("p {u8}(buffer+4)")[0].split()[2] == str(int(now, 16))
    hello.do("rc")
    assert hello.do("p/x {u8}(buffer+4)")[0].endswith(before)
    assert hello.do("info watchpoints")[0].endswith("stores to 1 byte at physical 0x80211004 ({u8}buffer+4)")


def test_a_watchpoint_knows_the_symbols_size_and_lengths(hello: Debugger) -> None:
    assert "stores to 4 bytes at physical 0x80242008 (depth)" in hello.do("watch depth")[0]
    assert "loads from 16 bytes" in hello.do("rwatch $pc 16")[0]
    assert "stores to 2 bytes" in hello.do("watch {u16}0x80200000")[0]
    assert "virtual 0xffffffc000000000" in hello.do("watch 0xffffffc000000000")[0]
    assert "0 bytes" in hello.fails("watch depth 0")
    assert "watch what?" in hello.fails("watch")
    assert "beyond the last" in hello.fails("watch 0xffffffffffffffff 8")
    assert len(hello.do("info b")) == 5


def test_a_breakpoint_of_one_hart() -> None:
    with debugging("smp-pingpong", harts=3) as debugger:
        said = debugger.do("b player hart 2")
        assert said[0].endswith(", hart 2")
        debugger.do("c")
        assert debugger.session.hart_number == 2 and debugger.pc == symbols("smp-pingpong")["player"]
        assert "hart 7: the machine has harts 0 to 2" in debugger.fails("b main hart 7")


def test_stages_and_operations_of_the_kernel() -> None:
    with debugging_kernel() as debugger:
        assert debugger.do("b stage:frame-metadata") == ["mark 1 at stage:frame-metadata"]
        said = debugger.do("c")
        assert said[0] == "mark 1: at stage:frame-metadata"
        names = [line.split(",")[0].strip() for line in said if line.startswith("  ") and ", after " in line]
        assert names == ["entry", "early-info", "early-allocator", "cpu-local"]
        assert "Kernel.start (kernel/kernel.py:" in said[-1]
        assert not any("0x7f" in line for line in said)  # no addresses of Python's
        debugger.do("tb op:heap_alloc")
        said = debugger.do("c")
        assert said[0] == "temporary mark 2: at op:heap_alloc"
        assert "  size     256" in said and any("boot_info (kernel/boot/stages.py:" in line for line in said)
        debugger.do("b op:heap_alloc:done")
        said = debugger.do("c")
        address = next(int(line.split()[1], 16) for line in said if line.startswith("  address"))
        debugger.do("c")
        assert f"256 bytes at {address:#x}".encode() in debugger.machine.console
        past = debugger.do("rc")
        assert past[0] == "mark 3: at op:heap_alloc:done" and f"  address  {address:#x}" in past
        assert "Python:" not in past
        assert debugger.do("rc")[0] == "mark 1: at stage:frame-metadata"


def test_marks_that_are_not_there_are_refused(hello: Debugger) -> None:
    assert "another guest is running here" in hello.fails("b stage:heap")
    assert "there are stage:entry, stage:early-info" in hello.fails("b stage:nowhere")
    assert "there are op:frame_alloc, op:frame_dealloc" in hello.fails("tb op:nothing")
    assert hello.do("info b") == ["there are no breakpoints or watchpoints"]


def test_no_memory_is_changed(hello: Debugger) -> None:
    before = bytes(hello.machine.bus.read(0x8020_0000, 0x1000))
    hello.do("b main", "hb print", "watch buffer", "b hello.c:9")
    assert hello.machine.bus.read(0x8020_0000, 0x1000) == before


def test_too_many_are_refused_and_the_rest_stays(hello: Debugger) -> None:
    for number in range(32):
        hello.do(f"watch {0x8300_0000 + 8 * number:#x}")
    assert "32" in hello.fails("watch 0x83001000")
    assert len(hello.do("info b")) == 33
