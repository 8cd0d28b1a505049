"""R1: pages that can be looked up by their address (the source document on accessible pages)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from kernel.errors import MetaTypeError
from kernel.mm import Accessible, Frame, FrameAllocOptions, FrameMeta, Mm, UniqueFrame
from kernel.mm.fields import u64
from kernel.mm.frame.meta import BUSY, REF_COUNT, UNUSED, Kind
from kernel.mm.port import Access
from kernel.sync.interleave import Interleaver


class CachePage(Accessible):
    index = u64()


class OtherPage(Accessible):
    index = u64()


class Private(FrameMeta):
    index = u64()


def _page(mm: Mm, index: int = 7) -> Frame[CachePage]:
    return FrameAllocOptions(mm).alloc_frame_with(CachePage(index=index))


def test_r1_1_the_page_object_is_found_by_arithmetic_on_its_address(mm: Mm) -> None:
    accesses = []

    class Counter:
        def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
            accesses.append(address)

    with _page(mm) as page, mm.port.observed(Counter()):
        slot = mm.slots.slot(page.paddr)
        assert accesses == []
        assert slot == mm.slots.base + page.paddr // 4096 * 64
        found = Frame.access(mm, page.paddr, CachePage)
        assert found is not None
        assert all(slot <= address < slot + 64 for address in accesses)
        found.drop()


def test_r1_2_only_accessible_types_can_be_looked_up(mm: Mm) -> None:
    with _page(mm) as page:
        found = Frame.access(mm, page.paddr, CachePage)
        assert found is not None
        assert found.meta.index == 7
        assert page.reference_count == 2
        found.drop()
    with FrameAllocOptions(mm).alloc_frame_with(Private()) as private:
        with pytest.raises(MetaTypeError, match="Private is not Accessible"):
            Frame.access(mm, private.paddr, Private)
        assert private.reference_count == 1


def test_r1_3_access_gives_nothing_for_frames_that_nobody_may_share(mm: Mm) -> None:
    page = _page(mm)
    paddr, slot = page.paddr, mm.slots.slot(page.paddr)
    assert Frame.access(mm, paddr, OtherPage) is None
    assert page.reference_count == 1
    mm.port.store(slot + REF_COUNT, BUSY)
    assert Frame.access(mm, paddr, CachePage) is None
    mm.port.store(slot + REF_COUNT, 1)
    page.drop()
    assert Frame.access(mm, paddr, CachePage) is None
    with FrameAllocOptions(mm).alloc_unique(Private()) as unique:
        assert Frame.access(mm, unique.paddr, CachePage) is None
    assert Frame.access(mm, paddr + 1, CachePage) is None
    assert Frame.access(mm, 1 << 50, CachePage) is None


def test_r1_4_a_unique_frame_refuses_accessible_metadata(mm: Mm) -> None:
    with pytest.raises(MetaTypeError, match="CachePage is Accessible"):
        FrameAllocOptions(mm).alloc_unique(CachePage())
    with _page(mm) as page:
        with pytest.raises(MetaTypeError, match="CachePage is Accessible"):
            page.try_into_unique()
        with pytest.raises(MetaTypeError, match="OtherPage is Accessible"):
            page.make_inaccessible(lambda old: OtherPage())
        assert page.reference_count == 1
        assert page.meta.index == 7
    with FrameAllocOptions(mm).alloc_unique(Private(index=3)) as unique:
        with pytest.raises(MetaTypeError, match="CachePage is Accessible"):
            unique.repurpose(CachePage())
        assert unique.meta.index == 3


def test_r1_5_a_count_on_its_way_to_zero_is_never_revived(mm: Mm) -> None:
    """The last holder drops between the look-up's load and its compare-and-swap."""
    page = _page(mm)
    paddr, slot = page.paddr, mm.slots.slot(page.paddr)

    class DropsInBetween:
        done = False

        def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
            if kind is Access.ATOMIC and address == slot + REF_COUNT and not self.done:
                self.done = True
                page.drop()

    with mm.port.observed(DropsInBetween()):
        assert Frame.access(mm, paddr, CachePage) is None
    assert mm.slots.state(paddr).kind is Kind.FREE


def test_r1_6_the_sole_holder_can_make_a_page_inaccessible(mm: Mm) -> None:
    page = _page(mm, index=5)
    paddr = page.paddr
    other = page.clone()
    assert page.make_inaccessible(lambda old: Private(index=old.index)) is None
    assert page.reference_count == 2
    other.drop()
    seen: list[Frame[CachePage] | None] = []

    def new(old: CachePage) -> Private:
        seen.append(Frame.access(mm, paddr, CachePage))
        return Private(index=old.index + 1)

    unique = page.make_inaccessible(new)
    assert unique is not None
    assert seen == [None], "the page could be looked up while it was locked"
    assert unique.meta.index == 6
    assert not page.held
    assert Frame.access(mm, paddr, CachePage) is None
    unique.drop()


def test_r1_6_an_exception_while_the_page_is_locked_unlocks_it(mm: Mm) -> None:
    def fail(old: CachePage) -> Private:
        raise RuntimeError("no")

    with _page(mm) as page:
        with pytest.raises(RuntimeError, match="no"):
            page.make_inaccessible(fail)
        assert page.reference_count == 1


def test_r1_7_the_type_is_verified_on_every_access(mm: Mm) -> None:
    """The page is freed and becomes another type's between the look-up's steps."""
    page = _page(mm)
    paddr, slot = page.paddr, mm.slots.slot(page.paddr)
    reused: list[Frame[OtherPage]] = []

    class Reuses:
        done = False

        def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
            if kind is Access.ATOMIC and address == slot + REF_COUNT and not self.done:
                self.done = True
                page.drop()
                reused.append(FrameAllocOptions(mm).alloc_frame_with(OtherPage()))

    with mm.port.observed(Reuses()):
        assert Frame.access(mm, paddr, CachePage) is None
    assert reused[0].paddr == paddr
    assert reused[0].reference_count == 1
    reused[0].drop()


Outcome = tuple[object, ...]


def _race(mm: Mm, tasks: Callable[[Frame[CachePage]], Sequence[Callable[[], object]]],
          preemptions: int) -> set[Outcome]:
    """What the tasks gave, over all interleavings; the frame must be free, once, when everything is dropped."""
    outcomes = set()
    slots: list[int] = []

    def setup() -> Sequence[Callable[[], object]]:
        page = _page(mm)
        slots[:] = [mm.slots.slot(page.paddr)]
        return tasks(page)

    explorer = Interleaver(mm, lambda kind, address: slots[0] <= address < slots[0] + 64)
    runs = 0
    for run in explorer.explore(setup, preemptions):
        runs += 1
        paddr = mm.slots.frame_of(slots[0])
        for result in run.results:
            assert not isinstance(result, BaseException), f"{result!r} in\n{run}"
        held = [result for result in run.results if isinstance(result, Frame | UniqueFrame)]
        state = mm.slots.state(paddr)
        if any(isinstance(handle, UniqueFrame) for handle in held):
            assert len(held) == 1, f"a unique frame is shared after\n{run}"
            assert state.kind is Kind.UNIQUE, str(run)
        elif held:
            assert state.kind is Kind.SHARED, str(run)
            assert state.count == len(held), f"{state} with {len(held)} holders after\n{run}"
        else:
            assert state.kind is Kind.FREE, f"{state} without a holder after\n{run}"
        outcomes.add(tuple(type(result).__name__ for result in run.results))
        for handle in held:
            handle.drop()
        assert mm.port.load(slots[0] + REF_COUNT) == UNUSED
    assert runs > 10
    return outcomes


def test_r1_8_access_races_with_the_last_drop(mm: Mm) -> None:
    def tasks(page: Frame[CachePage]) -> Sequence[Callable[[], object]]:
        paddr = page.paddr
        return [page.drop, lambda: Frame.access(mm, paddr, CachePage)]

    assert _race(mm, tasks, 3) == {("NoneType", "NoneType"), ("NoneType", "Frame")}


def test_r1_8_access_races_with_make_inaccessible(mm: Mm) -> None:
    def tasks(page: Frame[CachePage]) -> Sequence[Callable[[], object]]:
        paddr = page.paddr

        def lock() -> object:
            unique = page.make_inaccessible(lambda old: Private(index=old.index))
            return page if unique is None else unique

        return [lock, lambda: Frame.access(mm, paddr, CachePage)]

    assert _race(mm, tasks, 3) == {("UniqueFrame", "NoneType"), ("Frame", "Frame")}


def test_r1_8_two_accesses_a_drop_and_make_inaccessible_race(mm: Mm) -> None:
    def tasks(page: Frame[CachePage]) -> Sequence[Callable[[], object]]:
        paddr, other = page.paddr, page.clone()

        def lock() -> object:
            unique = page.make_inaccessible(lambda old: Private(index=old.index))
            return page if unique is None else unique

        return [lock, other.drop, lambda: Frame.access(mm, paddr, CachePage)]

    outcomes = _race(mm, tasks, 2)
    assert ("UniqueFrame", "NoneType", "NoneType") in outcomes
    assert ("Frame", "NoneType", "Frame") in outcomes
    assert ("UniqueFrame", "NoneType", "Frame") not in outcomes


def test_r1_8_the_search_finds_a_blind_add(mm: Mm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutation that R1.5 forbids is caught: the search is able to see such a fault."""

    def blind(paddr: int) -> int:
        slot = mm.slots.slot(paddr)
        if mm.port.load(slot + REF_COUNT) == 1:
            mm.port.fetch_add(slot + REF_COUNT, 1)
        return slot

    monkeypatch.setattr(type(mm.slots), "get_from_in_use", lambda slots, paddr: blind(paddr))

    def tasks(page: Frame[CachePage]) -> Sequence[Callable[[], object]]:
        paddr = page.paddr
        return [page.drop, lambda: Frame.access(mm, paddr, CachePage)]

    with pytest.raises(AssertionError, match="reference count|holder"):
        _race(mm, tasks, 3)
    mm.close()  # the counts are wrong, as they should be: handles must not mind
