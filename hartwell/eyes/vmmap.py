"""The eye `vmmap`: everything that is mapped in an address space."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.pagewalk import survey
from hartwell.views.vmmap import lines

from .eye import Eye, EyeContext
from .translation import translation


def look(context: EyeContext, args: Sequence[str]) -> list[str]:
    """The runs of the page table, in the parts of the kernel's layout if the kernel is Hartwell's."""
    table = translation(context, args[0] if args else None)
    found = survey(context.machine.ram, table.satp)
    head = f"page table: {table.whose}, {table.paging.name}, root {table.root:#x}"
    return [head, *lines(found, table.paging, table.mm, plain=True)]


EYE = Eye("vmmap", "vmmap [ROOT]", "what is mapped in an address space, with rights, part by part", """\
The space is the one in satp of the hart that is looked at; ROOT, the physical address of another's root table,
chooses another. Neighbouring pages alike are one line. With Hartwell's kernel each line says in which part of
the kernel's layout it is, and what the frames are; with other guests it does without.""", look, most=1)
