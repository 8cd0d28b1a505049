"""Comparing: what is worse, by how much, and the status that CI sees."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from hartwell.cli.lab.compare import compare as compare_command, parse_threshold
from hartwell.cli.lab.cost import cost as cost_command
from hartwell.cli.status import CommandError
from hartwell.lab.cost import measure
from hartwell.lab.cost.compare import METRICS, Comparison, compare
from hartwell.lab.cost.saved import ReportError, load_document
from hartwell.lab.report.comparison import compare_page
from hartwell.lab.report.terminal import compare_lines
from hartwell.lab.subject import load_subject

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    with load_subject("buddy") as subject:
        return measure(subject, ["random", "fragmentation"], 600, 2).to_json()


def changed(document: Document, **shares: float) -> Document:
    """A copy whose costs are scaled (cycles=1.06), or whose shares are moved by thousandths (waste=60)."""
    other = copy.deepcopy(document)
    for workload in other["workloads"]:
        for calls in workload["costs"]:
            for metric in {"cycles", "instructions"} & shares.keys():
                for figure in ("total", "median", "p99", "max"):
                    calls[metric][figure] *= shares[metric]
        if "waste" in shares:
            workload["waste"]["share"] += shares["waste"]
    return other


def verdicts(found: Comparison) -> dict[tuple[str, str], str]:
    return {(figure.workload, figure.metric.name): figure.verdict for figure in found.figures}


def test_the_same_is_no_worse(document: Document) -> None:
    found = compare(document, document, [each.name for each in METRICS], 0.0)
    assert found.ok and not found.better and len(found.figures) == 2 * len(METRICS)
    assert all(figure.worse == 0 for figure in found.figures)


@pytest.mark.parametrize(("factor", "threshold", "verdict"), [
    (1.06, 0.05, "worse"), (1.06, 0.10, ""), (0.9, 0.05, "better"), (0.97, 0.05, ""), (1.05, 0.05, "")])
def test_costs_are_judged_by_their_ratio(document: Document, factor: float, threshold: float, verdict: str) -> None:
    found = compare(document, changed(document, cycles=factor), threshold=threshold)
    for (_, name), said in verdicts(found).items():
        assert said == (verdict if name in ("cycles", "alloc-p99", "dealloc-p99") else "")
    assert found.ok == (verdict != "worse")


def test_shares_are_judged_by_points(document: Document) -> None:
    found = compare(document, changed(document, waste=60), ["waste"], 0.05)
    assert [(figure.a, figure.b, figure.verdict) for figure in found.figures] == [(0.0, 0.06, "worse")] * 2
    assert compare(document, changed(document, waste=50), ["waste"], 0.05).ok
    assert compare(changed(document, waste=60), document, ["waste"], 0.05).better[0].worse == pytest.approx(-0.06)


def test_what_more_is_better_of_is_judged_the_other_way(document: Document) -> None:
    other = copy.deepcopy(document)
    for workload in other["workloads"]:
        workload["fragmentation"]["utilisation"]["mean"] -= 100
    assert len(compare(document, other, ["utilisation"]).worse) == 2
    assert len(compare(other, document, ["utilisation"]).better) == 2


def test_the_worst_is_told_first(document: Document) -> None:
    other = changed(document, cycles=1.5, instructions=1.2)
    found = compare(document, other)
    assert [figure.worse for figure in found.worse] == sorted((figure.worse for figure in found.worse), reverse=True)
    lines = compare_lines(found)
    assert lines[-1] == "B is worse in 8 and better in 0 of 16 figures, by more than 5 %"
    assert "+50.0 %" in "".join(line for line in lines if line.startswith("worse: "))


def test_findings_are_no_success(document: Document) -> None:
    other = copy.deepcopy(document)
    other["workloads"][0]["findings"] = [{"kind": "overlap", "what": "two blocks of the same page"}]
    found = compare(document, other)
    assert not found.ok and found.findings == ("buddy, random: overlap: two blocks of the same page",)


def test_two_of_the_same_name_are_told_apart(document: Document) -> None:
    old, new = ({**document, "subject": "mine.elf", "spec": f"{folder}/mine.elf"} for folder in ("old", "new"))
    found = compare(old, new)
    lines = compare_lines(found)
    assert lines[0].startswith("A          old/mine.elf (") and lines[1].startswith("B          new/mine.elf (")
    assert "<h1>new/mine.elf against old/mine.elf</h1>" in compare_page(found)
    assert "<h1>old/mine.elf: B against A</h1>" in compare_page(compare(old, old))
    with pytest.raises(ReportError, match="old/mine.elf was measured with kind frame, new/mine.elf with heap"):
        compare(old, {**new, "kind": "heap"})


def test_what_cannot_be_compared_is_refused(document: Document) -> None:
    for name, value in (("seed", 3), ("profile", "u74"), ("kind", "heap"), ("memory", 4096)):
        with pytest.raises(ReportError, match=name):
            compare(document, {**document, name: value})
    with pytest.raises(ReportError, match="no workload in common"):
        compare(document, {**document, "workloads": []})
    with pytest.raises(ReportError, match="expected one of cycles, instructions"):
        compare(document, document, ["speed"])
    broken = copy.deepcopy(document)
    del broken["workloads"][0]["costs"][0]["cycles"]
    with pytest.raises(ReportError, match="damaged"):
        compare(document, broken)


@pytest.mark.parametrize(("text", "expected"), [
    ("", "is empty"), ("{", "no JSON"), ("[1]", "no report of costs"),
    ('{"format": "hartwell-lab-cost", "version": 7}', "version 7, expected 1"),
    ('{"format": "hartwell-lab-cost", "version": 1, "subject": 3}', "subject is 3, expected a text")])
def test_files_that_hold_no_report(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=expected):
        load_document(str(path))
    with pytest.raises(ReportError, match=r"nowhere\.json"):
        load_document(str(tmp_path / "nowhere.json"))


def test_the_page_is_the_same_for_the_same_and_json_has_all_figures(document: Document) -> None:
    found = compare(document, changed(document, cycles=1.2))
    page = compare_page(found)
    assert page == compare_page(compare(document, changed(document, cycles=1.2)))
    assert "<script" not in page and "http" not in page and page.count("<svg") == 1 + 2 * 4
    told = json.loads(json.dumps(found.to_json()))
    assert (told["format"], told["worse"], told["ok"], len(told["figures"])) == ("hartwell-lab-compare", 6, False, 16)
    assert {figure["verdict"] for figure in told["figures"]} == {"worse", ""}


def test_a_saved_report_and_the_same_allocator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in CI: the load and the machine are those of the report; the status is that of the verdict."""
    cost_command("slab", ["lifo"], "300", 4, "48M", 1, "off", None, True)
    saved, before, page = capsys.readouterr().out, tmp_path / "before.json", tmp_path / "page.html"
    before.write_text(saved)
    compare_command(str(before), "slab", "0")
    assert capsys.readouterr().out.splitlines()[-1] == (
        "B is worse in 0 and better in 0 of 9 figures, by more than 0 %")
    cheaper = json.loads(saved)
    for calls in cheaper["workloads"][0]["costs"]:
        calls["cycles"]["total"] //= 2
    before.write_text(json.dumps(cheaper))
    with pytest.raises(typer.Exit) as status:
        compare_command(str(before), "slab", metric=["cycles"], html=str(page))
    assert status.value.exit_code == 1 and "worse" in capsys.readouterr().out
    assert page.read_text().startswith("<!DOCTYPE html>")
    compare_command(str(before), str(before), metric=["cycles"])


@pytest.mark.parametrize("text", ["many", "", "-5%", "5 %%", "nan"])
def test_thresholds_that_are_none(text: str) -> None:
    with pytest.raises(CommandError, match="expected a share, such as 5% or 0.05"):
        parse_threshold(text)


def test_thresholds() -> None:
    assert [parse_threshold(text) for text in ("5%", "0.05", "2.5 %", "0")] == [0.05, 0.05, 0.025, 0.0]
