"""`hartwell lab hunt`: everything that the lab has, tried in turn, up to the first finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from hartwell.cli.status import CommandError, say

from .options import AsJson, Operations, Seed, Spec, counting, parse_operations

if TYPE_CHECKING:
    from hartwell.lab.hunt import Step

_NEXT: Final = {
    "two harts": "hartwell lab race {spec}",
    "random, sanitized": "hartwell lab trial {spec} -w random -n {operations} --seed {seed} --sanitize",
    "every access": "hartwell lab client client-bugs --heap-allocator slab --scenario {scenario}",
    "boot": "hartwell lab trial {spec}",
    "misuse": "hartwell test {spec}",
    "zeroed": "hartwell test {spec}",
    "slowness": "hartwell lab cost {spec}",
}
"""What shows more, by step; all others are trials, which can be saved."""


def hunt(
    spec: Spec,
    operations: Operations = "1000",
    seed: Seed = 1,
    interleavings: Annotated[int, typer.Option(
        "--interleavings", metavar="N", min=1, help="How many orders of two harts' accesses to try, at most.")] = 3000,
    save: Annotated[str | None, typer.Option(
        "--save", metavar="FILE", help="Write the shortest sequence of operations that fails for replay.")] = None,
    as_json: AsJson = False,
) -> int:
    """Try everything on an allocator: all workloads, the edges, every access judged, two harts; up to what is wrong.

    Nobody says where to look. This is how the planted bugs are found; guest code takes some ten seconds if nothing is
    wrong, Python up to a minute, and without harts. The exit code is 1 if something is found.

    \b
    [b]Examples[/b]
      hartwell lab hunt mine/allocator.elf
      hartwell lab hunt buddy/missing-lock     a bug planted in one
      hartwell lab hunt buddy/merge-past-end --save bug.replay
    """
    from hartwell.lab.errors import LabError
    from hartwell.lab.hunt import Budget, oracle_of, steps
    from hartwell.views.table import print_json

    count = parse_operations(operations)
    if count < 1 or seed < 0:
        raise CommandError(f"-n {count}, --seed {seed}: expected an operation or more, no negative seed")
    done: list[Step] = []
    try:
        for step in steps(spec, Budget(count, seed, interleavings)):
            done.append(step)
            if not as_json:
                print(_line(step), flush=True)
            if step.finding is not None:
                break
    except LabError as why:
        raise CommandError(str(why)) from None
    last = done[-1]
    found = last.finding
    saved = None if save is None else _save(save, spec, last)
    if as_json:
        print_json({"allocator": spec, "steps": [
            {"name": step.name, "operations": step.operations, "interleavings": step.interleavings} for step in done],
            "oracle": None if found is None else oracle_of(found, last.name),
            "finding": None if found is None else found.to_json(), "replay": save if saved else None})
    elif found is None:
        print(f"{spec}: nothing is wrong that was found")
    else:
        replayable = "hartwell lab hunt {spec} --save bug.replay"
        shows = _NEXT.get(last.name, replayable if last.failed else "hartwell test {spec}")
        if saved:
            print("".join(f"\n  {number:3}  {line}" for number, line in enumerate(saved)).lstrip("\n") + "\n")
            shows = f"hartwell debug --replay {save}"
        elif save is not None:
            say(f"this is no sequence of operations, which could be replayed: {save} is not written")
            shows += f" --save {save}" if last.name == "two harts" else ""
        print(f"{spec}: {found}\n  found by  {oracle_of(found, last.name)}\n  next      "
              + shows.format(spec=spec, operations=count, seed=seed, scenario=spec.rpartition(":")[2]))
    return 0 if found is None else 1


def _save(path: str, spec: str, step: Step) -> list[str]:
    """Shrink what a step found, and write it down; the operations in words, none if they cannot be replayed."""
    from hartwell.lab.search.directed import shrink
    from hartwell.lab.search.replay import save_replay
    from hartwell.lab.search.shrink import PATIENCE
    from hartwell.lab.subject import load_subject

    if step.failed is None or step.finding is None:
        return []
    with load_subject(spec, step.failed.setting) as subject, counting("trials") as counter:
        found = shrink(subject, step.failed.operations, f"hunt: {step.name}", patience=PATIENCE, progress=counter)
        if found is None:
            return []
        save_replay(path, subject, found.operations, 0, step.failed.setting, found.finding, found.how)
        return found.words


def _line(step: Step) -> str:
    did = f"{step.interleavings:,} interleavings" if step.interleavings else f"{step.operations:,} operations"
    return f"  {step.name:<20}{did:<24}{'ok' if step.finding is None else 'FAIL'}"
