"""Watchpoints: stopping at accesses to memory, at full speed everywhere else.

The TLB never keeps a page with a watchpoint in it (as with pages that PMP splits), so each access to it
comes to `mmu.tlb_fill`, and no other access costs anything. One that hits is done like this:

        tlb_fill          it may hit: abandon the block by a pseudo-exception           WATCH
        on_exception      the rest of the block becomes a split one; remember what
                          the instruction hits, if it does (`effective`)                PASS_WANTED
        run_part          … whose first part is this one instruction, which is let pass PASS_GIVEN
        consider          stop: the access has been done                                STOP_WATCH

So a watchpoint changes nothing that the guest can see, but the cycles of a timing model: the block that was
abandoned has been fetched to its end already. (A debugger that knows the way comes back to the place
without watchpoints; see `emulator.debug`.)

One hart by itself can be stopped before the access instead (POINTS_BEFORE, `emulator.solo`): nothing is then
remembered, and the instruction is let pass when that hart goes on (`alone.Alone.run`).

An address is physical or virtual; a virtual one is watched in all address spaces. Fetches are not watched.
"""

from __future__ import annotations

from typing import Final

from .abi import ACCESS_FETCH, ACCESS_STORE, ENV_GPR
from .clock import request_stop
from .layout import (
    H_ID, M_ENV, M_HART, M_LAST_HIT, M_POINTS, M_WATCHES, M_WATCH_ADDRESS, M_WATCH_COUNT, M_WATCH_HART, M_WATCH_HIT,
    M_WATCH_KIND, M_WATCH_PASS, M_WATCH_RESULT, M_WATCH_SIZE, M_STEP_LEFT, POINTS_NOTE, POINTS_PASS, STOP_WATCH,
)
from .native import inline
from .prims import ld64, st64, ult

LOADS: Final = 1
STORES: Final = 2
"""Kinds of accesses that a watchpoint is for, bits."""
WATCH: Final = 31
"""Number of the pseudo-exception (24 to 31 are for custom use; privileged specification, table 3.6)."""
PASS_WANTED, PASS_GIVEN = 1, 2
"""Values of M_WATCH_PASS: the instruction of the access is to run once more, unhindered; it runs, or has run."""
ENTRY: Final = 32


@inline
def watched(m: int, pa: int, va: int) -> bool:
    """Whether a watchpoint lies in the page of `pa`, which the hart knows as `va`."""
    for i in range(ld64(m + M_WATCH_COUNT)):
        at = m + M_WATCHES + ENTRY * i
        page = (va if ld64(at + 24) else pa) & ~0xFFF
        if not ult(ld64(at + 8), page) and not ult(page | 0xFFF, ld64(at)):
            return True
    return False


@inline
def overlaps(at: int, first: int, size: int) -> bool:
    """Whether `size` bytes from `first` on, at least one, are among those of the watchpoint at `at`."""
    return size > 0 and not ult(ld64(at + 8), first) and not ult(first + size - 1, ld64(at))


@inline
def may_hit(m: int, pa: int, va: int, size: int, access: int) -> bool:
    """Whether what the engine looks for may hit a watchpoint: then it is to find out what the instruction accesses."""
    if access == ACCESS_FETCH or ld64(m + M_WATCH_PASS) or ld64(m + M_POINTS) == POINTS_PASS:
        return False
    if access == ACCESS_STORE and size != 1 and size != 2 and size != 4 and size != 8:
        return False  # the engine makes sure of the page that a store to an odd address ends in; its bytes follow
    kind = STORES if access == ACCESS_STORE else LOADS
    for i in range(ld64(m + M_WATCH_COUNT)):
        at = m + M_WATCHES + ENTRY * i
        if ld64(at + 16) & kind and overlaps(at, va if ld64(at + 24) else pa, size):
            return True
    return False


@inline
def judge(m: int, va: int, size: int, low: int, high: int, kinds: int) -> None:
    """Remember which watchpoint an access hits, if any.

    To `size` bytes at `va`, those in its page from physical `low` on, those behind it from `high` on.
    """
    st64(m + M_WATCH_HIT, 0)
    room = 0x1000 - (va & 0xFFF)
    inside = size if size < room else room
    for i in range(ld64(m + M_WATCH_COUNT)):
        at = m + M_WATCHES + ENTRY * i
        kind = ld64(at + 16) & kinds
        first = va if ld64(at + 24) else low
        hit = overlaps(at, first, size if ld64(at + 24) else inside)
        if not hit and not ld64(at + 24) and overlaps(at, high, size - inside):
            hit = True
            first = first if high == low + inside else high
        if kind and hit:
            st64(m + M_WATCH_HIT, i + 1)
            st64(m + M_WATCH_KIND, STORES if kind & STORES else LOADS)
            st64(m + M_WATCH_ADDRESS, first)
            st64(m + M_WATCH_SIZE, size - inside if first == high else size)
            st64(m + M_WATCH_HART, ld64(ld64(m + M_HART) + H_ID))
            return


@inline
def pass_watch(m: int) -> None:
    """The instruction whose access hit is about to run."""
    if ld64(m + M_WATCH_PASS):
        st64(m + M_WATCH_PASS, PASS_GIVEN)


@inline
def forget_watch(m: int) -> None:
    """The instruction has trapped: there was no access."""
    st64(m + M_WATCH_PASS, 0)
    st64(m + M_WATCH_HIT, 0)


@inline
def report_watch(m: int) -> None:
    """Stop if an instruction whose access hit has run."""
    if ld64(m + M_WATCH_PASS) == PASS_GIVEN:
        st64(m + M_WATCH_PASS, 0)
        result = ld64(m + M_WATCH_RESULT)
        if ld64(m + M_WATCH_HIT) == 0 or result and ld64(ld64(m + M_ENV) + ENV_GPR + 8 * result):
            st64(m + M_WATCH_HIT, 0)  # it hit nothing, or is an SC that failed
        elif ld64(m + M_POINTS) == POINTS_NOTE:
            st64(m + M_LAST_HIT, ld64(m + M_STEP_LEFT) + 1)
        else:
            request_stop(m, STOP_WATCH, 0)
