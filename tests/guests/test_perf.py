"""Linux's perf events, from a program of its own as /init: its driver finds the counters through the SBI."""

from __future__ import annotations

import re

import pytest

from emulator.stop import Exited
from emulator.timing.events import Event
from tests.emulator.loader.builders import Elf, Load
from tests.guests import initramfs
from tests.guests.machines import OURS, boot, guest
from tests.helpers.assembler import assemble

pytestmark = pytest.mark.guest
AT = 0x10000
CALLS = 1000
LOOPS = 100_000
SLEEPS = 10
"""What PROGRAM does while events are counted."""
HARDWARE, CACHE, RAW = 0, 3, 4
"""perf_event_attr.type (Linux, include/uapi/linux/perf_event.h); configs of the first two:"""
CPU_CYCLES, CPU_INSTRUCTIONS, CACHE_REFERENCES, L1D_READ = 0, 1, 2, 0
SET_TIMER = 5
FIRMWARE = 1 << 63
"""In the config of a raw event: an event of the SBI's firmware, by its code."""
ENOENT = 2
LINE = ", ".join(map(str, b"count: " + bytes(16) + b"\n"))

PROGRAM = f"""
        la      s0, events
        la      s1, end_of_events
1:      mv      a0, s0                  # perf_event_open(attr, this process, any CPU, no group, 0)
        li      a1, 0
        li      a2, -1
        li      a3, -1
        li      a4, 0
        li      a7, 241
        ecall
        sd      a0, 64(s0)              # the file, or an error
        addi    s0, s0, 80
        bltu    s0, s1, 1b

        li      s2, {LOOPS}
2:      addi    s2, s2, -1
        bnez    s2, 2b
        li      s2, {CALLS}
3:      li      a7, 173                 # getppid
        ecall
        addi    s2, s2, -1
        bnez    s2, 3b

        li      s2, {SLEEPS}
4:      la      a0, time                # nanosleep
        li      a1, 0
        li      a7, 101
        ecall
        addi    s2, s2, -1
        bnez    s2, 4b

        la      s0, events
5:      ld      a0, 64(s0)
        sd      a0, 72(s0)
        blt     a0, zero, 6f
        addi    a1, s0, 72              # read(file, count, 8)
        li      a2, 8
        li      a7, 63
        ecall
6:      addi    s0, s0, 80
        bltu    s0, s1, 5b
        la      s0, events
7:      ld      s3, 72(s0)
        call    print
        addi    s0, s0, 80
        bltu    s0, s1, 7b
        li      a0, 0xfee1dead          # reboot(…, LINUX_REBOOT_CMD_POWER_OFF)
        li      a1, 672274793
        li      a2, 0x4321fedc
        li      a7, 142
        ecall

print:  la      a1, line                # s3 in 16 digits
        addi    t0, a1, 7
        addi    t1, a1, 23
8:      andi    t2, s3, 15
        srli    s3, s3, 4
        la      t3, digits
        add     t3, t3, t2
        lbu     t2, 0(t3)
        addi    t1, t1, -1
        sb      t2, 0(t1)
        bltu    t0, t1, 8b
        li      a0, 1
        li      a2, 24
        li      a7, 64
        ecall
        ret
digits: .dword  0x3736353433323130, 0x6665646362613938
line:   .byte   {LINE}
        .align  8
time:   .dword  0, 1000000              # a millisecond
events:
"""


def counts(firmware: str, *events: tuple[int, int]) -> list[int]:
    """What Linux behind `firmware` counts of (type, config) events during PROGRAM; minus an error number if nothing."""
    table = "".join(f"        .dword {64 << 32 | kind}, {config}\n        .space 64\n" for kind, config in events)
    start = AT + 120                        # where the code is in the file, modulo pages
    code = assemble(PROGRAM + table + "end_of_events:", start)
    program = Elf([Load(start, code, flags=7)], entry=start).build()
    disk = initramfs.archive([initramfs.directory("dev"), initramfs.device("dev/console", 5, 1),
                              initramfs.file("init", program, 0o755)])
    made = boot(guest("trixie/Image"), firmware, 1, 512 << 20, disk, "console=ttyS0")
    assert made.run(timeout=60) == Exited(0), made.console[-2000:]
    assert b"riscv-pmu-sbi: 16 firmware and 18 hardware counters" in made.console
    found = [int(digits, 16) for digits in re.findall(rb"count: ([0-9a-f]{16})", made.console)]
    return [number - (1 << 64) if number >> 63 else number for number in found]


@pytest.mark.parametrize("firmware", [OURS, "trixie/fw_dynamic.bin", "bookworm/fw_dynamic.bin"])
def test_linux_counts_cycles_instructions_traps_and_calls_of_the_firmware(firmware: str) -> None:
    cycles, instructions, traps, timers, *refused = counts(
        firmware, (HARDWARE, CPU_CYCLES), (HARDWARE, CPU_INSTRUCTIONS), (RAW, Event.TRAPS), (RAW, FIRMWARE | SET_TIMER),
        (HARDWARE, CACHE_REFERENCES), (CACHE, L1D_READ))
    least = 2 * LOOPS + 5 * CALLS
    assert least < instructions < cycles < 1000 * least
    assert CALLS + SLEEPS < traps < 2 * CALLS
    assert SLEEPS <= timers < 10 * SLEEPS
    # No caches without a timing model: our firmware sees that the hart refuses them, OpenSBI does not look.
    assert refused == ([-ENOENT, -ENOENT] if firmware == OURS else [0, 0])
