"""docs/lab-cost.md shows tables as the commands print them, the metrics that there are, and what JSON has.

`python tests/hartwell/lab/cost/test_docs.py` writes those parts of the page anew.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs/lab-cost.md"
CONSOLE = re.compile(r"^```console\n\$ hartwell (.*?)\n(.*?)^```$", re.M | re.S)
MADE = re.compile(r"^(<!-- (\w+): made by tests/hartwell/lab/cost/test_docs.py -->\n).*?^(<!-- end -->)$", re.M | re.S)
PYCON = re.compile(r"^```pycon\n(.*?)^```$", re.M | re.S)


def printed(arguments: str) -> str:
    """What a command prints, in this process."""
    from hartwell.cli.app import make

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        make()(arguments.split(), prog_name="hartwell", standalone_mode=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def metrics() -> str:
    """The table of metrics."""
    from hartwell.lab.cost.compare import METRICS

    how = {each: ("points" if each.share else "ratio") + (", more is better" if each.more else "") for each in METRICS}
    rows = [f"| `{each.name}` | {each.text} | {how[each]} | {'yes' if each.usual else ''} |" for each in METRICS]
    return "\n".join(["", "| name | what it is | judged by | usual |", "|---|---|---|---|", *rows, "", ""])


def schema() -> str:
    """What a report has, with an example of each."""
    from hartwell.lab.cost import measure
    from hartwell.lab.subject import load_subject

    with load_subject("buddy") as subject:
        document = measure(subject, ["lifo"], 60, 1).to_json()
    lines: list[str] = []
    outline("", document, lines)
    return "\n".join(["", *(f"    {line}" for line in lines), "", ""])


def outline(indent: str, value: dict[str, Any], lines: list[str]) -> None:
    """Keys and kinds of values; of lists the first element. What was outlined already is only named."""
    for name, each in value.items():
        if isinstance(each, dict):
            lines.append(f"{indent}{name}")
            outline(indent + "    ", each, lines)
        elif isinstance(each, list) and each and isinstance(each[0], dict):
            lines.append(f"{indent}{name}[]")
            outline(indent + "    ", each[0], lines)
        else:
            lines.append(f"{indent}{name}: {kind(each)}")


def kind(value: object) -> str:
    """A kind of value in a word."""
    if isinstance(value, list):
        return f"list of {kind(value[0])}" if value else "list"
    return {bool: "true or false", int: "integer", float: "number", str: "text", type(None): "null"}[type(value)]


def parts(page: str) -> str:
    """The page with what the code says."""
    return MADE.sub(lambda found: found[1] + {"metrics": metrics, "schema": schema}[found[2]]() + found[3], page)


def made(page: str) -> str:
    """The page with that and what the commands print."""
    return CONSOLE.sub(lambda found: f"```console\n$ hartwell {found[1]}\n{printed(found[1])}```", parts(page))


def shape(text: str) -> list[str]:
    """The tables of an output without their figures, which a change of the allocators changes."""
    lines = text.splitlines()
    last = next((n for n, line in enumerate(lines) if re.match(r"worse: |[a-z-]+: most ", line)), len(lines))
    found = [re.sub(r"[-+]?[\d.,]+( [KMG]iB)?|better|worse", "N", line.rstrip()) for line in lines[:last]]
    return [re.sub(r"( N)?$", "", " ".join(line.split())) for line in found]


def test_the_page_shows_what_the_commands_print() -> None:
    shown = CONSOLE.findall(PAGE.read_text(encoding="utf-8"))
    assert [command.split()[1] for command, _ in shown] == ["cost", "compare"]
    for command, output in shown:
        assert shape(printed(command)) == shape(output), "python tests/hartwell/lab/cost/test_docs.py writes it anew"


def test_the_page_has_all_metrics_and_all_of_json() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [found[2] for found in MADE.finditer(page)] == ["metrics", "schema"]
    assert parts(page) == page, "python tests/hartwell/lab/cost/test_docs.py writes it anew"


def test_the_session_on_the_page() -> None:
    text = "\n".join(PYCON.findall(PAGE.read_text(encoding="utf-8")))
    names: dict[str, Any] = {}
    runner, report = doctest.DocTestRunner(verbose=False), list[str]()
    runner.run(doctest.DocTestParser().get_doctest(text, names, str(PAGE), None, 0), out=report.append)
    assert not report, "".join(report)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
