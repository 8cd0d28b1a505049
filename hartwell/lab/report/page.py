"""Cost and fragmentation as one HTML page: drawings, then tables with the same numbers. It needs nothing else.

No script is in it, and nothing is loaded from anywhere; colours follow the reader's choice of light or dark. Equal
reports make equal pages, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Final

from hartwell import __version__
from hartwell.explain.html import document, legend, section, table
from hartwell.lab.cost.measure import METRICS, Report, Workloaded
from hartwell.lab.cost.worst import Worst

from .plots import histogram, index_legend, series_legend, series_of, timeline
from .terminal import COST_HEADS, amount, cost_rows, memory_heads, memory_row, thousandths, worst_text

STYLE: Final = "lab.css"
LOAD: Final = "Blocks are written to between the calls; only the calls themselves are counted."


def style() -> str:
    """What the lab's pages add to the style sheet."""
    return (files("hartwell.lab.report") / STYLE).read_text(encoding="utf-8")


def cost_page(report: Report) -> str:
    """The whole page of `hartwell lab cost`."""
    title = f"What {report.subject} costs"
    return document(title, [_heading(report, title), _findings(report), _overview(report),
                            *(_workload(report, number, each) for number, each in enumerate(report.workloads)),
                            _reading(), footer()], style())


def _heading(report: Report, title: str) -> str:
    links = "".join(f'<li><a href="#{anchor(each.workload)}">{escape(each.workload)}</a></li>'
                    for each in report.workloads)
    harts = f"{report.harts} hart{'s' * (report.harts > 1)}"
    return (f"<header><h1>{escape(title)}</h1>\n<p>A {report.kind} allocator with {amount(report.memory)}, {harts}, "
            f"under {report.count:,} operations of each workload, seed {report.seed}.<br>\nCycles of "
            f'{escape(report.profile)} <span class="note">({escape(report.accuracy)})</span>. {LOAD}</p>\n'
            f"<nav><ul>{links}</ul></nav></header>")


def _findings(report: Report) -> str:
    if not report.findings:
        return ""
    items = "".join(f"<li><b>{escape(each.workload)}</b>: {escape(str(finding))}</li>"
                    for each in report.workloads for finding in each.findings)
    return section("What is wrong with it", f"<ul>{items}</ul>",
                   note="A workload ends where an oracle finds something; what is said of it here is said of what was "
                        "done until then.")


def _overview(report: Report) -> str:
    rows = [row for each in report.workloads for row in cost_rows(each)]
    return section("All workloads", table(COST_HEADS, rows, left=2), "<h3>Memory</h3>",
                   table(memory_heads(report), [memory_row(report, each) for each in report.workloads]))


def _workload(report: Report, number: int, each: Workloaded) -> str:
    name = f"w{number}"
    series = series_of(each.calls)
    parts = [facts(each), timeline(f"{name}-time", each, report.memory), legend(index_legend(each.fragmentation)),
             histogram(f"{name}-cost", "calls by cycles", series), legend(series_legend(series)), _details(each),
             *(_worst(worst) for worst in each.worst)]
    return (f'<section id="{anchor(each.workload)}"><h2>{escape(each.workload)}</h2>\n'
            + "\n".join(part for part in parts if part) + "</section>")


def facts(each: Workloaded) -> str:
    """A line with what matters most."""
    said = [f"{each.number:,} calls in {each.time:,} {each.unit}"]
    if each.throughput:
        said.append(f"{each.throughput:,.0f} calls in a million cycles")
    said.append(f"up to {amount(each.peak)} allocated")
    waste = each.waste
    if waste is not None:
        more = "" if waste.complete else " at most"
        said.append(f"{amount(waste.taken)} taken then, {thousandths(waste.share)}{more} of it waste; the largest "
                    f"block still to be had {amount(waste.largest)}")
    return f'<p class="facts">{escape("; ".join(said))}</p>'


def _details(each: Workloaded) -> str:
    """All percentiles of all metrics, folded away."""
    heads = ("calls", "metric", "number", "min", "median", "p90", "p99", "max", "mean", "total")
    rows = []
    for calls in each.calls:
        for metric in METRICS:
            found = getattr(calls, metric)
            rows.append((calls.name, metric, f"{found.count:,}", f"{found.least:,}", f"{found.median:,}",
                         f"{found.p90:,}", f"{found.p99:,}", f"{found.most:,}", f"{found.mean:,.2f}",
                         f"{found.total:,}"))
    return f"<details><summary>All percentiles</summary>{table(heads, rows, left=2)}</details>"


def _worst(worst: Worst) -> str:
    said = escape(worst_text(worst))
    if worst.sequence is None:
        before = "\n".join((*worst.before, worst.text))
        return (f"<details><summary>{said}</summary><p>The operations before it:</p><pre>{escape(before)}</pre>"
                "</details>")
    number = len(worst.sequence)
    lines = "\n".join(worst.told())
    return (f"<details><summary>{said}</summary><p>The shortest way there that was found, {number:,} "
            f"operation{'s' * (number != 1)} on a pristine allocator:</p><pre>{escape(lines)}</pre></details>")


def _reading() -> str:
    return section("How to read it", "".join(f"<p>{text}</p>" for text in _texts()))


def _texts() -> Iterator[str]:
    yield ("<b>Virtual time</b> is the cycles that the calls have taken so far. Drawings over it have a column for "
           "each of equally long parts.")
    yield ("<b>Free</b> is a page that no allocated block has a byte in, seen from outside: what the allocator needs "
           "for itself counts as free. Free pages are counted as a buddy system would keep them: as aligned blocks of "
           "2<sup>order</sup> pages, all merged that can be.")
    yield ("<b>Unusable</b> is the share of free memory in blocks too small for a request (Linux's unusable free space "
           "index). The <b>fragmentation index</b> says why a request would fail: near 0 because memory is out, near "
           "100 % because it is in pieces; where it would not fail there is no curve. <b>Scattered</b> is the share of "
           "free pages that is not in the longest run of them.")
    yield ("<b>Taken</b> is what can no longer be had at the peak, measured by asking a copy of the allocator for all "
           "it has left; <b>waste</b> is the share of it that nobody asked for: rounding, books, and pieces too small "
           "to be given out. <b>Utilisation</b> of a heap is the share of allocated bytes in pages that have any.")


def anchor(name: str) -> str:
    """A name as an anchor in a page."""
    return "workload-" + "".join(c if c.isalnum() or c == "-" else "-" for c in name)


def footer() -> str:
    """The last line."""
    return (f'<footer class="note"><p>Made by Hartwell {escape(__version__)}. The same command makes the same page, '
            "byte for byte.</p></footer>")
