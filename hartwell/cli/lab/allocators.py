"""`hartwell lab list`: the allocators that come along, and the bugs planted in them."""

from __future__ import annotations

from typing import Annotated

import typer

from hartwell.cli.kernels import AsJson


def allocators(
    planted: Annotated[bool, typer.Option("--planted", help="List the planted bugs, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the allocators that come with Hartwell, by the names that other commands take.

    \b
    [b]Examples[/b]
      hartwell lab list              the allocators
      hartwell lab list --planted    and the bugs planted in them, to see what finds each
      hartwell test buddy            grade one of them
    """
    from hartwell.lab.subject.catalogue import allocators as everything
    from hartwell.views.table import print_json, print_table

    entries = [each for each in everything() if planted or not each.plant]
    if as_json:
        print_json({"allocators": [{"name": each.name, "kind": each.kind, "title": each.title, "planted": each.plant}
                                   for each in entries]})
        return
    print_table(("allocator", "kind", "what it is"), [(each.name, each.kind, each.title) for each in entries],
                left=3, prose=1)
