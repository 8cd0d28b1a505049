"""`hartwell lab race`: search the interleavings of several harts for one that goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hartwell.cli.status import CommandError

from .options import AsJson, Seed

if TYPE_CHECKING:
    from hartwell.lab.race.report import Found, RaceReport

SEARCH, KEEP = "The search", "What is found"
BUDGET = "3000"


def race(
    spec: Annotated[str | None, typer.Argument(
        metavar="SPEC", show_default=False,
        help="An allocator (hartwell lab list), a race program, an ELF of either, FILE.py:Class, or kernel:NAME.")
    ] = None,
    strategy: Annotated[str, typer.Option(
        "--strategy", metavar="NAME", rich_help_panel=SEARCH, help="exhaustive, pct or random.")] = "exhaustive",
    bound: Annotated[int, typer.Option(
        "--bound", metavar="N", rich_help_panel=SEARCH,
        help="exhaustive: how often a hart that could go on is preempted, at most.")] = 2,
    depth: Annotated[int, typer.Option(
        "--depth", metavar="N", rich_help_panel=SEARCH,
        help="pct: how many accesses must be in an order for the bug to show.")] = 3,
    harts: Annotated[int, typer.Option(
        "--harts", "--smp", metavar="N", rich_help_panel=SEARCH, help="Harts that run at once, 2 to 8.")] = 2,
    seed: Seed = 0,
    budget: Annotated[str, typer.Option(
        "--budget", metavar="N", rich_help_panel=SEARCH,
        help="Interleavings to be tried, of all scenarios together: 3000, or 3k.")] = BUDGET,
    scenario: Annotated[list[str] | None, typer.Option(
        "--scenario", metavar="TEXT", rich_help_panel=SEARCH, show_default="some that come along",
        help='What the harts do: "alloc 4096 | free 0 | alloc 4096, free 1". Can be given several times.')] = None,
    replay: Annotated[str | None, typer.Option(
        "--replay", metavar="FILE", rich_help_panel=KEEP, help="Show the race in FILE once more.")] = None,
    save: Annotated[str | None, typer.Option(
        "--save", metavar="FILE", rich_help_panel=KEEP, help="Write the race that is found to FILE, for --replay.")
    ] = None,
    full: Annotated[bool, typer.Option(
        "--full", rich_help_panel=KEEP, help="Show also accesses to what only one hart uses.")] = False,
    as_json: AsJson = False,
) -> int:
    """Run an allocator on several harts at once, in every order of their accesses to memory that a search reaches.

    Harts are switched between two accesses. An order in which anything goes wrong (memory given out twice, memory
    that is lost, a hang, a deadlock, a check of the program's own) is shown as a listing with a column for each
    hart; the exit code is 1 then.

    \b
    [b]Examples[/b]
      hartwell lab race buddy                        up to 2 preemptions
      hartwell lab race race-refcount/lost-update    a race that is found
      hartwell lab race slab --strategy pct --budget 20k --harts 3
      hartwell lab race race-buddy/unlocked --save race.json and then:
      hartwell lab race --replay race.json                   the same once more
      hartwell lab race buddy --scenario "alloc 4096 | free 0 | alloc 8192"
    """
    if replay is not None:
        if spec is not None or scenario or save is not None:
            raise CommandError("--replay FILE says all that SPEC, --scenario and --save would")
        return _replay(replay, full, as_json)
    if spec is None:
        raise CommandError("expected a SPEC, or --replay FILE")
    from hartwell.cli.options import parse_count
    from hartwell.lab.race.exhaustive import Tally
    from hartwell.lab.race.report import hunt
    from hartwell.lab.race.search import STRATEGIES, Strategy
    from hartwell.lab.race.target import open_target

    from .options import counting

    if strategy not in STRATEGIES:
        raise CommandError(f"--strategy {strategy!r}: expected one of {', '.join(STRATEGIES)}")
    for name, value, least in (("--bound", bound, 0), ("--depth", depth, 1)):
        if value < least:
            raise CommandError(f"{name} {value}: expected {least} or more")
    count = parse_count(budget, "--budget")
    if count < 1:
        raise CommandError("--budget 0: expected at least 1")
    with open_target(spec, harts) as target, counting("interleavings") as counter:
        def progress(scenario: str, tally: Tally) -> None:
            counter(tally.executions + tally.cut, count, f" ({scenario})" if scenario else "")

        report = hunt(target, harts, Strategy(strategy, bound, depth, seed, count), scenario or None, progress)
    if report.found is not None and save is not None:
        report.found.replay.save(save)
    _show(spec, report, full, as_json)
    if report.found is not None and save is not None and not as_json:
        print(f"saved: hartwell lab race --replay {save}")
    return 0 if report.found is None else 1


def _show(spec: str, report: RaceReport, full: bool, as_json: bool) -> None:
    from hartwell.views.table import print_json, print_table

    if as_json:
        print_json({"spec": spec, "executions": report.executions,
                    "searched": [{"scenario": each.scenario, "executions": each.executions, "cut": each.cut,
                                  "steps": each.steps, "complete": each.complete} for each in report.searched],
                    "race": None if report.found is None else report.found.to_json()})
        return
    print_table(("before | CPU 0 | CPU 1 ...", "interleavings", "cut short", "accesses", "searched"),
                [(each.scenario or "(the program's own)", f"{each.executions:,}", f"{each.cut:,}", f"{each.steps:,}",
                  "all" if each.complete else "in part") for each in report.searched])
    print()
    if report.found is None:
        print(f"{spec}: no race in {report.executions:,} interleavings")
        return
    _listing(report.found, full)


def _replay(path: str, full: bool, as_json: bool) -> int:
    """Show a race once more."""
    from hartwell.lab.race.replay import load_replay
    from hartwell.lab.race.report import again
    from hartwell.lab.race.target import open_target
    from hartwell.views.table import print_json

    replay = load_replay(path)
    with open_target(replay.spec, replay.harts) as target:
        found = again(target, replay, path)
    if as_json:
        print_json({"spec": replay.spec, "race": found.to_json()})
    else:
        _listing(found, full)
    return 1


def _listing(found: Found, full: bool) -> None:
    import shutil

    print(f"{found.replay.spec}{', ' if found.replay.scenario else ''}{found.replay.scenario}: a race, with "
          f"{found.race.preemptions} preemption{'s' * (found.race.preemptions != 1)}")
    print()
    print(found.listing(max(shutil.get_terminal_size((120, 24)).columns, 100), full), end="")
