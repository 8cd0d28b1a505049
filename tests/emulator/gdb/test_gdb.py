"""The real GDB goes through machines: firmware, kernel and user code, forwards and backwards."""

from __future__ import annotations

from pathlib import Path

from emulator.board import Board
from emulator.machine import Machine
from tests.emulator.privileged.programs import elf
from tests.helpers.gdb import debug, facts, needs_gdb
from tests.helpers.machines import FIRMWARE, image, load

pytestmark = needs_gdb

LEVELS = elf("levels")


def levels() -> Machine:
    made = Machine(Board(memory=16 << 20))
    made.boot(kernel=load(LEVELS))
    return made


def test_it_starts_at_the_reset_vector_and_goes_to_the_end() -> None:
    lines = debug(image("hello").boot(), "info registers pc priv", "x/2i $pc", "stepi", "continue", "continue",
                  elf=image("hello").path)
    facts(lines, "0x0000000000001000 in ?? ()", "pc             0x1000", "priv           0x3\tprv:3 [Machine]",
          "=> 0x1000:\tauipc\tt0,0x0", "0x0000000000001004 in ?? ()",
          "The run is over: the guest exited with code 0.", "Program received signal SIGTRAP",
          "[Inferior 1 (Remote target) exited normally]")


def test_breakpoints_in_firmware_kernel_and_user_code() -> None:
    hello = image("hello")
    lines = debug(hello.boot(), "break main", "continue", "break sbi_srst", "continue", "backtrace",
                  "info registers priv", elf=hello.path, symbols=[FIRMWARE])
    facts(lines, "Breakpoint 1, main (hart=0) at hello/hello.c:8", "Breakpoint 2, sbi_srst (",
          " in sbi_handle (frame=", "priv           0x3\tprv:3 [Machine]")

    lines = debug(levels(), "break *0x40001000", "break supervisor", "continue", "p $priv", "continue",
                  "x/2i $pc", "info registers priv satp", "stepi", "stepi", "info registers pc priv scause sepc",
                  elf=LEVELS)
    facts(lines, "Breakpoint 2, 0x0000000080000068 in supervisor ()", "$1 = 1",
          "Breakpoint 1, 0x0000000040001000 in ?? ()",
          "=> 0x40001000:\tli\ta0,1", "   0x40001004:\tecall", "priv           0x0\tprv:0 [User/Application]",
          "satp           0x8000000000080", "0x0000000040001004 in ?? ()", "in supervisor_trap ()",
          "priv           0x1\tprv:1 [Supervisor]", "scause         0x8", "sepc           0x40001004")


def test_single_steps_cross_mret_satp_sret_and_back() -> None:
    lines = debug(levels(), "break to_supervisor", "continue", "p $priv", "stepi", "p $priv",
                  "break write_satp", "continue", "p/x $satp", "x/i $pc", "stepi", "p/x $satp >> 60", "x/i $pc",
                  "break to_user", "continue", "stepi", "p $priv", "reverse-stepi", "p $priv", "x/i $pc",
                  "reverse-continue", "x/i $pc", "stepi", "p/x $satp >> 60", "reverse-stepi", "p/x $satp",
                  "reverse-continue", "p $priv", elf=LEVELS)
    facts(lines, "Breakpoint 1, 0x", "$1 = 3", "in supervisor ()", "$2 = 1",
          "Breakpoint 2, 0x", "$3 = 0x0", "csrw\tsatp,t0", "$4 = 0x8", "sfence.vma",
          "Breakpoint 3, 0x", "0x0000000040001000 in ?? ()", "$5 = 0", "Breakpoint 3, 0x", "$6 = 1", "sret",
          "Breakpoint 2, 0x", "csrw\tsatp,t0", "$7 = 0x8", "Breakpoint 2, 0x", "$8 = 0x0",
          "Breakpoint 1, 0x", "$9 = 3")


def test_steps_over_a_wfi_and_an_ecall_of_the_supervisor() -> None:
    lines = debug(levels(), "break finish", "continue", "x/i $pc", "stepi", "info registers priv mcause",
                  "break *(unsigned long)&wait", "continue", "x/i $pc", "stepi", "info threads", "x/i $pc", "stepi",
                  "info registers priv mcause mepc", elf=LEVELS)
    facts(lines, "in finish ()", "ecall", "in machine_trap ()", "priv           0x3", "mcause         0x9\t9",
          "in wait ()", "wfi", '* 1    Thread 1 "hart 0" (S-mode, waits)', "j\t0x", "in machine_trap ()",
          "priv           0x3", "mcause         0x8000000000000007", "mepc           0x")


def test_a_watchpoint_stops_behind_each_write_and_backwards_before_it() -> None:
    lines = debug(levels(), "watch *(long *)&total", "continue", "continue", "continue", "reverse-continue",
                  "x/i $pc", "info registers a0", "reverse-continue", "reverse-continue", "reverse-continue",
                  elf=LEVELS)
    facts(lines, "Hardware watchpoint 1: *(long *)&total",
          "Old value = 0", "New value = 1",
          "Old value = 1", "New value = 3", "Old value = 3", "New value = 6",
          "Old value = 6", "New value = 3", "in add_to_total ()", "sd\tt1,0(t0)", "a0             0x3",
          "Old value = 3", "New value = 1", "Old value = 1", "New value = 0",
          "No more reverse-execution history.")


def two_harts() -> Machine:
    return image("smp-pingpong").boot(harts=2)


def test_harts_are_threads_that_step_each_on_its_own() -> None:
    lines = debug(two_harts(), "info threads", "break *0x80200000", "continue", "p $mhartid", "stepi", "p/x $pc",
                  "thread 2", "p $mhartid", "p/x $pc", "stepi", "p/x $pc", "reverse-stepi", "p/x $pc",
                  "thread 1", "p $mhartid", elf=image("smp-pingpong").path)
    facts(lines, '* 1    Thread 1 "hart 0" (M-mode) 0x0000000000001000 in ?? ()',
          '  2    Thread 2 "hart 1" (M-mode) 0x0000000000001000 in ?? ()',
          'Thread 1 "hart 0" hit Breakpoint 1, _start ()', "$1 = 0", "$2 = 0x80200004",
          "[Switching to thread 2 (Thread 2)]", "$3 = 1", "$4 = 0x80001130", "$5 = 0x80001134", "$6 = 0x80001130",
          "[Switching to thread 1 (Thread 1)]", "$7 = 0")


def test_registers_and_memory_can_be_written() -> None:
    lines = debug(image("hello").boot(), "break main", "continue", "set $a0 = 41", "p hart", "set $fa0 = 1.5",
                  "p $fa0.double", "set $sscratch = 0xabcdef", "p/x $sscratch", "set $mvendorid = 1", "p $mvendorid",
                  "set $fcsr = 0x25", "p $frm", "set *(int *)0x80400000 = 0x12345678", "x/4xb 0x80400000",
                  "set $pc = $pc + 2", "x/i $pc", "delete", "continue", elf=image("hello").path)
    facts(lines, "Breakpoint 1, main", "$1 = 41", "$2 = 1.5", "$3 = 0xabcdef", "$4 = 0", "$5 = 1",
          "0x80400000:\t0x78\t0x56\t0x34\t0x12")


def test_memory_is_read_in_pieces_of_any_size_virtual_and_physical(tmp_path: Path) -> None:
    made = levels()
    dump = tmp_path / "dump"
    lines = debug(made, "break *0x40001000", "continue", "x/i 0x40001000", "x/x 0x40000000",
                  "x/x 0xffffffc000000000", "monitor phys on",
                  "x/i &user_code", "x/x 0x40001000", "monitor phys",
                  f"dump binary memory {dump} 0x80000000 0x80200000", "monitor phys off",
                  "maintenance packet Qqemu.PhyMemMode:1", "maintenance packet qqemu.PhyMemMode",
                  "find /w 0x80000000, +0x1000, 0x30529073", "compare-sections .text", elf=LEVELS)
    facts(lines, "=> 0x40001000:\tli\ta0,1", "0x40000000:\tCannot access memory",
          "0xffffffc000000000:\t0xf14022f3", "addresses of memory are physical",
          "0x80001000 <user_code>:\tli\ta0,1", "0x40001000:\tCannot access memory", "addresses of memory are physical",
          'received: "OK"', 'received: "1"', "Section .text, range 0x80000000 -- 0x80002000: matched.")
    assert dump.read_bytes()[:0x1000] == made.bus.read(0x8000_0000, 0x1000)
    assert len(dump.read_bytes()) == 0x200000


def test_the_map_of_memory_is_the_boards() -> None:
    lines = debug(levels(), "info mem", elf=LEVELS)
    facts(lines, "Using memory regions provided by the target.",
          "y  \t0x0000000000001000 0x0000000000010000 rw nocache",
          "y  \t0x0000000010000000 0x0000000010001000 rw nocache",
          "y  \t0x0000000080000000 0x0000000081000000 rw nocache", "y  \t0x0000000081000000 0x")


def test_it_attaches_to_a_running_machine_leaves_and_comes_back() -> None:
    made = image("bad-loop").boot()
    lines = debug(made, "p $priv", "detach", "target remote 127.0.0.1:{port}", "p $priv", "disconnect",
                  "target remote 127.0.0.1:{port}", "p $priv", "stepi", held=False, elf=image("bad-loop").path)
    facts(lines, "$1 = 1", "[Inferior 1 (Remote target) detached]", "$2 = 1", "$3 = 1")


def test_a_machine_with_another_past_has_another_end() -> None:
    lines = debug(image("bad-exit").boot(), "continue", "break *0x8020007a", "reverse-continue", "p/x $pc",
                  "set $a5 = 0x73333", "monitor position", "continue", "continue", elf=image("bad-exit").path)
    facts(lines, "The run is over: the guest exited with code 42.", "Breakpoint 1, 0x", "$1 = 0x8020007a",
          ", the present", "The run is over: the guest exited with code 7.", "exited with code 07]")


def test_monitor_commands_go_to_places_and_tell_what_wrote_last() -> None:
    lines = debug(levels(), "break finish", "continue", "monitor last-write 0x80005000 8", "monitor goto 121",
                  "x/i $pc", "maintenance flush register-cache", "x/i $pc", "stepi", "monitor position",
                  "monitor present", "monitor begin", "monitor history", "monitor goto x", "monitor goto",
                  "monitor nonsense", "monitor stop-at stage:heap", "monitor help", elf=LEVELS)
    facts(lines, "hart 0 stored 8 bytes at 0x80005000, by the instruction at 0x80000134", "before 0x3, after 0x6",
          "to go there: monitor goto 121", "instruction 121; step 121 of step 127", "hart 0 is at 0x80000134",
          "type:  maintenance flush register-cache", "=> 0x80000150 <finish>:\tecall",
          "=> 0x80000134 <add_to_total>:\tsd\tt1,0(t0)", "in add_to_total ()", "instruction 122; step 122 of step 127",
          "instruction 127; step 127, the present", "the beginning of the history; instruction 0; step 0 of step 127",
          "from instruction 0 (step 0) to step 127: ", "x is no instruction: expected a number such as 0x80200000",
          "goto: expected goto N", "there is no monitor command 'nonsense'; monitor help lists them",
          "stops at stage:heap", "last-write ADDRESS [LENGTH]  what last wrote to memory, and when")


def test_monitor_commands_of_others_are_passed_on() -> None:
    lines = debug(levels(), "monitor who is there", "monitor help", elf=LEVELS,
                  monitor=lambda line, hart: f"<{line} at {hart}>")
    facts(lines, "<who is there at 0>", "help                         this list", "<help at 0>")
