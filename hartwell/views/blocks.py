"""The buddy system drawn: every state of an example is a bar, cut into its blocks.

    3  split: 1 MiB into 2 x 512 KiB
       │             512K              │             512K              │
       │░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░│                               │

        free: blank     in hand: ░     allocated: ▓     wasted: ·
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.boot.figures import amount

if TYPE_CHECKING:
    from kernel.osdk.frame_allocator.buddy_demo import Block, State

WIDTH = 64
"""Characters of the bar, without its last edge."""


def legend(*, ascii_only: bool) -> str:
    """What the fillings mean."""
    edge, hand, taken, wasted = _characters(ascii_only)
    return f"{edge} {edge} free    {hand}{hand} in hand    {taken}{taken} allocated    {wasted}{wasted} wasted"


def draw(state: State, *, ascii_only: bool) -> tuple[str, str]:
    """The two lines of a state's bar: what the blocks are called, and how full they are."""
    total = sum(block.size for block in state.blocks)
    start = state.blocks[0].paddr
    edge = _characters(ascii_only)[0]
    labels = fillings = ""
    for block in state.blocks:
        columns = (block.paddr + block.size - start) * WIDTH // total - (block.paddr - start) * WIDTH // total - 1
        labels += edge + _label(block, columns)
        fillings += edge + _filling(block, columns, ascii_only)
    return labels + edge, fillings + edge


def _label(block: Block, columns: int) -> str:
    text = " ".join(part for part in (block.name, _short(block.size)) if part)
    return (text if len(text) <= columns else block.name[:columns]).center(columns)


def _filling(block: Block, columns: int, ascii_only: bool) -> str:
    _, hand, taken, wasted = _characters(ascii_only)
    if block.use.name != "ALLOCATED":
        return (hand if block.use.name == "IN_HAND" else " ") * columns
    used = (block.requested * columns + block.size // 2) // block.size
    return taken * used + wasted * (columns - used)


def _short(size: int) -> str:
    return amount(size).replace(" KiB", "K").replace(" MiB", "M")


def _characters(ascii_only: bool) -> tuple[str, str, str, str]:
    """An edge, and the fillings of blocks in hand, of allocated ones, and of what is wasted in those."""
    return ("|", "-", "#", ".") if ascii_only else ("│", "░", "▓", "·")
