"""The buddy system drawn: every state of an example is a bar, cut into its blocks.

     1  1 MiB, free
        │                              1 MiB                              │
     2  split: 1 MiB into 2 x 512 KiB
        │░░░░░░░░░░░ 512 KiB ░░░░░░░░░░░│            512 KiB              │

        free: blank     in hand: ░     allocated: ▓     wasted: ·
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .table import amount

if TYPE_CHECKING:
    from kernel.osdk.frame_allocator.buddy_demo import Block, State

WIDTH = 64
"""Characters of the bar, without its last edge."""


def legend(*, ascii_only: bool) -> str:
    """What the fillings mean."""
    edge, hand, taken, wasted = _characters(ascii_only)
    return f"{edge} {edge} free    {hand}{hand} in hand    {taken}{taken} allocated    {wasted}{wasted} wasted"


def draw(state: State, *, ascii_only: bool) -> str:
    """The bar of a state."""
    total = sum(block.size for block in state.blocks)
    start = state.blocks[0].paddr
    bar = ""
    for block in state.blocks:
        columns = (block.paddr + block.size - start) * WIDTH // total - (block.paddr - start) * WIDTH // total
        bar += _characters(ascii_only)[0] + _fill(block, columns - 1, ascii_only)
    return bar + _characters(ascii_only)[0]


def _fill(block: Block, columns: int, ascii_only: bool) -> str:
    _, hand, taken, wasted = _characters(ascii_only)
    label = " ".join(part for part in (block.name, _short(block.size)) if part)
    if block.use.name == "ALLOCATED":
        used = -(-block.requested * columns // block.size)
        filling = taken * used + wasted * (columns - used)
    else:
        filling = (hand if block.use.name == "IN_HAND" else " ") * columns
    for text in (f" {label} ", label, block.name or _short(block.size)):
        if len(text) <= columns:
            at = (columns - len(text)) // 2
            return filling[:at] + text + filling[at + len(text):]
    return filling


def _short(size: int) -> str:
    return amount(size).replace(" KiB", "K").replace(" MiB", "M")


def _characters(ascii_only: bool) -> str:
    return "|-#." if ascii_only else "│░▓·"
