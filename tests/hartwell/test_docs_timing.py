"""docs/timing.md describes every parameter, stall and event as the code does.

Its tables are made from the descriptions in the code; `python tests/hartwell/test_docs_timing.py` writes
them anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/timing.md"
MADE = re.compile(r"^(<!-- (\w+): made by tests/hartwell/test_docs_timing.py -->\n).*?^(<!-- end -->)$", re.M | re.S)


def parameters() -> str:
    """A table for each table of a profile."""
    from emulator.timing.profile import PARAMETERS, TABLES

    lines = []
    for table, described in TABLES.items():
        lines += ["", f"### {table}: {described.text}", "", "| key | may be | unit | meaning |", "|---|---|---|---|"]
        lines += [f"| `{name.split('.')[1]}` | {each.expected} | {each.unit} | {each.text} |"
                  for name, each in PARAMETERS.items() if name.startswith(f"{table}.")]
    return "\n".join([*lines, "", ""])


def stalls() -> str:
    """The bars."""
    from emulator.timing.events import Stall
    from hartwell.views.stats import STALL_NAMES

    rows = [f"| {STALL_NAMES[stall]} | {stall.text} | `{stall.name.lower()}` |" for stall in Stall]
    return "\n".join(["", "| bar | cycles lost to | |", "|---|---|---|", *rows, "", ""])


def events() -> str:
    """The events, those that are shown first."""
    from emulator.timing.events import Event
    from hartwell.views.stats import MISSES

    shown = {event: (name, f"of {noun}" if noun else "") for event, name, _, noun in MISSES}
    rest = {event: ("", "") for event in Event if event not in shown and event is not Event.NONE}
    rows = [f"| {name} | {event.text} | {share} | `{event.name.lower()}` |"
            for event, (name, share) in {**shown, **rest}.items()]
    return "\n".join(["", "| event | counts | share | |", "|---|---|---|---|", *rows, "", ""])


TABLES: Mapping[str, Callable[[], str]] = {"parameters": parameters, "stalls": stalls, "events": events}


def made(page: str) -> str:
    """The page with what the code says."""
    return MADE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page)


def test_the_page_describes_every_parameter_stall_and_event_as_the_code_does() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [found[2] for found in MADE.finditer(page)] == list(TABLES)
    assert made(page) == page, "python tests/hartwell/test_docs_timing.py writes it anew"


def test_the_page_names_every_rule_between_parameters() -> None:
    from emulator.timing.layout import MAX_LINES
    from emulator.timing.profile import ORDER

    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    for least, most, _ in ORDER:
        assert re.search(f"`{most}` (is )?at least `{least}`", page), (least, most)
    assert f"at most {MAX_LINES} lines" in page


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
