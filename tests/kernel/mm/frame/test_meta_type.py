"""Types of frame metadata: what cannot be one, and what nobody but an allocator may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kernel.errors import MetaTypeError
from kernel.mm import FrameAllocOptions, Mm, Unit
from kernel.mm.check import check
from kernel.mm.fields import u64
from kernel.mm.frame.meta_type import FrameMeta
from kernel.osdk.frame_allocator.chunk import FreeHeadMeta


def _ways(mm: Mm) -> tuple[Callable[[Any], object], ...]:
    """The ways to allocate with metadata."""
    options = FrameAllocOptions(mm)
    return (options.alloc_frame_with, options.alloc_unique,
            lambda meta: options.alloc_segment_with(3, lambda _: meta))


@pytest.mark.parametrize("meta", [5, None, Unit, "meta"])
def test_what_is_no_metadata_is_refused_before_a_frame_is_taken(mm: Mm, meta: Any) -> None:
    for alloc in _ways(mm):
        with pytest.raises(MetaTypeError, match="does not derive from FrameMeta"):
            alloc(meta)
    check(mm, [])


def test_a_frame_with_an_allocators_metadata_would_pass_for_a_free_one(mm: Mm) -> None:
    free = FreeHeadMeta(order=3)
    for alloc in _ways(mm):
        with pytest.raises(MetaTypeError, match="FreeHeadMeta is an allocator's"):
            alloc(free)
    with (FrameAllocOptions(mm).alloc_unique(Unit()) as unique,
          pytest.raises(MetaTypeError, match="FreeHeadMeta is an allocator's")):
        unique.repurpose(free)
    check(mm, [])


@pytest.mark.parametrize("name", ["address", "memory", "SIZE", "at", "on_drop", "to_bytes"])
def test_a_field_cannot_hide_what_the_type_itself_needs(name: str) -> None:
    with pytest.raises(TypeError, match=f"Hiding.{name}: the name is taken"):
        type("Hiding", (FrameMeta,), {name: u64()})
