"""`hartwell lab replay`: whether an allocator still fails as it did."""

from __future__ import annotations

from typing import Annotated

import typer

from hartwell.cli.status import say

from .options import AsJson


def replay(
    file: Annotated[str, typer.Argument(metavar="FILE", show_default=False,
                                        help="What hartwell lab search --save, or hartwell test, has written.")],
    spec: Annotated[str | None, typer.Argument(
        metavar="SPEC", show_default="the one that failed", help="Another allocator of the kind, to see how it does.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Do what an allocator failed at again, on the same machine, and say whether it still fails.

    \b
    [b]Examples[/b]
      hartwell lab replay bug.replay             does it still fail?
      hartwell lab replay bug.replay buddy       does another one?
      hartwell debug --replay bug.replay         go there

    \b
    [b]Exit code[/b]
      0 it passes now; 1 it fails, in the same way or in another; 2 a mistake
    """
    from hartwell.lab.operation import describe
    from hartwell.lab.search import Replay, Verdict
    from hartwell.views.table import print_json

    loaded = Replay.load(file)
    done = loaded.run(spec)
    name = spec or loaded.located
    if as_json:
        print_json({"allocator": name, "verdict": done.verdict.value, "changed": done.changed,
                    "expected": loaded.finding.to_json(),
                    "findings": [each.to_json() for each in done.outcome.findings],
                    "operations": [describe(operation) for operation in loaded.operations]})
        return 0 if done.verdict is Verdict.FIXED else 1
    if done.changed and spec is None:
        say(f"{name} is not what it was when {file} was written")
    if done.finding is None:
        print(f"{name}: {done.verdict.value}; it was: {loaded.finding}")
        return 0
    for number, operation in enumerate(loaded.operations):
        print(f"  {number:3}  {describe(operation)}{'  <-- fails' if number == done.finding.operation else ''}")
    if done.verdict is Verdict.OTHERWISE:
        print(f"it was: {loaded.finding}")
    print(f"{name}: {done.verdict.value}: {done.finding}")
    return 1
