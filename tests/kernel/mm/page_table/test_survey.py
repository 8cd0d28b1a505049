"""The survey of page tables shows what is there, and names what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.errors import CorruptionError
from kernel.mm import FrameAllocOptions, Mm
from tests.helpers import page_tables as survey
from kernel.mm.page_table.config import LEVEL, LOCK, NR_CHILDREN, STRAY
from kernel.mm.page_table.page_table import PageTable
from kernel.mm.page_table.pte import Absent, LeafEntry, TableEntry, table_pte
from kernel.mm.vm_space.vm_space import VmSpace
from tests.kernel.mm.page_table.tables import RW, P


@pytest.fixture
def table(mm: Mm) -> Iterator[PageTable]:
    """A user table with one frame mapped at 4096."""
    with VmSpace(mm) as space:
        with space.cursor_mut(range(P, 2 * P)) as cursor:
            cursor.map(FrameAllocOptions(mm).alloc_frame(), RW)
        yield space.page_table


def test_a_path_goes_to_the_leaf_or_to_where_it_ends(mm: Mm, table: PageTable) -> None:
    found = survey.path(mm, table.root_paddr, P)
    assert [(step.level, step.at) for step in found] == [(4, 0), (3, 0), (2, 0), (1, 1)]
    assert [type(step.entry) for step in found] == [TableEntry] * 3 + [LeafEntry]
    assert [type(step.entry) for step in survey.path(mm, table.root_paddr, 1 << 30)] == [TableEntry, Absent]


def test_a_check_tells_the_counts_that_the_table_holds(mm: Mm, table: PageTable) -> None:
    steps = survey.path(mm, table.root_paddr, P)
    walked = table.page_walk(P)
    assert walked is not None
    assert survey.check(mm, table.root_paddr) == {**{step.table: 1 for step in steps[1:]}, walked[0]: 1}


@pytest.mark.parametrize("offset, size, value", [(NR_CHILDREN, 2, 2), (STRAY, 1, 1), (LEVEL, 1, 2), (LOCK, 1, 1)])
def test_a_node_whose_metadata_is_wrong_is_named(mm: Mm, table: PageTable, offset: int, size: int, value: int) -> None:
    node = survey.path(mm, table.root_paddr, P)[-1].table
    slot = mm.slots.slot(node)
    was = mm.port.load_sized(slot + offset, size)
    mm.port.store_sized(slot + offset, size, value)
    with pytest.raises(CorruptionError, match=f"{node:#x}"):
        survey.check(mm, table.root_paddr)
    mm.port.store_sized(slot + offset, size, was)
    survey.check(mm, table.root_paddr)


@pytest.mark.parametrize("what", ["a second pointer", "absent and not zero", "a page table of nobody"])
def test_an_entry_that_cannot_be_is_named(mm: Mm, table: PageTable, what: str) -> None:
    steps = survey.path(mm, table.root_paddr, P)
    with FrameAllocOptions(mm).alloc_frame() as frame:
        word = {"a second pointer": steps[2].word, "absent and not zero": 2,
                "a page table of nobody": table_pte(frame.paddr)}[what]
        mm.port.store(steps[2].table + 8 * 7, word)
        with pytest.raises(CorruptionError):
            survey.check(mm, table.root_paddr)
        mm.port.store(steps[2].table + 8 * 7, 0)


def test_a_mapped_frame_that_has_too_few_holders_is_named(mm: Mm, table: PageTable) -> None:
    leaf = survey.path(mm, table.root_paddr, P)[-1]
    mm.port.store(leaf.table + 8 * 9, leaf.word)
    mm.port.store_sized(mm.slots.slot(leaf.table), 2, 2)
    with pytest.raises(CorruptionError, match="holds it 2 times"):
        survey.check(mm, table.root_paddr)
    mm.port.store(leaf.table + 8 * 9, 0)
    mm.port.store_sized(mm.slots.slot(leaf.table), 2, 1)


def test_a_user_root_that_does_not_share_the_kernels_half_is_named(mm: Mm, table: PageTable) -> None:
    at = table.root_paddr + 8 * 300
    was = mm.port.swap(at, 0)
    with pytest.raises(CorruptionError, match="entry 300"):
        survey.check(mm, table.root_paddr)
    mm.port.store(at, was)
