"""What a program in U-mode may not do: it gets its signal, and everybody else goes on."""

from __future__ import annotations

import pytest

from kernel.process.signals import Signal

from .guest import CODE, DATA, R, W, X, Programs, call, program

KERNEL = 0xFFFF_FFFF_8020_0000
LINEAR = 0xFFFF_8000_8020_0000
EXIT = call(94, 0)

FORBIDDEN = {
    "reads the kernel's text": (f"li t0, {KERNEL}\nld t1, 0(t0)", Signal.SEGV),
    "writes the kernel's text": (f"li t0, {KERNEL}\nsd t1, 0(t0)", Signal.SEGV),
    "reads the linear mapping": (f"li t0, {LINEAR}\nld t1, 0(t0)", Signal.SEGV),
    "writes the linear mapping": (f"li t0, {LINEAR}\nsd zero, 0(t0)", Signal.SEGV),
    "jumps to the kernel": (f"li t0, {KERNEL}\njr t0", Signal.SEGV),
    "jumps between the halves": ("li t0, 0x8000_0000_0000\njr t0", Signal.SEGV),
    "jumps to 0": ("jr zero", Signal.SEGV),
    "reads 0": ("ld t0, 0(zero)", Signal.SEGV),
    "reads above everything": ("li t0, -8\nld t0, 0(t0)", Signal.SEGV),
    "writes to its own text": (f"li t0, {CODE}\nsd zero, 0(t0)", Signal.SEGV),
    "executes its data": (f"li t0, {DATA}\njr t0", Signal.SEGV),
    "csrw satp": ("csrw satp, zero", Signal.ILL),
    "csrr sstatus": ("csrr t0, sstatus", Signal.ILL),
    "csrw stvec": ("csrw stvec, zero", Signal.ILL),
    "sret": ("sret", Signal.ILL),
    "mret": ("mret", Signal.ILL),
    "wfi": ("wfi", Signal.ILL),
    "sfence.vma": ("sfence.vma", Signal.ILL),
    "nothing that is an instruction": (".word 0", Signal.ILL),
    "ebreak": ("ebreak", Signal.TRAP),
    **{f"host call {number}": (f".word {number << 25 | 0x0B:#x}", Signal.ILL) for number in (0, 1, 2, 3, 127)},
    "host call with registers": (".word 0x02b5050b", Signal.ILL),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_it_is_killed_and_nothing_else_happens(programs: Programs, what: str) -> None:
    source, signal = FORBIDDEN[what]
    ran = programs.run(program(source + "\n" + EXIT))
    assert ran.signal == signal, ran.deaths
    assert len(ran.deaths) == 1


def test_registers_that_the_kernel_uses_may_hold_anything(programs: Programs) -> None:
    """A host call looks at a0 and t0; a program's are its own."""
    source = f"li a0, {LINEAR}\nli t0, 14\nli sp, {KERNEL}\n.word 0x0400000b\n{EXIT}"
    assert programs.run(program(source)).signal == Signal.ILL


def test_a_stack_that_recurses_without_end_is_a_segmentation_fault(programs: Programs) -> None:
    ran = programs.run(program("1: addi sp, sp, -2048\nsd ra, 0(sp)\ncall 1b"))
    assert ran.signal == Signal.SEGV and "no memory is mapped" in ran.deaths[0]


def test_a_program_can_change_its_code_where_it_may_write(programs: Programs) -> None:
    """The same address gives 1, then 2: nothing of the first is left anywhere."""
    source = f"""
        li      t2, {DATA}
        li      t0, 0x00100513          # li a0, 1
        sw      t0, 0(t2)
        li      t0, 0x00008067          # ret
        sw      t0, 4(t2)
        {call(226, DATA, 4096, 7)}
        li      t2, {DATA}
        fence.i
        jalr    ra, 0(t2)
        mv      s0, a0
        li      t0, 0x00200513          # li a0, 2
        sw      t0, 0(t2)
        fence.i
        jalr    ra, 0(t2)
        slli    a0, a0, 4
        or      a0, a0, s0
        li      a7, 94
        ecall
    """
    assert programs.run(program(source)).code == 0x21
    assert programs.run(program(source, code_flags=R | W | X)).code == 0x21


POINTERS = (0, 8, 0xFFFF, KERNEL, LINEAR, 0x7FFF_FFFF_F000 - 1, 0x8000_0000_0000, (1 << 64) - 1, (1 << 63), CODE)
"""Where a program has no memory, or none that it may write to."""


def test_a_pointer_that_leads_nowhere_is_efault(programs: Programs) -> None:
    """Calls that put something at a pointer: -EFAULT from each, and the program is still there."""
    source = ""
    for pointer in POINTERS:
        for number, arguments in ((113, (0, pointer)), (160, (pointer,)), (59, (pointer, 0)), (17, (pointer, 100)),
                                  (80, (0, pointer)), (135, (0, 0, pointer, 8))):
            source += call(number, *arguments) + "addi a0, a0, 14\n"
            if (number, pointer) != (135, 0):
                source += "bnez a0, bad\n"
    assert programs.run(program(source + EXIT + "bad:\n" + call(94, 1))).code == 0
