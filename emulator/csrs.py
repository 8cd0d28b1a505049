"""Names of the control and status registers.

Source: privileged specification 20211203, tables 2.2 to 2.6.
"""

from __future__ import annotations

from typing import Final

_NAMED = {
    0x001: "fflags", 0x002: "frm", 0x003: "fcsr",
    0x100: "sstatus", 0x104: "sie", 0x105: "stvec", 0x106: "scounteren", 0x10A: "senvcfg",
    0x140: "sscratch", 0x141: "sepc", 0x142: "scause", 0x143: "stval", 0x144: "sip", 0x180: "satp",
    0x300: "mstatus", 0x301: "misa", 0x302: "medeleg", 0x303: "mideleg", 0x304: "mie", 0x305: "mtvec",
    0x306: "mcounteren", 0x30A: "menvcfg", 0x320: "mcountinhibit",
    0x340: "mscratch", 0x341: "mepc", 0x342: "mcause", 0x343: "mtval", 0x344: "mip",
    0x7A0: "tselect", 0x7A1: "tdata1", 0x7A2: "tdata2", 0x7A3: "tdata3",
    0xB00: "mcycle", 0xB02: "minstret", 0xC00: "cycle", 0xC01: "time", 0xC02: "instret",
    0xF11: "mvendorid", 0xF12: "marchid", 0xF13: "mimpid", 0xF14: "mhartid", 0xF15: "mconfigptr",
}
_RUNS = ((0x3A0, "pmpcfg", (0, 2)), (0x3B0, "pmpaddr", range(16)), (0x320, "mhpmevent", range(3, 32)),
         (0xB00, "mhpmcounter", range(3, 32)), (0xC00, "hpmcounter", range(3, 32)))

NAMES: Final[dict[int, str]] = {
    **_NAMED, **{base + i: f"{stem}{i}" for base, stem, indices in _RUNS for i in indices}}
"""CSR number to name, of every CSR that a Hartwell hart has."""
NUMBERS: Final[dict[str, int]] = {name: number for number, name in NAMES.items()}
"""CSR name to number."""
