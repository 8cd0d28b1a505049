"""`hartwell programs`: the user programs that come along."""

from __future__ import annotations

from typing import Annotated

import typer


def programs(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List the user programs that come with Hartwell.

    \b
    [b]Examples[/b]
      hartwell programs          this list
      hartwell run cowtest       run one of them
      hartwell run ./a.out       … or any other static RV64 Linux program
    """
    from hartwell import programs as catalogue
    from hartwell.views.table import print_json, print_table

    everything = catalogue.everything()
    if as_json:
        print_json([{"name": program.name, "title": program.title, "shows": program.shows} for program in everything])
        return
    print_table(("program", "shows"), [(program.name, program.title) for program in everything], left=2)
