"""Watchpoints: every access to watched bytes stops the machine, no other does, and nothing else changes."""

from __future__ import annotations

import random

import pytest

from emulator import Board, Machine
from emulator.debug import Target, WatchAt
from emulator.stop import HistoryBegins, Stepped, Watch, Watchpoint
from emulator.timing import load_profile
from tests.helpers.effort import rounds
from tests.helpers.machines import END, FIRMWARE, image, load, machine, timed

from .accesses import Access, single_steps

STEPS = 1200
"""Steps of a guest that are looked at one by one."""
WATCHES = rounds(6, 4)
"""Watches that are tried on each guest; half of them with a timing model."""

IMAGES = {  # harts, and from which step on
    "firmware": ("hello", 1, 250_000), "hello": ("hello", 1, 498_500), "sv39": ("pagefault-sv39", 1, 703_000),
    "sv48": ("pagefault-sv48", 2, 778_600), "two harts": ("smp-pingpong", 2, 1_087_000),
    "ring": ("smp-pingpong", 2, 1_178_000), "uart": ("uart-echo", 1, 501_000), "timer": ("timer", 1, 510_700),
    "compressed": ("slab-corruption", 1, 1_000_000),
}

PAGED = """
        la      t0, handler
        csrw    mtvec, t0
        csrwi   pmpcfg0, 0x1F           # all memory is everybody's
        li      t0, -1
        csrw    pmpaddr0, t0
        li      t0, 0x200000DF          # 1 GiB at 2 GiB, with V, R, W, X, U, A, D; U where the program is a user's
        li      t1, {user}
        and     t0, t0, t1
        li      t2, 0x80004000          # the root: the same GiB at 2 and at 5 GiB
        sd      t0, 16(t2)
        sd      t0, 40(t2)
        li      t0, 8 << 60 | 0x80004
        csrw    satp, t0
        li      t0, {mpp} << 11
        csrw    mstatus, t0
        la      t0, program
        csrw    mepc, t0
        mret
program:
        li      a0, 0x80003000
        li      a1, 0x140003000
        li      a2, 20
1:      sd      a2, 0(a1)
        lw      a3, 4(a0)
        sh      a2, 6(a0)
        lbu     a3, 7(a1)
        amoadd.d a3, a2, (a1)
        addi    a0, a0, 4
        addi    a1, a1, 8
        addi    a2, a2, -1
        bnez    a2, 1b
        ecall
handler:
"""
PROGRAMS = {
    "crossing": """
        li      a0, 0x80002FF0
        li      a2, 24
1:      sd      a2, 0(a0)
        ld      a3, 1(a0)
        sw      a2, 2(a0)
        lwu     a3, 3(a0)
        sh      a2, 4(a0)
        lh      a3, 5(a0)
        addi    a0, a0, 1
        addi    a2, a2, -1
        bnez    a2, 1b
    """ + END,
    "atomics": """
        li      a0, 0x80003000
        li      a2, 12
1:      lr.d    a3, (a0)
        sc.d    a4, a2, (a0)
        sc.d    a4, a2, (a0)            # fails: nothing is reserved any more
        amoswap.w a5, a2, (a0)
        amoadd.d a5, a2, (a0)
        lr.w    a3, (a0)
        addi    a1, a0, 8
        sc.w    a4, a2, (a1)            # fails: something else is reserved
        amoor.w a5, a2, (a1)
        addi    a0, a0, 4
        andi    a0, a0, -8
        addi    a0, a0, 8
        addi    a2, a2, -1
        bnez    a2, 1b
    """ + END,
    "code beside data": """
        la      a0, data
        li      a2, 12
1:      sd      a2, 0(a0)
        ld      a3, 0(a0)
        sw      a2, 8(a0)
        la      a4, patched
        lw      a5, 12(a0)
        sw      a5, 0(a4)
        fence.i
patched:
        addi    a6, a6, 1
        lbu     a3, 11(a0)
        addi    a2, a2, -1
        bnez    a2, 1b
    """ + END + """
        .align  8
data:   .dword  0
        .word   0
        addi    a6, a6, 3
    """,
    "devices": """
        li      a0, 0x10000000          # the UART
        li      a1, 0x2004000           # mtimecmp
        li      a2, 10
1:      sb      a2, 7(a0)
        lbu     a3, 7(a0)
        lbu     a3, 5(a0)
        sd      a2, 0(a1)
        ld      a3, 0(a1)
        lw      a3, 4(a1)
        sw      a2, 4(a1)
        addi    a2, a2, -1
        bnez    a2, 1b
    """ + END,
    "S-mode": PAGED.format(user="~0x10", mpp=1) + END,
    "U-mode": PAGED.format(user="~0", mpp=0) + END,
}
GUESTS = [*IMAGES, *PROGRAMS]


def start(guest: str, profile: str | None = None) -> Machine:
    """A guest on its way."""
    if guest in PROGRAMS:
        core = None if profile is None else load_profile(profile)
        return machine(PROGRAMS[guest], Board(memory=2 << 20), timing=core)
    name, harts, first = IMAGES[guest]
    made = timed(Board(harts=harts, memory=4 << 20), profile)
    made.boot(kernel=load(image(name).path), firmware=load(FIRMWARE))
    made.feed(image(name).stdin)
    assert made.proceed(steps=first) == Stepped()
    return made


def choose(accesses: list[Access], chance: random.Random) -> Watch:
    """A watch that something hits: bytes in, around or beside those of an access."""
    one = chance.choice(accesses)
    virtual = chance.random() < 0.4
    first = max((one.va if virtual else one.pa) + chance.randint(-3, one.size - 1), 0)
    loads, stores = chance.choice([(True, False), (False, True), (True, True)])
    return Watch(first, chance.choice([1, 2, 8, 40]), stores, loads, virtual)


def forwards(target: Target, steps: int) -> list[tuple[int, Watchpoint]]:
    """All hits within so many steps, with the number of the step of each."""
    found = []
    begin = target.position.steps
    while (left := begin + steps - target.position.steps) > 0:
        stop = target.step(left)
        if not isinstance(stop, Watchpoint):
            break
        found.append((target.position.steps - begin - 1, stop))
    return found


@pytest.mark.parametrize("guest", GUESTS)
@pytest.mark.parametrize("profile", [None, "rocket"])
def test_all_accesses_to_watched_bytes_are_hit_and_no_others(guest: str, profile: str | None) -> None:
    made = start(guest, profile)
    before = made.snapshot()
    accesses = single_steps(made, STEPS)
    assert len(accesses) > 30
    end, digest = made.steps, made.snapshot().digest()
    chance = random.Random(guest)
    for _ in range(WATCHES if profile is None else WATCHES // 2):
        made.restore(before)
        watch = choose(accesses, chance)
        expected = [access for access in accesses if access.hits(watch)]
        with Target(made) as target:
            target.points.add(WatchAt(watch))
            begin = target.position.steps
            found = forwards(target, end - begin)
            assert [(step, stop.hart, stop.pc) for step, stop in found] == [
                (access.step, access.hart, access.pc) for access in expected], watch
            for (_, stop), access in zip(found, expected, strict=True):
                place = access.va if watch.virtual else access.pa
                assert stop.watch == watch
                assert place <= stop.address
                assert stop.address + stop.size <= place + access.size
                assert access.stores if stop.store else access.loads
            assert (target.position.steps, made.snapshot().digest()) == (end, digest)
            back = []
            while target.reverse_resume() != HistoryBegins():
                back.append(target.position.steps - begin)
            assert back == [access.step for access in reversed(expected)], watch
    made.close()
