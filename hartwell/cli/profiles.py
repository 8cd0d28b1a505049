"""`hartwell profiles`: the cores whose cycles can be counted, and all that is known of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from emulator.timing.profile_file import ProfileFile


def profiles(
    name: Annotated[str | None, typer.Argument(
        metavar="NAME|FILE", show_default=False,
        help="A profile's name, or the path of a TOML file with one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """List the timing profiles, or show every parameter of one: value, range, meaning, source.

    \b
    [b]Examples[/b]
      hartwell profiles                             the profiles that come with Hartwell
      hartwell profiles rocket                      every parameter of one of them
      hartwell profiles ./mine.toml                 of your own, which is checked
      hartwell profiles rocket --json               for programs
      hartwell boot hello --timing rocket           how to use one

    "uncalibrated" means that nobody has measured how far the cycles are from a real core's.
    """
    from emulator.timing.profile_file import names, read_profile
    from hartwell.views.table import print_json, print_table

    if name is None:
        found = [read_profile(each).profile for each in names()]
        if as_json:
            print_json({"profiles": [
                {"name": each.name, "title": each.title, "flat": each.flat, "error": each.error,
                 "accuracy": each.accuracy} for each in found]})
            return
        print_table(("profile", "mean error", "core"), [(each.name, each.accuracy, each.title) for each in found],
                    left=3)
        return
    file = read_profile(name)
    if as_json:
        print_json(as_dict(file))
    else:
        _show(file)


def as_dict(file: ProfileFile) -> dict[str, Any]:
    """A profile for programs; `expected` says in words what a parameter may be."""
    from emulator.timing.profile import PARAMETERS

    profile = file.profile
    return {
        "name": profile.name, "title": profile.title, "flat": profile.flat, "error": profile.error,
        "accuracy": profile.accuracy,
        "parameters": [] if profile.flat else [
            {"name": key, "value": value, "unit": PARAMETERS[key].unit, "expected": PARAMETERS[key].expected,
             "meaning": PARAMETERS[key].text, "source": file.sources[key]}
            for key, value in profile.values().items()],
    }


def _show(file: ProfileFile) -> None:
    from emulator.timing.parameter import shown
    from emulator.timing.profile import PARAMETERS, TABLES
    from hartwell.views.table import print_table

    profile = file.profile
    print(f"{profile.name} ({profile.accuracy})")
    if profile.title:
        print(profile.title)
    if profile.flat:
        return
    values = profile.values()
    for table, described in TABLES.items():
        print(f"\n[{table}] {described.text}\n")
        keys = [key for key in PARAMETERS if key.startswith(f"{table}.")]
        print_table(("key", "value", "unit", "may be", "meaning", "source"), [
            (key.partition(".")[2], shown(values[key]), PARAMETERS[key].unit, PARAMETERS[key].expected,
             PARAMETERS[key].text, file.sources[key]) for key in keys], left=6, prose=2)
