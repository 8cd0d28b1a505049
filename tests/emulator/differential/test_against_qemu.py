"""Hartwell and QEMU agree, instruction by instruction: registers, flags, memory, and the cause and tval of every trap.

`HARTWELL_DIFFERENTIAL` multiplies the number of random cases.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.helpers.qemu import needs_qemu

from .compare import check, sequences, single
from .image import Case, build

pytestmark = [pytest.mark.qemu, needs_qemu]
MORE = int(os.environ.get("HARTWELL_DIFFERENTIAL", "1"))
CHUNK = 3000
"""Sequences in one image."""
PRIVILEGED = (0x00000073, 0x00100073, 0x00200073, 0x10200073, 0x30200073, 0x10500073, 0x7B200073)
"""ecall, ebreak, uret, sret, mret, wfi, dret: not for straight code."""
OPCODES = (0x03, 0x07, 0x0B, 0x0F, 0x13, 0x17, 0x1B, 0x1F, 0x23, 0x27, 0x2B, 0x2F, 0x33, 0x37, 0x3B, 0x3F, 0x43, 0x47,
           0x4B, 0x4F, 0x53, 0x53, 0x53, 0x57, 0x5B, 0x5F, 0x6B, 0x77, 0x7B, 0x7F)
"""Major opcodes but branches, jumps and SYSTEM, legal or not."""
FUNCT7 = (0, 1, 2, 3, 5, 8, 9, 0x0C, 0x0D, 0x10, 0x11, 0x14, 0x15, 0x20, 0x21, 0x2C, 0x2D, 0x50, 0x51, 0x60, 0x61, 0x68,
          0x69, 0x70, 0x71, 0x78, 0x79)
"""Upper bits that make something legal of OP, OP-32 and OP-FP."""


@pytest.mark.parametrize("chunk", range(2 * MORE))
def test_random_sequences(chunk: int, tmp_path: Path) -> None:
    check(sequences(seed=chunk, count=CHUNK), tmp_path)


@pytest.mark.parametrize("chunk", range(MORE))
def test_long_random_sequences(chunk: int, tmp_path: Path) -> None:
    check(sequences(seed=1000 + chunk, count=CHUNK // 10, length=200), tmp_path)


def test_every_compressed_encoding_but_control_flow(tmp_path: Path) -> None:
    words = []
    for word in range(1 << 16):
        quadrant, f3 = word & 3, word >> 13
        jumps = (quadrant == 1 and f3 >= 5) or (quadrant == 2 and f3 == 4 and word >> 2 & 31 == 0)
        if quadrant != 3 and not jumps:
            words.append(word.to_bytes(2, "little"))
    check(single(words), tmp_path, group=64, all_addresses=True)


@pytest.mark.parametrize("chunk", range(MORE))
def test_random_words_legal_or_not(chunk: int, tmp_path: Path) -> None:
    rng = random.Random(chunk)
    words = []
    while len(words) < 30_000:
        word = rng.getrandbits(25) << 7 | rng.choice(OPCODES)
        if rng.random() < 0.6:
            word = word & ~(0x7F << 25) | rng.choice(FUNCT7) << 25
        if word & 0x7F == 0x53 and rng.random() < 0.7:
            word = word & ~(31 << 20) | rng.randrange(4) << 20
        memory = word & 0x7F in (0x03, 0x07, 0x23, 0x27, 0x2F)
        if not (memory and word >> 15 & 31 == 0):  # no hole: QEMU rounds tval down there, and its AMOs fault as loads
            words.append(word.to_bytes(4, "little"))
    check(single(words), tmp_path, group=64, all_addresses=True)


def test_every_system_instruction_but_traps_returns_and_csrs(tmp_path: Path) -> None:
    words = [function << 20 | rs1 << 15 | f3 << 12 | rd << 7 | 0x73
             for function in range(4096) for rd, rs1, f3 in ((0, 0, 0), (1, 0, 0), (0, 5, 0), (6, 5, 4))]
    check(single([word.to_bytes(4, "little") for word in words if word not in PRIVILEGED]), tmp_path, group=64,
          all_addresses=True)


def test_the_comparison_sees_every_word_of_the_outcome(tmp_path: Path) -> None:
    """A case that differs in one register, flag or memory byte, or in a trap, prints another line."""
    from .compare import on_hartwell

    registers = (*range(31), *range(32), 0)
    instructions = ("", "93001000", "13000000", "d3f0f003", "23008400", "00000000", "73901200", "73b01200")
    lines = [on_hartwell(build([Case(bytes.fromhex(code), registers)])) for code in instructions]
    same = [instructions[at] for at, line in enumerate(lines) if line == lines[0]]
    assert same == ["", "13000000", "73b01200"]  # a nop, and a csrrc of no bit
    assert all(len(line) == 1 and len(line[0]) == 16 for line in lines)
