"""Where QEMU 7.2 itself is not what the specification says, by program and check; section numbers are of the privileged
specification 20211203 unless another is named.
"""

from __future__ import annotations

from typing import Final

MPRV = "3.1.6.3: an xRET to below M clears MPRV; QEMU 7.2 keeps it"
RULES = "3.7.1: without a matching entry S and U may do nothing; QEMU makes mret itself illegal while no entry is on"
AMO = "3.1.15: faults of an AMO are store/AMO faults, also of its read half"
PARTIAL = "3.7.1: bytes that no fetch may reach are an access fault; QEMU decodes them as zeros"
PRIORITY = "3.1.9: MEI, MSI, MTI, SEI, SSI, STI; QEMU without AIA takes the lowest number"
COUNTERS = "3.1.10: counters can be written, and are written when the instruction retires"
EVENTS = "not a deviation: QEMU's selectors are the SBI's event numbers, and it keeps all that it does not know"
INHIBITED = "3.1.12; QEMU: reads 0 or its start while inhibited"
H_BITS = "3.1.9: bits of the hypervisor extension, which is off, read 0"

DEVIATIONS: Final[dict[tuple[str, str], str]] = {
    ("traps", "AMO access fault"): AMO,
    ("traps", "misaligned AMO"): AMO,
    ("traps", "AMO page fault"): AMO,
    ("traps", "medeleg has no bit for ecall from M"): "3.1.8: medeleg[11] is read-only zero",
    ("status", "mret to S clears MPRV"): MPRV,
    ("status", "mret to U clears MPRV"): MPRV,
    ("status", "sret in M to S clears MPRV"): MPRV,
    ("status", "mret to an address that cannot be fetched has cleared MPRV"): MPRV,
    ("status", "mret to a pending interrupt has cleared MPRV"): MPRV,
    ("status", "under MPRV mret to M makes accesses U-mode's, as MPP becomes U"): "3.1.6.3: a stale TLB entry",
    ("status", "MPP cannot hold 2"): "3.1.6.1: MPP is WARL, and 2 is no mode",
    ("paging", "an AMO on a page that is not mapped is a store page fault"): AMO,
    ("paging", "the walk into a hole is an access fault of the access's own kind"): "4.3.2, step 2; QEMU: a page fault",
    ("paging", "a page that lies in a hole is an access fault with the virtual address"): AMO,
    ("pmp", "with no entry matching, S-mode may do nothing"): RULES,
    ("pmp", "with no entry matching, U-mode may do nothing"): RULES,
    ("pmp", "an AMO and LR without R fault as what they are"): AMO,
    ("pmp", "straight code that runs into forbidden bytes of its page faults there"): PARTIAL,
    ("pmp", "an instruction half of which is forbidden faults at itself"): PARTIAL,
    ("pmp", "setting A or D needs W on the page table"): "4.3.2, step 7: a store to the page table that PMP must allow",
    ("pmp", "an access across two virtual pages does not touch what lies behind the first one physically"):
        "3.7.1: PMP checks the bytes that are accessed; QEMU checks those behind the first page's last",
    ("pmp", "pmpcfg bits 5 and 6 read zero"): "3.7.1, figure 3.32",
    ("pmp", "pmpaddr has 54 bits"): "3.7.1, figure 3.31",
    ("counters", "ecall and ebreak count, though they trap"): "without -icount QEMU's minstret is host time",
    ("counters", "a write of minstret is read back by the next instruction"): COUNTERS,
    ("counters", "minstret is 64 bits wide"): COUNTERS,
    ("counters", "mcountinhibit stops minstret alone"): INHIBITED,
    ("counters", "mcountinhibit stops mcycle alone"): INHIBITED,
    ("counters", "a stopped counter goes on from where it stopped"): INHIBITED,
    ("counters", "time cannot be stopped: mcountinhibit has no TM"): "3.1.12: bit 1 is read-only 0",
    ("counters", "a programmable counter counts traps, interrupts and those to S included"): EVENTS,
    ("counters", "two counters of one event are two counters"): COUNTERS,
    ("counters", "a write of a programmable counter is read back by the next instruction"): COUNTERS,
    ("counters", "a counter keeps its value when its event changes"): COUNTERS,
    ("counters", "mcountinhibit stops a programmable counter alone, and it goes on from where it stopped"): COUNTERS,
    ("counters", "stopping one counter costs the others nothing"): INHIBITED,
    ("counters", "a stopped counter can be written, and takes a new event"): EVENTS,
    ("counters", "mhpmevent takes an event that is counted, and none else"): EVENTS,
    ("counters", "mhpmcounter19 to mhpmcounter31 and their events are read-only 0"):
        "3.1.10: all of them exist; QEMU has the events only",
    ("counters", "mcountinhibit, mcounteren and scounteren have bits for 16 programmable counters"):
        "3.1.11, 3.1.12: bits of counters that do not exist are read-only 0",
    ("interrupts", "priority in M: MEI, MSI, MTI, SEI, SSI, STI"): PRIORITY,
    ("interrupts", "priority in S: SEI, SSI, STI"): PRIORITY,
    ("interrupts", "mip: software can write SSIP, STIP and SEIP only"): H_BITS,
    ("interrupts", "mie has six bits"): H_BITS,
    ("interrupts", "mideleg has the supervisor interrupts' bits only"): H_BITS,
    ("interrupts", "sip writes SSIP only, and only if delegated"): H_BITS,
    ("plic", "a claim ignores the threshold"): "PLIC specification 1.0.0, chapter 8",
    ("plic", "after completion a line that is still high interrupts again"): "PLIC specification 1.0.0, chapter 1.4",
    ("csrs", "csrrs of a read-only register with a register that holds 0 is illegal: it is a write"):
        "unprivileged specification 20191213, 9.1: only rs1 = x0 does not write",
    ("csrs", "mepc and sepc have bit 0 clear, and bit 1 not"): "3.1.14, 4.1.7: bit 0 is always zero",
    ("csrs", "medeleg cannot delegate what no lower mode raises"): "3.1.8: medeleg[11] is read-only zero",
    ("csrs", "menvcfg has no STCE and no PBMTE"): "3.1.18: read-only zero without Sstc and Svpbmt",
    ("csrs", "the trigger registers show that there are no triggers"): "not a deviation: QEMU has triggers",
    ("fp", "a comparison that raises a flag makes FS dirty"): "3.1.6.6",
    ("fp", "a conversion to integer that raises a flag makes FS dirty"): "3.1.6.6",
}
"""Reason by (program, check)."""
