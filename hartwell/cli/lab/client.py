"""`hartwell lab client`: guest code that uses an allocator, with every access to the allocator's memory judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hartwell.cli.status import CommandError

from .options import AsJson

if TYPE_CHECKING:
    from hartwell.lab.sanitizer.client import Client, ClientOutcome
    from hartwell.lab.subject.guest import GuestSubject

DEFAULT = "slab"


def client(
    client: Annotated[str, typer.Argument(
        metavar="CLIENT.elf", show_default=False,
        help="The client, made with hartwell/client.h; client-bugs is one that comes along.")],
    heap_allocator: Annotated[str | None, typer.Option(
        "--heap-allocator", metavar="SPEC", show_default=DEFAULT,
        help="The heap allocator that it uses: a name (hartwell lab list), or FILE.elf.")] = None,
    frame_allocator: Annotated[str | None, typer.Option(
        "--frame-allocator", metavar="SPEC", help="Likewise, but an allocator of frames.")] = None,
    scenario: Annotated[list[str] | None, typer.Option(
        "--scenario", metavar="NAME", show_default="all",
        help="What it shall do; can be given several times.")] = None,
    as_json: AsJson = False,
) -> int:
    """Run guest code that uses an allocator, and report the first access or call of each scenario that is wrong.

    Use after free, out of bounds, double free and invalid free are caught at the instruction, before it runs; the
    report says where that is, who allocated the block, and who freed it. The exit code is 1 if anything is wrong.

    \b
    [b]Examples[/b]
      hartwell lab client client-bugs                     all its scenarios
      hartwell lab client client-bugs --scenario late_store
      hartwell lab client mine.elf --heap-allocator my-allocator.elf
    """
    from hartwell.lab.sanitizer.client import run_client
    from hartwell.lab.subject import SubjectKind, load_subject
    from hartwell.lab.subject.guest import GuestSubject

    if heap_allocator is not None and frame_allocator is not None:
        raise CommandError("both --heap-allocator and --frame-allocator: a client uses one")
    spec = frame_allocator or heap_allocator or DEFAULT
    kind = SubjectKind.FRAME if frame_allocator is not None else SubjectKind.HEAP
    with load_subject(spec) as subject:
        if subject.kind is not kind:
            raise CommandError(f"{spec} is a {subject.kind.value} allocator: give it to "
                               f"--{subject.kind.value}-allocator")
        if not isinstance(subject, GuestSubject):
            raise CommandError(f"{spec} is written in Python: expected guest code, which guest code can call")
        loaded = _client(subject, client)
        outcomes = [run_client(loaded, name) for name in scenario or loaded.scenarios]
    _show(outcomes, client, spec, as_json)
    return 1 if any(outcome.finding for outcome in outcomes) else 0


def _client(subject: GuestSubject, name: str) -> Client:
    """The client of that name, or in that file."""
    from pathlib import Path

    from emulator.errors import EmulatorError
    from emulator.loader import read_file
    from hartwell.lab.sanitizer.client import Client
    from hartwell.lab.subject import catalogue

    comes_along = catalogue.find(name) if name.startswith("client-") else None
    if comes_along is not None:
        return Client(subject, comes_along.read_bytes(), name)
    try:
        return Client(subject, read_file(name, "client"), Path(name).name)
    except EmulatorError as why:
        raise CommandError(str(why)) from None


def _show(outcomes: list[ClientOutcome], client: str, spec: str, as_json: bool) -> None:
    from hartwell.views.table import print_json, print_table

    if as_json:
        print_json({"client": client, "allocator": spec, "scenarios": [
            {"scenario": each.scenario, "value": each.value, "calls": each.calls,
             "finding": None if each.finding is None else each.finding.to_json()} for each in outcomes]})
        return
    for each in outcomes:
        if each.finding is not None:
            print(each.finding.report or each.finding)
    print_table(("scenario", "calls", "result"), [
        (each.scenario, f"{each.calls:,}", f"returned {each.value:#x}" if each.finding is None else
         each.finding.kind.value) for each in outcomes], prose=1)
