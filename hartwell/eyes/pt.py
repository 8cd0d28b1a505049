"""The eye `pt`: the walk of a virtual address, level by level."""

from __future__ import annotations

from collections.abc import Sequence

from hartwell.views.pagetable import frame_lines, walk_lines
from hartwell.views.records import lines as record_lines
from kernel.mm.port import MemoryPort
from kernel.picture import walk_table

from .eye import Eye, EyeContext
from .translation import translation


def look(context: EyeContext, args: Sequence[str]) -> list[str]:
    """The view of `hartwell pagetable VADDR`, for any guest's page table."""
    vaddr = context.number(args[0], "virtual address")
    table = translation(context, args[1] if len(args) > 1 else None)
    done = walk_table(MemoryPort(context.machine.bus), table.paging, vaddr, table.root)
    frame = [] if done.paddr is None or table.mm is None else frame_lines(table.mm, done.paddr)
    shown = [f"page table: {table.whose}", *walk_lines(done, table.paging, plain=True), *frame]
    if context.tracker is None:
        return shown
    return [*shown, "", *record_lines(context.tracker.page(vaddr, table.root, context.moment))]


EYE = Eye("pt", "pt VA [ROOT]", "walk a virtual address through the page table, level by level", """\
The table is the one in satp of the hart that is looked at; ROOT, the physical address of another's root table,
chooses another. Bits are letters: v valid, r w x, u user, g global, a accessed, d dirty; - stands for one that
is not set. Permissions are not checked, and no bit is set by it. Works with any guest.
Where the kernel's operations are tracked, the last lines say who mapped the address, and when.""",
          look, least=1, most=2)
