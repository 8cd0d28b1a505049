"""Every test of upstream's memory management has a test of the same name here, or is listed as left.

The names are those of Asterinas at commit 6049485815 (v0.18.1); a name that does not begin with `test_` has it
here in front. Where a folder is given, the tests are in one of its files.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
UPSTREAM = {
    "boot/test_memory_region.py": """
        sort_full_non_overlapping
    """,
    "mm/frame/test_allocator.py": """
        test_alloc_dealloc
    """,
    "mm/frame/test_frame.py": """
        frame_allocation frame_clone frame_drop frame_to_uframe frame_conversions linked_list_push_pop
        linked_list_cursor_at linked_list_cursor_ops segment_creation max_segment_creation empty_segment_creation
        zeroed_segment_creation segment_split segment_slice segment_iteration invalid_segment_split
        segment_slice_out_of_bounds segment_to_usegment segment_to_segment frame_to_segment segment_drop
        untyped_frame_reader_writer untyped_segment_reader_writer frame_ref_preserves_refcnt
        frame_impls_non_null_ptr
    """,
    "mm/kspace/test_upstream.py": """
        kvirt_area_tracked_map_pages kvirt_area_untracked_map_pages kvirt_area_tracked_drop
        kvirt_area_untracked_drop manual_paddr_to_vaddr
    """,
    "mm/page_table/test_upstream.py": """
        test_subset_iter create_user_page_table new_kernel_page_table range_check boundary_conditions
        start_boundary_mapping end_boundary_mapping overflow_boundary_mapping map_preserves_page_property
        zeroed_pte_is_absent_pte cast_frame_pte_preserves_repr cast_pt_pte_preserves_repr
        cast_absent_pte_preserves_repr overlapping_mappings unaligned_map jump jump_from_end_and_query_huge_middle
        jump_from_guard_level_end jump_near_address_space_end find_next find_next_keeps_va_around_barrier
        find_next_rejects_overflowing_len take_next_takes_something take_large_takes_subtree
        mixed_granularity_map_unmap mixed_granularity_protect_query base_protect_query protect_next_empty_entry
        protect_next_touches_empty_range map_base_page map_base_page_already_mapped protect_base_page_unmapped
        map_protect
    """,
    "mm/io/test_io.py": """
        read_write_u32_infallible read_write_slice_infallible read_write_struct_infallible
        read_beyond_buffer_infallible write_beyond_buffer_infallible fill_infallible skip_read_infallible
        skip_write_infallible limit_read_infallible limit_write_infallible read_write_slice_vmio_infallible
        read_write_once_infallible write_val_infallible fallible_read_write partial_read_fallible
        partial_write_fallible read_write_val_fallible atomic_load_fallible atomic_compare_exchange_fallible
        fill_zeros_fallible invalid_args_read_write_fallible invalid_read_write_infallible fill_zeros_segment
        write_slice_segment read_val_segment read_slice_segment
    """,
    "mm/vm_space/test_upstream.py": """
        vmspace_creation vmspace_map_unmap vmspace_map_twice vmspace_unmap_twice vmspace_activate
        cursor_mut_flusher vmspace_reader_writer overlapping_cursors protect_next unaligned_unmap_panics
        protect_out_range_page vmspace_map_query_iomem vmspace_map_iomem_with_offset vmspace_iomem_persistence
    """,
    "osdk/frame_allocator": """
        greater_order_of_works lesser_order_of_works max_order_from_works split_to_chunks_works
        split_to_order_works free_chunk_ops buddy_set_insert_alloc per_cpu_counter
        frame_allocator_alloc_layout_match
    """,
    "osdk/heap_allocator/test_upstream.py": """
        slab_counter_tracks_slab_pages alloc_dealloc_cpu_local_various_types
    """,
}
"""Upstream's tests by the file or folder here that has them."""
LEFT = """
    c.alloc_with_coherent_device c.read_write c.read_write_once c.reader_writer c.zero_length_operations
    c.complex_read_write_patterns c.alloc_uninit_dma_coherent s.streaming_map s.read_write s.reader_writer
    s.to_device s.from_device s.streaming_boundary_conditions s.alloc_dma_stream s.alloc_uninit_dma_stream
"""
"""Left out: DMA (`mm/dma/test.rs`; c. coherent, s. stream). No device here does DMA by OSTD's interface."""


def _functions(path: Path) -> set[str]:
    files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("place", UPSTREAM)
def test_upstreams_tests_are_here(place: str) -> None:
    wanted = {name if name.startswith("test_") else f"test_{name}" for name in UPSTREAM[place].split()}
    assert not wanted - _functions(HERE / place)


def test_all_of_upstreams_tests_are_accounted_for() -> None:
    names = [name for text in (*UPSTREAM.values(), LEFT) for name in text.split()]
    assert len(names) == 131
