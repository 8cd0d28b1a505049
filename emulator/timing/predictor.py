"""Branch prediction: branch target buffer, branch history table, return address stack.

The fetch unit works on packets of four bytes. It looks each packet's address up in the BTB, which
knows the target of the control transfer that ends there; a hit costs nothing. What the BTB does not
know, the fetch unit recognises one step later (a direct jump, a return, or a branch that the history
table says is taken), at the price of `redirect` cycles; everything else is found out when the
instruction executes.

Predictions are made in program order, with the history and the return address that the fetch unit
has at that moment: what the packet directly in front did to them comes too late. Directions come from
a table of counters indexed by packet address and a hash of the global history; the table learns from
every branch, the BTB from what went wrong, and from what was recognised late while the fetch queue was
nearly empty.

        resolve(…) -> ENTRY_PREDICTED | ENTRY_REDIRECT | ENTRY_MISPREDICT, how fetch comes to the next block

Source: read in the reference core's RTL, as `docs/timing.md` tells.
"""

from __future__ import annotations

from typing import Final

from ..engine.native import inline, outline
from ..engine.prims import ld64, st64
from .caches import count
from .events import Event
from .layout import (
    CFI_BRANCH, CFI_CALL, CFI_INDIRECT_CALL, CFI_JUMP, CFI_RETURN, D_BHT, D_BTB, D_CFI, D_DECEIVES_BEFORE, D_FALL,
    D_HALF, D_PACKET, EF_QUEUE_EMPTY, EF_QUEUE_FULL, ENTRY_MISPREDICT, ENTRY_PREDICTED, ENTRY_REDIRECT,
    ENTRY_SEQUENTIAL, FILTER, P_BHT_BITS, P_BHT_COUNTER, P_BHT_HASH, P_BHT_HASH_BITS, P_BHT_HISTORY, P_BTB, P_BTB_MATCH,
    P_BTB_PAGES, P_BTB_PLRU, P_RAS, RAS_SAME, T_ASTRAY, T_BEFORE_DECEIVES, T_BHT, T_BTB_FILTER, T_BTB_KEY, T_BTB_KIND,
    T_BTB_LATE, T_BTB_LATE_ENTRY, T_BTB_LATE_KIND, T_BTB_LATE_TARGET, T_BTB_NEXT_PAGE, T_BTB_PAGE, T_BTB_PAGES,
    T_BTB_PLRU, T_BTB_TARGET, T_BTB_TOUCHED, T_CFI_BUBBLES, T_CFI_PACKET, T_HISTORY, T_HISTORY_BEFORE,
    T_LAST_DECEIVES, T_LAST_END, T_LAST_HALF, T_LAST_PACKET, T_PARAMS, T_RAS, T_RAS_BEFORE, T_RAS_DEPTH, T_RAS_TOP,
    T_WRONG_PATH,
)
from .plru import plru_touch, plru_way

BRANCHES: Final = int(Event.BRANCHES)
JUMPS: Final = int(Event.JUMPS)
BRANCH_MISPREDICTS: Final = int(Event.BRANCH_MISPREDICTS)
TARGET_MISPREDICTS: Final = int(Event.TARGET_MISPREDICTS)
FETCH_REDIRECTS: Final = int(Event.FETCH_REDIRECTS)
PACKET: Final = 4


@inline
def set_key(t: int, entry: int, packet: int) -> None:
    """Let BTB entry `entry` be for `packet`, or (-1) for none."""
    old = ld64(t + T_BTB_KEY + 8 * entry)
    if old != -1:
        at = t + T_BTB_FILTER + 8 * (old >> 2 & (FILTER - 1))
        st64(at, ld64(at) - 1)
    st64(t + T_BTB_KEY + 8 * entry, packet)
    if packet != -1:
        at = t + T_BTB_FILTER + 8 * (packet >> 2 & (FILTER - 1))
        st64(at, ld64(at) + 1)


@outline
def btb_search(t: int, p: int, packet: int) -> int:
    """The BTB's entry for `packet`, -1 for none."""
    found = -1
    twice = -1
    for i in range(ld64(p + P_BTB)):
        if ld64(t + T_BTB_KEY + 8 * i) == packet:
            twice = found
            found = i
    if twice >= 0:  # entered twice: that hits once more, and both are dropped
        set_key(t, twice, -1)
        set_key(t, found, -1)
    return found


@inline
def btb_find(t: int, p: int, d: int) -> int:
    """The BTB's entry for the control transfer that ends block `d`, -1 for none."""
    packet = ld64(d + D_PACKET)
    alike = ld64(t + T_BTB_FILTER + 8 * (packet >> 2 & (FILTER - 1)))
    if alike == 0:
        return -1
    at = ld64(d + D_BTB)
    if alike == 1 and ld64(t + T_BTB_KEY + 8 * at) == packet:  # with more it may be in there twice
        return at
    found = btb_search(t, p, packet)
    if found >= 0:
        st64(d + D_BTB, found)
    return found


@inline
def btb_touch(t: int, p: int, entry: int) -> None:
    """`entry` was used."""
    if ld64(t + T_BTB_TOUCHED) != entry:
        st64(t + T_BTB_TOUCHED, entry)
        st64(t + T_BTB_PLRU, plru_touch(ld64(t + T_BTB_PLRU), p + P_BTB_PLRU, entry))


@inline
def page_register(t: int, p: int, page: int) -> int:
    """The page register that holds `page`, -1 for none."""
    for i in range(ld64(p + P_BTB_PAGES)):
        if ld64(t + T_BTB_PAGE + 8 * i) == page:
            return i
    return -1


@inline
def replace_page(t: int, p: int, register: int, page: int) -> None:
    """Give a page register another page: entries that used it mean other addresses now, so they are gone."""
    st64(t + T_BTB_PAGE + 8 * register, page)
    for i in range(ld64(p + P_BTB)):
        if ld64(t + T_BTB_KEY + 8 * i) != -1:
            pages = ld64(t + T_BTB_PAGES + 8 * i)
            if pages >> 8 == register or pages & 255 == register:
                set_key(t, i, -1)


@inline
def next_page(t: int, p: int, taken: int) -> int:
    """A page register to replace, in turn; not `taken`."""
    at = ld64(t + T_BTB_NEXT_PAGE)
    count_ = ld64(p + P_BTB_PAGES)
    if at == taken:
        at = at + 1 if at + 1 < count_ else 0
    st64(t + T_BTB_NEXT_PAGE, at + 1 if at + 1 < count_ else 0)
    return at


@outline
def btb_update(t: int, p: int, packet: int, kind: int, entry: int, target: int) -> None:
    """Enter a control transfer (`kind`: CFI_ value << 1 | halfword) into the BTB: at `entry`, or (-1) where room is."""
    match = ld64(p + P_BTB_MATCH)
    key_page = packet >> match
    target_page = target >> match
    mine = page_register(t, p, key_page)
    if mine < 0:
        mine = next_page(t, p, -1)
        replace_page(t, p, mine, key_page)
    theirs = page_register(t, p, target_page)
    if theirs < 0:
        theirs = next_page(t, p, mine)
        replace_page(t, p, theirs, target_page)
    if entry < 0:
        entry = plru_way(ld64(t + T_BTB_PLRU), ld64(p + P_BTB))
    set_key(t, entry, packet)
    st64(t + T_BTB_TARGET + 8 * entry, target)
    st64(t + T_BTB_KIND + 8 * entry, kind)
    st64(t + T_BTB_PAGES + 8 * entry, mine << 8 | theirs)
    btb_touch(t, p, entry)


@inline
def enter(t: int, p: int, d: int, entry: int, target: int) -> None:
    """Enter the control transfer that ends block `d`: after the next packet, the target's, has been looked up."""
    settle_late(t, p)
    st64(t + T_BTB_LATE, ld64(d + D_PACKET))
    st64(t + T_BTB_LATE_KIND, ld64(d + D_CFI) << 1 | ld64(d + D_HALF))
    st64(t + T_BTB_LATE_ENTRY, entry)
    st64(t + T_BTB_LATE_TARGET, target)


@inline
def settle_late(t: int, p: int) -> None:
    """Make the update that is under way, if there is one."""
    packet = ld64(t + T_BTB_LATE)
    if packet != -1:
        st64(t + T_BTB_LATE, -1)
        btb_update(t, p, packet, ld64(t + T_BTB_LATE_KIND), ld64(t + T_BTB_LATE_ENTRY), ld64(t + T_BTB_LATE_TARGET))


@inline
def bht_index(p: int, part: int, history: int) -> int:
    """Where in the history table the direction for a packet is; `part` is what its address gives (`D_BHT`)."""
    length = ld64(p + P_BHT_HISTORY)
    kept = ld64(p + P_BHT_HASH_BITS)
    hashed = (history * ld64(p + P_BHT_HASH) & ((1 << length) - 1)) >> (length - kept)
    return part ^ (hashed << (ld64(p + P_BHT_BITS) - kept))


@inline
def learn(t: int, p: int, index: int, taken: int) -> None:
    """Tell the history table what a branch did."""
    at = t + T_BHT + 8 * index
    if ld64(p + P_BHT_COUNTER) == 1:
        st64(at, taken)
        return
    value = ld64(at)  # 0 … 3, taken from 2 up
    if taken:
        st64(at, value + 1 if value < 3 else 3)
    else:
        st64(at, value - 1 if value > 0 else 0)


@inline
def predicts_taken(t: int, p: int, index: int) -> int:
    """1 if the history table says taken."""
    value = ld64(t + T_BHT + 8 * index)
    return value if ld64(p + P_BHT_COUNTER) == 1 else value >> 1


@inline
def shift(p: int, history: int, taken: int) -> int:
    """The history after one more branch."""
    return history >> 1 | taken << (ld64(p + P_BHT_HISTORY) - 1)


@inline
def ras_push(t: int, p: int, address: int) -> None:
    """A call: put the return address on the stack, over the oldest if it is full."""
    size = ld64(p + P_RAS)
    if size == 0:
        return
    top = ld64(t + T_RAS_TOP) + 1
    if top >= size:
        top = 0
    st64(t + T_RAS_TOP, top)
    st64(t + T_RAS + 8 * top, address)
    depth = ld64(t + T_RAS_DEPTH)
    if depth < size:
        st64(t + T_RAS_DEPTH, depth + 1)


@inline
def ras_pop(t: int, p: int) -> None:
    """A return."""
    depth = ld64(t + T_RAS_DEPTH)
    if depth == 0:
        return
    st64(t + T_RAS_DEPTH, depth - 1)
    top = ld64(t + T_RAS_TOP)
    st64(t + T_RAS_TOP, top - 1 if top > 0 else ld64(p + P_RAS) - 1)


@inline
def ras_head(t: int) -> int:
    """The predicted return address, -1 if the stack is empty."""
    if ld64(t + T_RAS_DEPTH) == 0:
        return -1
    return ld64(t + T_RAS + 8 * ld64(t + T_RAS_TOP))


@inline
def resolve_branch(t: int, p: int, d: int, flags: int, adjacent: bool, target: int) -> int:
    """A conditional branch that went to `target`."""
    count(t, BRANCHES)
    taken = 1 if target != ld64(d + D_FALL) else 0
    history = ld64(t + T_HISTORY_BEFORE) if adjacent else ld64(t + T_HISTORY)
    astray = ld64(t + T_WRONG_PATH)
    index = bht_index(p, ld64(d + D_BHT), history)
    predicted = predicts_taken(t, p, index)
    entry = btb_find(t, p, d)
    settle_late(t, p)
    learn(t, p, index, taken)
    st64(t + T_HISTORY_BEFORE, ld64(t + T_HISTORY))
    st64(t + T_RAS_BEFORE, RAS_SAME)
    if predicted != taken:
        count(t, BRANCH_MISPREDICTS)
        after = shift(p, history, taken)
        st64(t + T_HISTORY, after)
        st64(t + T_HISTORY_BEFORE, after)
        if taken:  # an entry that was not found counts as number 0
            enter(t, p, d, entry if entry >= 0 else 0, target)
        elif entry >= 0:
            btb_touch(t, p, entry)
        return ENTRY_MISPREDICT
    if not astray:
        st64(t + T_HISTORY, shift(p, ld64(t + T_HISTORY), predicted))
    if not taken:
        return ENTRY_SEQUENTIAL
    if entry >= 0:
        btb_touch(t, p, entry)
        return ENTRY_PREDICTED
    count(t, FETCH_REDIRECTS)
    if flags & EF_QUEUE_EMPTY and not astray:
        enter(t, p, d, -1, target)
    return ENTRY_REDIRECT


@inline
def resolve_jump(t: int, p: int, d: int, flags: int, adjacent: bool, target: int) -> int:
    """A jump, call or return that went to `target`."""
    count(t, JUMPS)
    kind = ld64(d + D_CFI)
    entry = btb_find(t, p, d)
    settle_late(t, p)
    astray = ld64(t + T_WRONG_PATH)
    outcome = ENTRY_MISPREDICT
    guess = -1
    if entry >= 0:
        guess = ld64(t + T_BTB_TARGET + 8 * entry)
        if kind == CFI_RETURN:
            head = ld64(t + T_RAS_BEFORE)
            if head == RAS_SAME or not adjacent:
                head = ras_head(t)
            if head != -1:
                guess = head
        btb_touch(t, p, entry)
        if guess == target:
            outcome = ENTRY_PREDICTED
    elif kind == CFI_JUMP or kind == CFI_CALL or (kind == CFI_RETURN and ras_head(t) == target):
        outcome = ENTRY_REDIRECT
        count(t, FETCH_REDIRECTS)
        if flags & EF_QUEUE_EMPTY and not astray:
            enter(t, p, d, -1, target)
    if outcome == ENTRY_MISPREDICT:
        count(t, TARGET_MISPREDICTS)
        st64(t + T_ASTRAY, guess if not astray else -1)
        enter(t, p, d, entry, target)
    st64(t + T_RAS_BEFORE, ras_head(t))
    if astray:
        kind = CFI_JUMP
    if kind == CFI_RETURN:
        ras_pop(t, p)
    elif kind == CFI_CALL or kind == CFI_INDIRECT_CALL:
        ras_push(t, p, ld64(d + D_FALL))
    if outcome == ENTRY_MISPREDICT:
        st64(t + T_RAS_BEFORE, RAS_SAME)
    st64(t + T_HISTORY_BEFORE, ld64(t + T_HISTORY))
    return outcome


@outline
def starve(t: int, how: int, target: int, inside: bool) -> None:
    """The fetch queue ran dry in front of `target`, to which fetch came as `how` says.

    Execution then takes the empty queue for a wrong prediction: it enters the jump that led here into the
    BTB (once more, if fetch has just done so), or drops the entry of an instruction that is no jump.
    `inside`: the instruction in front is not the last one of a block.
    """
    p = ld64(t + T_PARAMS)
    settle_late(t, p)
    end = ld64(t + T_LAST_END)
    packet = ld64(t + T_LAST_PACKET)
    kind = end << 1 | ld64(t + T_LAST_HALF)
    if how == ENTRY_SEQUENTIAL:
        if inside or end != CFI_BRANCH:
            set_key(t, 0, -1)
            btb_touch(t, p, 0)
    elif how == ENTRY_PREDICTED:
        btb_update(t, p, packet, kind, btb_search(t, p, packet), target)
    elif how == ENTRY_REDIRECT:
        btb_update(t, p, packet, kind, -1, target)


@outline
def check_stale_packet(t: int, p: int, d: int) -> None:
    """The packet of `d`'s last control transfer had to wait for room in the fetch queue.

    While it waits, the fetch unit holds the BTB's answer for it against the packet before it. If a 32-bit
    instruction begins there where the answer says that a jump ends, the unit believes that the BTB is wrong:
    it empties it, and learns nothing more until execution sends it somewhere.
    """
    entry = btb_find(t, p, d)
    if entry < 0:
        return
    where = ld64(d + D_DECEIVES_BEFORE)
    if where < 0:
        same = ld64(t + T_LAST_PACKET) == ld64(d + D_PACKET)  # the debugger cut between its two halves
        where = ld64(t + (T_BEFORE_DECEIVES if same else T_LAST_DECEIVES))
    if where >> (ld64(t + T_BTB_KIND + 8 * entry) & 1) & 1:
        for i in range(ld64(p + P_BTB)):
            set_key(t, i, -1)
        st64(t + T_WRONG_PATH, 1)


@inline
def resolve(t: int, d: int, flags: int, target: int) -> int:
    """The block `d` ended and fetch goes on at `target`: how it gets there (an ENTRY_ value)."""
    p = ld64(t + T_PARAMS)
    packet = ld64(d + D_PACKET)
    # The packet fetched directly in front: what it did to history and return stack is not yet to be seen.
    adjacent = (ld64(t + T_CFI_PACKET) == packet - PACKET and ld64(t + T_CFI_BUBBLES) == 0
                and flags & EF_QUEUE_FULL == 0)
    if packet != ld64(t + T_BTB_LATE_TARGET) & ~3 or flags & EF_QUEUE_FULL:
        settle_late(t, p)
    if flags & EF_QUEUE_FULL:
        check_stale_packet(t, p, d)
    if ld64(d + D_CFI) == CFI_BRANCH:
        outcome = resolve_branch(t, p, d, flags, adjacent, target)
    else:
        outcome = resolve_jump(t, p, d, flags, adjacent, target)
    if outcome == ENTRY_SEQUENTIAL:
        st64(t + T_CFI_PACKET, packet)
        st64(t + T_CFI_BUBBLES, 0)
    else:
        if outcome == ENTRY_MISPREDICT:
            st64(t + T_WRONG_PATH, 0)
        # as if the packet before the target had been the last one
        st64(t + T_CFI_PACKET, (target & ~3) - PACKET)
        st64(t + T_CFI_BUBBLES, 0 if outcome == ENTRY_PREDICTED else 1)
    return outcome
