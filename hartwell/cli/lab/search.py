"""`hartwell lab search`: look for a failure of an allocator, and make it small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hartwell.cli.options import MACHINE, Harts
from hartwell.cli.status import CommandError

from .options import LAB_MEMORY, LOAD, AsJson, Spec, counting, parse_operations

if TYPE_CHECKING:
    from hartwell.lab.search import Replay
    from hartwell.lab.search.directed import Found, Searched
    from hartwell.lab.subject import Subject

RESULT = "What is found"
SLOW = 400
"""Trials that shrinking may take with a Python class: each boots a kernel."""


def search(
    spec: Spec,
    seeds: Annotated[int | None, typer.Option(
        "--seeds", metavar="N", rich_help_panel=LOAD, show_default="8; 1 for a Python class",
        help="How many seeds of each workload are tried; Hypothesis makes a dozen trials for each.")] = None,
    first: Annotated[int, typer.Option(
        "--seed", metavar="N", rich_help_panel=LOAD, help="The first of them: the same seed, the same search.")] = 0,
    workloads: Annotated[list[str] | None, typer.Option(
        "-w", "--workload", metavar="NAME", rich_help_panel=LOAD, show_default="all that are made for its kind",
        help="A workload (hartwell lab workloads) or a FILE.trace; can be given several times.")] = None,
    operations: Annotated[str, typer.Option(
        "-n", "--operations", metavar="N", rich_help_panel=LOAD,
        help="How many operations a trial has; shorter ones, of a sixteenth and a quarter, come first. Hypothesis "
             "makes 40 at most.")] = "400",
    hypothesis: Annotated[bool, typer.Option(
        "--hypothesis", rich_help_panel=LOAD,
        help="Let Hypothesis choose the operations, one by one, instead of the workloads.")] = False,
    memory: Annotated[str, typer.Option(
        "-m", "--memory", metavar="SIZE", rich_help_panel=MACHINE,
        help="The machine's memory, of which the allocator gets a quarter.")] = LAB_MEMORY,
    smp: Harts = None,
    save: Annotated[str | None, typer.Option(
        "--save", metavar="FILE", rich_help_panel=RESULT,
        help="Write what is found to FILE, for hartwell lab replay and hartwell debug --replay.")] = None,
    as_json: AsJson = False,
) -> int:
    """Look for a sequence of operations that an allocator fails at, and shrink it to the shortest that does.

    All workloads are tried with one seed after the other, short programs first, until an oracle says that something
    is wrong. Then operations are taken out, and numbers made small, as long as it fails in the same way. The same
    command has the same result.

    \b
    [b]Examples[/b]
      hartwell lab search ./mine/allocator.elf --save bug.replay
      hartwell debug --replay bug.replay      the debugger, at the failure
      hartwell lab replay bug.replay          whether it still fails
      hartwell lab search buddy --seeds 100 -n 5k
      hartwell lab search ./mine.py:Mine --hypothesis

    \b
    [b]Exit code[/b]
      0 nothing was found; 1 something was; 2 a mistake on the command line
    """
    from emulator.loader.sizes import parse_size
    from hartwell.lab.errors import SubjectFailed
    from hartwell.lab.search.directed import SEEDS, attempts
    from hartwell.lab.search.directed import search as directed
    from hartwell.lab.search.shrink import PATIENCE
    from hartwell.lab.subject import load_subject
    from hartwell.lab.subject.python import PythonSubject
    from hartwell.lab.subject.setting import Setting

    count = parse_operations(operations)
    if seeds is not None and seeds < 1 or first < 0:
        raise CommandError(f"--seeds {seeds}, --seed {first}: expected at least one seed, from 0 on")
    if hypothesis and workloads:
        raise CommandError("both --hypothesis and --workload: Hypothesis chooses the operations itself")
    setting = Setting(1 if smp is None else smp, parse_size(memory, "-m"))
    try:
        subject = load_subject(spec, setting)
    except SubjectFailed as why:
        return _does_not_boot(spec, why, as_json)
    with subject, counting("trials") as counter:
        slow = isinstance(subject, PythonSubject)
        patience = SLOW if slow else PATIENCE
        seeds = seeds if seeds is not None else 1 if slow else SEEDS
        if hypothesis:
            from hartwell.lab.search.machines import explore

            result = explore(subject, examples=12 * seeds, steps=min(count, 40), seed=first, patience=patience,
                             progress=counter)
        else:
            planned = attempts(subject, workloads or (), seeds, count, first)
            result = directed(subject, planned, patience=patience, progress=counter)
        replay = None
        if result.found is not None and save is not None:
            from hartwell.lab.search import save_replay

            replay = save_replay(save, subject, result.found.operations, 0, setting, result.found.finding,
                                 result.found.how)
        counter.clear()
        _show(subject, result, replay, as_json)
    return 0 if result.found is None else 1


def _does_not_boot(spec: str, why: Exception, as_json: bool) -> int:
    from hartwell.views.table import print_json

    if as_json:
        print_json({"allocator": spec, "trials": 0, "operations": 0, "found": {"finding": str(why)}})
    else:
        print(f"{spec} does not survive being given its memory: {why}")
    return 1


def _show(subject: Subject, result: Searched, replay: Replay | None, as_json: bool) -> None:
    from hartwell.views.table import print_json

    found = result.found
    if as_json:
        print_json({"allocator": subject.spec, "kind": subject.kind.value, "trials": result.trials,
                    "operations": result.operations, "found": None if found is None else _as_dict(found),
                    "replay": None if replay is None else replay.path})
    elif found is None:
        print(f"{subject.name}: nothing found in {result.trials:,} trials, {result.operations:,} operations")
        print(f"hartwell lab hunt {subject.spec} tries what no workload does: memory in pieces, two harts, and more")
    else:
        _say(subject, result, found, replay)


def _as_dict(found: Found) -> dict[str, object]:
    return {"finding": found.finding.to_json(), "how": found.how, "operations": found.words,
            "length": found.length, "shrinking": found.shrinking}


def _say(subject: Subject, result: Searched, found: Found, replay: Replay | None) -> None:
    print(f"{subject.name}: {found.finding.kind.value}: {found.finding.what}")
    print(f"  found    {found.how}")
    print(f"  tried    {result.trials:,} trial{'s' * (result.trials != 1)}, {result.operations:,} operations; then "
          f"{found.shrinking:,} to shrink {found.length:,} operations to {len(found.operations):,}")
    print()
    for number, line in enumerate(found.words):
        print(f"  {number:3}  {line}{'  <-- fails' if number == found.finding.operation else ''}")
    if found.finding.operation is None:
        print("       (then all memory is taken)")
    print()
    if replay is None:
        print("--save FILE keeps it for the debugger and for later")
    else:
        print(f"saved in {replay.path}; to see it happen: hartwell debug --replay {replay.path}")
