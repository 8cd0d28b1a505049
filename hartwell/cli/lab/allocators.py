"""`hartwell lab list`: the allocators that come along, and the bugs planted in them."""

from __future__ import annotations

from typing import Annotated

import typer

from hartwell.cli.kernels import AsJson


def allocators(
    planted: Annotated[bool, typer.Option("--planted", help="List the planted bugs, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the allocators that come with Hartwell, by the names that other commands take, and what else comes along.

    \b
    [b]Examples[/b]
      hartwell lab list              the allocators
      hartwell lab list --planted    and the bugs planted in them
      hartwell test buddy            grade one of them
    """
    from hartwell.lab.subject import catalogue
    from hartwell.lab.subject.catalogue import Entry
    from hartwell.views.table import print_json, print_table

    entries = [each for each in catalogue.allocators() if planted or not each.plant]
    others = {
        "hartwell lab race": catalogue.races() + [
            Entry(name, catalogue.RACE, title, "/" in name) for name, title in catalogue.OWN_RACES.items()],
        "hartwell lab client": catalogue.clients(),
        "hartwell lab hang": catalogue.demonstrations(),
    }
    rows = [(each, command) for command, found in others.items() for each in found if planted or not each.plant]

    def plain(each: Entry) -> dict[str, object]:
        return {"name": each.name, "kind": each.kind, "title": each.title, "planted": each.plant}

    if as_json:
        print_json({"allocators": [plain(each) for each in entries],
                    "others": [{**plain(each), "command": command} for each, command in rows]})
        return
    print_table(("allocator", "kind", "what it is"), [(each.name, each.kind, each.title) for each in entries],
                left=3, prose=1)
    print()
    print_table(("no allocator, but", "for", "what it is"),
                [(each.name, command, each.title) for each, command in rows], left=3, prose=1)
