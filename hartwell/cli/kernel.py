"""`hartwell kernel …`: the kernel's address space, the buddy system drawn, and what operations cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .kernel_cost import cost
from .kernels import STATE, AsJson, RamFile, opened
from .options import Harts, Memory, Mmu

if TYPE_CHECKING:
    from kernel.osdk.frame_allocator.buddy_demo import State

app = typer.Typer(name="kernel", rich_markup_mode="rich", no_args_is_help=True,
                  help="Look at the kernel itself: its address space, its allocator at work, what it costs.")
app.command("cost")(cost)


@app.command("layout")
def layout(
    ram: RamFile = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    as_json: AsJson = False,
) -> None:
    """Show the kernel's address space: its parts with their sizes, and what is mapped in each.

    \b
    [b]Examples[/b]
      hartwell kernel layout               Sv48
      hartwell kernel layout --mmu sv39    the same under Sv39
      hartwell kernel layout --json
    """
    from hartwell.views.kernel_layout import as_dict, lines
    from hartwell.views.table import print_json, print_lines
    from kernel.picture import read_areas, read_layout

    with opened(ram, memory, smp, mmu) as kernel:
        mm = kernel.mm
        parts, areas = read_layout(mm), read_areas(mm)
        if as_json:
            print_json(as_dict(mm.paging, parts, areas))
        else:
            print_lines(lines(mm, parts, areas))


@app.command("demo-buddy")
def demo_buddy(
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    ascii_only: Annotated[bool, typer.Option(
        "--ascii", rich_help_panel=STATE, help="Draw with plain characters.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw how the buddy system splits and merges: 128 KiB out of 1 MiB, and 65 KiB in a block of 128 KiB.

    \b
    [b]Examples[/b]
      hartwell kernel demo-buddy           every split and merge is a bar
      hartwell kernel demo-buddy --ascii   without line-drawing characters
      hartwell kernel demo-buddy --json    every state, block by block

    The kernel's own allocator does it, on 1 MiB of the machine's memory; the bars are what its lists say.
    """
    from hartwell.views.blocks import draw, legend
    from hartwell.views.table import can_print, print_json
    from kernel.osdk.frame_allocator.buddy_demo import internal_fragmentation, split_and_merge

    with opened(None, memory, smp, mmu) as kernel:
        examples = (("Splitting and merging: 1 MiB, of which A and B want 128 KiB each", split_and_merge(kernel.mm)),
                    ("Internal fragmentation: A wants 65 KiB", internal_fragmentation(kernel.mm)))
    if as_json:
        print_json({"examples": [{"title": title, "states": [_state(state) for state in states]}
                                 for title, states in examples]})
        return
    plain = ascii_only or not can_print("│░▓·")
    print(legend(ascii_only=plain))
    for title, states in examples:
        print(f"\n{title}\n")
        for number, state in enumerate(states, 1):
            print(f"{number:3}  {state.title}")
            for line in draw(state, ascii_only=plain):
                print(f"     {line}")


def _state(state: State) -> dict[str, Any]:
    return {"title": state.title, "blocks": [
        {"paddr": f"{block.paddr:#x}", "order": block.order, "size": block.size, "use": block.use.value,
         "name": block.name, "requested": block.requested, "wasted": block.wasted} for block in state.blocks]}
