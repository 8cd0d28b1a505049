"""What the timing model believes of an instruction is what a disassembler says of it.

Every compressed encoding, and random ones of every 32-bit format, legal or not, beside capstone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import capstone
import pytest

from emulator.hart import X_NAMES
from emulator.timing import decode as d
from emulator.timing.wrongpath import jump_target

F_NAMES = ("ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 "
           "fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11").split()
NUMBERS = {**{name: n for n, name in enumerate(X_NAMES)}, "fp": 8, **{name: 32 + n for n, name in enumerate(F_NAMES)}}
"""Registers as `decode` numbers them."""
OPCODES = (0x03, 0x07, 0x0F, 0x13, 0x17, 0x1B, 0x23, 0x27, 0x2F, 0x33, 0x37, 0x3B, 0x43, 0x47, 0x4B, 0x4F, 0x53, 0x53,
           0x53, 0x63, 0x67, 0x6F, 0x73)
FUNCT7 = (0, 1, 4, 5, 8, 9, 0x0C, 0x0D, 0x10, 0x11, 0x14, 0x15, 0x20, 0x21, 0x2C, 0x2D, 0x50, 0x51, 0x60, 0x61, 0x68,
          0x69, 0x70, 0x71, 0x78, 0x79)
SIZES = {"b": 0, "h": 1, "w": 2, "d": 3}
KINDS = {d.K_MUL: "mul", d.K_MULH: "mulh mulhsu mulhu", d.K_MULW: "mulw", d.K_DIV: "div rem", d.K_DIVU: "divu remu",
         d.K_DIVW: "divw remw", d.K_DIVUW: "divuw remuw", d.K_FENCE_I: "fence.i", d.K_FENCE: "fence fence.tso",
         d.K_SFENCE: "sfence.vma", d.K_WFI: "wfi", d.K_TRAP: "ecall ebreak mret sret uret dret c.ebreak",
         d.K_JUMP: "jal jalr j jr ret c.j c.jr c.jalr",
         d.K_BRANCH: "beq bne blt bge bltu bgeu beqz bnez blez bgez bltz bgtz c.beqz c.bnez"}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names.split()}


def disassembler() -> Any:
    return capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV64 | capstone.CS_MODE_RISCVC)


CS = disassembler()


def disassemble(insn: int, pc: int = 0) -> tuple[str, list[str]] | None:
    """Mnemonic and operands, None for what is no instruction."""
    size = 4 if insn & 3 == 3 else 2
    found = next(CS.disasm(insn.to_bytes(size, "little"), pc), None)
    if found is None:
        return None
    return found.mnemonic, [part.strip() for part in found.op_str.split(",")] if found.op_str else []


def fields(word: int) -> tuple[int, int, set[int]]:
    """(class, destination, sources) of a packed word."""
    return word & 255, word >> 8 & 255, {word >> at & 255 for at in (16, 24, 32)} - {0}


def words(seed: int, count: int) -> Iterator[int]:
    """Random 32-bit words with the opcodes of RV64GC, most of them legal."""
    rng = random.Random(seed)
    for _ in range(count):
        word = rng.getrandbits(25) << 7 | rng.choice(OPCODES)
        if word & 0x7F in (0x13, 0x1B, 0x33, 0x3B, 0x53) and rng.random() < 0.7:
            word = word & ~(0x7F << 25) | rng.choice(FUNCT7) << 25
        if word & 0x7F == 0x53 and rng.random() < 0.5:
            word = word & ~(31 << 20) | rng.randrange(4) << 20
        if word & 0x7F in (0x43, 0x47, 0x4B, 0x4F):
            word &= ~(1 << 26)  # single or double
        if word & 0x7F == 0x2F:
            word = word & ~(7 << 12) | rng.choice((2, 3)) << 12
            if word >> 27 == 2:
                word &= ~(31 << 20)
        yield word


def check(insn: int) -> None:
    """`decode` agrees with the disassembler about one instruction."""
    text = disassemble(insn)
    word, imm = d.decode(insn)
    if text is None:
        assert not word & (d.MEMORY | d.LOAD | d.STORE | d.ATOMIC), hex(insn)
        return
    name, operands = text
    kind, rd, sources = fields(word)
    where = f"{insn:#x}: {name} {operands}: {word:#x} {imm}"
    assert bool(word & d.WIDE) == (insn & 3 == 3), where
    memory = re.fullmatch(r"(-?(?:0x)?[0-9a-f]*)\((\w+)\)", operands[-1]) if operands else None
    name = name.removeprefix("c.")
    stem = name.split(".")[0]
    is_access = memory is not None and stem not in ("jalr", "jr", "jal")
    assert bool(word & d.MEMORY) == is_access, where
    if name in KIND_OF:
        assert kind == KIND_OF[name], where
    if memory is not None and is_access:
        store = stem in ("sb", "sh", "sw", "sd", "fsw", "fsd", "swsp", "sdsp", "fswsp", "fsdsp")
        assert sources >= {NUMBERS[memory[2]]} - {0} and word >> 16 & 255 == NUMBERS[memory[2]], where
        assert imm == int(memory[1] or "0", 0), where
        first = NUMBERS[operands[0]]
        if stem in ("lr", "sc") or stem.startswith("amo"):
            load, store = stem != "sc", stem != "lr"
            assert word >> d.SIZE_SHIFT & 3 == SIZES[name.split(".")[1]], where
            assert bool(word & d.AQ) == ("aq" in name) and bool(word & d.RL) == (name.endswith("rl")), where
            assert kind == {"lr": d.K_LR, "sc": d.K_SC}.get(stem, d.K_AMO), where
            assert word & d.ATOMIC, where
            assert rd == first, where
            assert sources == ({NUMBERS[each] for each in operands[1:-1]} | {NUMBERS[memory[2]]}) - {0}, where
        else:
            load = not store
            letter = stem.removeprefix("f")[1]
            assert word >> d.SIZE_SHIFT & 3 == SIZES[letter], where
            assert not word & d.ATOMIC, where
            assert kind == (d.K_STORE if store else d.K_LOAD), where
            assert bool(word & d.FP_UNIT) == (first >= 32), where
            assert (first == 0 or first in sources) if store else rd == first, where
        assert (bool(word & d.LOAD), bool(word & d.STORE)) == (load, store), where
        return
    registers = [NUMBERS[each] for each in operands if each in NUMBERS]
    if kind == d.K_BRANCH:
        assert (rd, sources) == (0, set(registers) - {0}), where
    elif any(register >= 32 for register in registers) and registers:
        assert rd == registers[0] and word & d.FP_UNIT, where
        assert sources == set(registers[1:]) - {0}, where
        assert bool(word & d.WRITES_X) == (0 < rd < 32), where
        assert bool(word & d.DOUBLE) == (insn >> 25 & 3 == 1), where
        assert (kind == d.K_FDIV) == (stem in ("fdiv", "fsqrt")) and bool(word & d.SQRT) == (stem == "fsqrt"), where


@pytest.mark.parametrize("quadrant", range(3))
def test_every_compressed_encoding(quadrant: int) -> None:
    for high in range(1 << 14):
        check(high << 2 | quadrant)


@pytest.mark.parametrize("seed", range(4))
def test_random_words(seed: int) -> None:
    for word in words(seed, 10_000):
        check(word)


@pytest.mark.parametrize(("text", "word", "kind"), [
    ("csrr a0, mstatus", 0x30002573, d.K_CSR), ("csrw mstatus, a0", 0x30051073, d.K_CSR_FLUSH),
    ("csrwi mstatus, 0", 0x30005073, d.K_CSR_FLUSH), ("csrsi mstatus, 8", 0x30046073, d.K_CSR_FLUSH),
    ("csrci mstatus, 0", 0x30007073, d.K_CSR), ("csrs mstatus, x0", 0x30002073, d.K_CSR),
    ("csrw mscratch, a0", 0x34051073, d.K_CSR), ("csrw mepc, a0", 0x34151073, d.K_CSR),
    ("csrw mcause, a0", 0x34251073, d.K_CSR), ("csrw mtval, a0", 0x34351073, d.K_CSR),
    ("csrw mip, a0", 0x34451073, d.K_CSR_FLUSH), ("csrw sscratch, a0", 0x14051073, d.K_CSR),
    ("csrw stval, a0", 0x14351073, d.K_CSR), ("csrw sip, a0", 0x14451073, d.K_CSR_FLUSH),
    ("csrw satp, a0", 0x18051073, d.K_CSR_FLUSH), ("csrr a0, cycle", 0xC0002573, d.K_CSR)])
def test_writes_of_csrs_refetch_but_for_the_scratch_registers(text: str, word: int, kind: int) -> None:
    assert d.decode(word)[0] & 255 == kind, text


def test_operands_that_only_some_classes_have() -> None:
    assert fields(d.decode(0x12B50073)[0])[2] == {10, 11}  # sfence.vma a0, a1
    assert fields(d.decode(0x72D60543)[0]) == (d.K_FP_DOUBLE, 42, {44, 45, 46})  # fmadd.d fa0, fa2, fa3, fa4
    assert d.decode(0x02B50533)[0] & d.WATCHED and d.decode(0x1AB57553)[0] & d.WATCHED  # mul, fdiv.d
    assert not d.decode(0x00B50533)[0] & d.WATCHED  # add


@pytest.mark.parametrize(("count", "opcodes"), [(5000, (0x63, 0x6F)), (1 << 14, ())], ids=["32 bits", "compressed"])
def test_where_branches_and_jumps_go(count: int, opcodes: tuple[int, ...]) -> None:
    rng = random.Random(5)
    pc, seen = 0x8000_1000, set()
    for n in range(count):
        insn = rng.getrandbits(25) << 7 | rng.choice(opcodes) if opcodes else n << 2 | 1
        text = disassemble(insn, pc)
        if text is None or d.decode(insn)[0] & 255 not in (d.K_BRANCH, d.K_JUMP):
            continue
        seen.add(text[0])
        assert jump_target(insn, pc) - pc == int(text[1][-1], 0), (hex(insn), text)
    assert len(seen) >= 3 if not opcodes else len(seen) > 6
