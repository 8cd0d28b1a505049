"""`hartwell lab …`: the allocator lab, one file per command.

`hartwell test` and `hartwell record` are commands of their own; all that they share with those here is in `options`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from .allocators import allocators
from .campaign import campaign
from .client import client
from .compare import compare
from .cost import cost
from .fault import fault
from .hang import hang
from .hunt import hunt
from .new import new
from .race import race
from .replay import replay
from .search import search
from .trial import trial
from .workloads import workloads

app = typer.Typer(name="lab", no_args_is_help=True,
                  help="""Try an allocator: under load, under faults, on several harts; compare two.

    It is Python, or guest code that an ELF has; SPEC names it. [b]hartwell lab list[/b] has some to begin with.

    \b
    [b]Examples[/b]
      hartwell lab new --lang c mine         one of your own, which works
      hartwell lab hunt mine/allocator.elf   everything that could find a bug
      hartwell lab cost mine/allocator.elf   its cycles, fragmentation and waste
    """)

_COMMANDS: Final[dict[str, Callable[..., object]]] = {
    "new": new,
    "list": allocators,
    "workloads": workloads,
    "hunt": hunt,
    "trial": trial,
    "search": search,
    "replay": replay,
    "race": race,
    "hang": hang,
    "client": client,
    "fault": fault,
    "cost": cost,
    "compare": compare,
    "campaign": campaign,
}
for _name, _function in _COMMANDS.items():
    app.command(_name)(_function)
