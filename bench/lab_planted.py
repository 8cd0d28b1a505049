"""The table of planted bugs: each is hunted with the same budget, and so is everything that is sound.

    python -m bench lab-planted        the figures: a bug that is not found, and a false alarm, are missed requirements
    python -m bench.lab_planted        the tables, as Markdown; --write-docs writes them into docs/lab-planted.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from hartwell.lab.hunt import Catch, hunt, planted, sound

from .measure import ROOT, Figure, timed

PAGE = ROOT / "docs" / "lab-planted.md"
BEGIN, END = "<!-- results: made by python -m bench.lab_planted --write-docs -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Hunted:
    """A hunt, and how many seconds it took."""

    title: str
    catch: Catch
    seconds: float


def hunted() -> Iterator[Hunted]:
    """All hunts: for planted bugs, then, without a title, in what is sound."""
    for spec, title in [*planted(), *((spec, "") for spec in sound())]:
        catches: list[Catch] = []
        seconds = timed(lambda spec=spec, catches=catches: catches.append(hunt(spec)))  # type: ignore[misc]
        yield Hunted(title, catches[0], seconds)


def figures() -> list[Figure]:
    """Seconds for each hunt; a requirement is what it must find, or must not."""
    made: list[Figure] = []
    found = bugs = 0
    for each in hunted():
        catch = each.catch
        how = f"{catch.oracle} ({catch.step}), {_spent(catch)}" if catch.finding else f"nothing, {_spent(catch)}"
        wrong = bool(each.title) != (catch.finding is not None)
        bugs += bool(each.title)
        found += bool(each.title) and not wrong
        made.append(Figure(catch.spec, each.seconds, "s", None, note=f"{'WRONG: ' * wrong}{how}"))
    alarms = sum(figure.note.startswith("WRONG") for figure in made) - (bugs - found)
    return [*made, Figure("planted bugs found", found, "bugs", bugs, True), Figure("false alarms", alarms, "", 0)]


def _spent(catch: Catch) -> str:
    parts = []
    if catch.operations or not catch.interleavings:
        parts.append(f"{catch.operations:,} operations")
    if catch.interleavings:
        parts.append(f"{catch.interleavings:,} interleavings")
    return ", ".join(parts)


def tables(everything: list[Hunted]) -> Iterator[str]:
    """The lines of both tables, and the sum."""
    bugs, clean = ([each for each in everything if bool(each.title) is wanted] for wanted in (True, False))
    yield from ("| bug | what is wrong | found by | in | after | seconds |", "|---|---|---|---|---:|---:|")
    for each in bugs:
        catch = each.catch
        by = f"{catch.oracle}: {catch.finding.kind.value}" if catch.finding else "**not found**"
        yield f"| `{catch.spec}` | {each.title} | {by} | {catch.step} | {_spent(catch)} | {each.seconds:.1f} |"
    yield from ("", "| sound | findings | after | seconds |", "|---|---|---:|---:|")
    for each in clean:
        found = str(each.catch.finding) if each.catch.finding else "none"
        yield f"| `{each.catch.spec}` | {found} | {_spent(each.catch)} | {each.seconds:.1f} |"
    missed = sum(each.catch.finding is None for each in bugs)
    alarms = sum(each.catch.finding is not None for each in clean)
    yield from ("", f"{len(bugs) - missed} of {len(bugs)} planted bugs found; {alarms} false alarms in {len(clean)}.")


def main() -> int:
    """Print the tables, or write them; 1 if a bug was not found, or what is sound was complained of."""
    everything = list(hunted())
    lines = "\n".join(tables(everything))
    if sys.argv[1:] == ["--write-docs"]:
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{lines}\n\n{END}{rest.partition(END)[2]}", "utf-8")
    else:
        print(lines)
    return 1 if any(bool(each.title) != (each.catch.finding is not None) for each in everything) else 0


if __name__ == "__main__":
    sys.exit(main())
