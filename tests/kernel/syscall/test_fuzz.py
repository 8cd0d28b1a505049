"""Every system call with any arguments: the kernel answers, or kills, and never fails itself.

A program forks a child for each piece of a table of calls; a child that does not come to its end is killed. Then
all memory must be what it was.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest

from kernel.syscall.table import TABLE
from tests.helpers.kernels import boot
from tests.kernel.process.guest import CODE, DATA, Programs, call, program

CHILDREN, CALLS = 30, 24
TABLE_AT = DATA + 0x4000
NOT_CALLED = {93, 94, 129, 130, 131, 220}
"""exit, exit_group; kill, tkill, tgkill and clone: they would end the fuzzing, or begin one more."""
STRINGS = (b"/", b"/program", b"/data", b"/dev/zero", b"/dev/null", b"/dev/console", b"/proc/self/maps", b"new", b"..",
           b"/proc/meminfo", b"/fifo", b"", b"x" * 300)
STRING_AT = [DATA + 512 * i for i in range(len(STRINGS))]

SOURCE = f"""
        li      s0, {TABLE_AT}
        li      s1, {CHILDREN}
1:      {call(220, 17, 0, 0, 0, 0)}
        beqz    a0, child
        mv      s2, a0
        li      t0, {DATA + 0x3000}
        sd      zero, 0(t0)
        li      t1, 1000000
        sd      t1, 8(t0)
        {call(101, "t0", 0)}
        {call(129, "s2", 9)}
        {call(260, "s2", 0, 0, 0)}
        li      t0, {56 * CALLS}
        add     s0, s0, t0
        addi    s1, s1, -1
        bnez    s1, 1b
        {call(94, 0)}
child:  li      s1, {CALLS}
2:      ld      a7, 0(s0)
        ld      a0, 8(s0)
        ld      a1, 16(s0)
        ld      a2, 24(s0)
        ld      a3, 32(s0)
        ld      a4, 40(s0)
        ld      a5, 48(s0)
        ecall
        addi    s0, s0, 56
        addi    s1, s1, -1
        bnez    s1, 2b
        {call(94, 0)}
"""


def values(chance: random.Random) -> int:
    """A register's contents: what programs pass, what lies at the edges, and anything."""
    pick = chance.randrange(12)
    if pick < 4:
        return chance.randrange(8)
    if pick < 6:
        return chance.choice(STRING_AT)
    if pick == 6:
        return (DATA + 0x8000 + chance.randrange(0x7000)) & chance.choice((-1, -8, -4096))
    if pick == 7:
        return chance.choice((CODE, 0x7FFF_FFFF_F000, 0x7FFF_FFFF_E000, 0xFFFF_8000_8020_0000, 0xFFFF_FFFF_8020_0000))
    if pick == 8:
        return (1 << chance.randrange(64)) + chance.randrange(-1, 2) & (1 << 64) - 1
    if pick == 9:
        return -chance.randrange(1, 200) & (1 << 64) - 1
    if pick == 10:
        return chance.choice((0o100, 0o101, 0o102, 4096, 8192, 0x22, 0x32, 0o40755, 0o10644, 0x1000))
    return chance.getrandbits(64)


def table(chance: random.Random, numbers: list[int]) -> bytes:
    """CHILDREN times CALLS entries: a number and six arguments."""
    return b"".join(struct.pack("<7Q", chance.choice(numbers), *(values(chance) for _ in range(6)))
                    for _ in range(CHILDREN * CALLS))


@pytest.fixture(scope="module", params=[1, 2], ids=["one CPU", "two CPUs"])
def programs(request: pytest.FixtureRequest) -> Iterator[Programs]:
    kernel = boot(memory=16 << 20, harts=request.param)
    yield Programs(kernel)
    kernel.close()
    kernel.machine.close()


def fuzz(programs: Programs, seed: int, numbers: list[int], *, survives: bool = True) -> None:
    """Run a table made from `seed`; `survives`: nothing in it ends the program that forks the children."""
    chance = random.Random(seed)
    data = bytearray(TABLE_AT - DATA)
    for at, text in zip(STRING_AT, STRINGS, strict=True):
        data[at - DATA:at - DATA + len(text)] = text
    ran = programs.run(program(SOURCE, bytes(data) + table(chance, numbers)), files={"/data": b"data" * 5000})
    assert not survives or ran.code == 0
    assert len(ran.calls) > (CHILDREN * 4 if survives else 4)


@pytest.mark.parametrize("seed", range(5))
def test_calls_that_there_are(programs: Programs, seed: int) -> None:
    fuzz(programs, seed, [call.number for call in TABLE if call.handler is not None and call.number not in NOT_CALLED])


@pytest.mark.parametrize("seed", range(3))
def test_calls_that_make_and_end_others(programs: Programs, seed: int) -> None:
    """clone, kill and what belongs to them, to anybody: also to the program that forks the children."""
    others = [129, 130, 131, 134, 135, 139, 98, 220, 220]
    fuzz(programs, seed, [call.number for call in TABLE if call.handler is not None and call.number not in (93, 94)]
         + 4 * others, survives=False)


def test_all_numbers(programs: Programs) -> None:
    fuzz(programs, 99, [number for number in range(500) if number not in NOT_CALLED])


def test_a_number_of_64_bits_is_no_system_call(programs: Programs) -> None:
    """-ENOSYS, 38, for each."""
    source = "".join(f"li a7, {number}\necall\naddi a0, a0, 38\nbnez a0, bad\n"
                     for number in (500, 1 << 32 | 94, 1 << 63, (1 << 64) - 1))
    assert programs.run(program(source + call(94, 0) + "bad:\n" + call(94, 1))).code == 0
    assert programs.system is not None
    assert sorted(programs.system._calls.missing.values()) == [1, 3]  # not one more for each number that is tried
