"""Areas against a model: what each page is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.mm.page_table.pte import PageFlags
from kernel.process.area import Area, Areas

P, PAGES = 4096, 24
RIGHTS = (PageFlags.NONE, PageFlags.R, PageFlags.RW)
steps = st.lists(st.tuples(st.booleans(), st.integers(0, PAGES - 1), st.integers(1, PAGES), st.sampled_from(RIGHTS)),
                 min_size=1, max_size=25)


@given(steps)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_each_page_is_what_it_was_made_last(steps: list[tuple[bool, int, int, PageFlags]]) -> None:
    areas, model = Areas(), dict[int, PageFlags]()
    for put, first, count, prot in steps:
        last = min(first + count, PAGES)
        if put:
            areas.put(Area(first * P, last * P, prot))
            model.update(dict.fromkeys(range(first, last), prot))
        else:
            areas.clear(first * P, last * P)
            for page in range(first, last):
                model.pop(page, None)
        for page in range(PAGES):
            area = areas.find(page * P + 7)
            assert (area.prot if area is not None else None) == model.get(page)
        found = list(areas)
        for one, other in zip(found, found[1:], strict=False):  # ascending, apart, and as few as can be
            assert one.end <= other.start and not one.goes_on_as(other)
        for start in range(0, PAGES, 5):
            parts = areas.within(start * P, (start + 7) * P)
            pages = [page for part in parts for page in range(part.start // P, part.end // P)]
            assert pages == sorted(page for page in model if start <= page < start + 7)
            assert areas.covers(start * P, (start + 7) * P) == (len(pages) == 7)
        gap = areas.gap(3 * P, 0, PAGES * P)
        free = [page for page in range(PAGES - 2) if not any(page + i in model for i in range(3))]
        assert (gap is None) == (not free) and (gap is None or gap // P in free)


def test_files_join_where_their_offsets_go_on() -> None:
    class File:
        pass

    areas, file = Areas(), File()
    areas.put(Area(0, 2 * P, PageFlags.R, file, 0, 9 * P))  # type: ignore[arg-type]
    areas.put(Area(2 * P, 3 * P, PageFlags.R, file, 2 * P, 9 * P))  # type: ignore[arg-type]
    assert len(areas) == 1
    areas.put(Area(3 * P, 4 * P, PageFlags.R, file, 7 * P, 9 * P))  # type: ignore[arg-type]
    assert len(areas) == 2
    areas.clear(P, 2 * P)
    assert [area.offset for area in areas] == [0, 2 * P, 7 * P]
