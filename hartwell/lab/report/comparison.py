"""A comparison of two reports as one HTML page, in the manner of `page`."""

from __future__ import annotations

from html import escape
from typing import Final

from hartwell.explain.html import document, legend, section, table
from hartwell.lab.cost.compare import Comparison, pairs_of
from hartwell.lab.cost.saved import Document

from .page import anchor, footer, style
from .plots import PAIR, Series, curves, histogram, ratios, series_legend
from .terminal import COMPARE_HEADS, amount, figure_rows, page_size, verdict

ORDERS: Final = (4, 8)
"""Orders whose unusable free space indices are drawn."""


def compare_page(found: Comparison) -> str:
    """The whole page of `hartwell lab compare`."""
    a, b = found.names
    title = f"{b} against {a}" if a != b else f"{a}: B against A"
    parts = [_workload(found, number, *pair) for number, pair in enumerate(pairs_of(found.a, found.b))]
    return document(title, [_heading(found, title), _findings(found), _figures(found), *parts, footer()], style())


def _heading(found: Comparison, title: str) -> str:
    a, b = found.a, found.b
    links = "".join(f'<li><a href="#{anchor(name)}">{escape(name)}</a></li>' for name, _, _ in pairs_of(a, b))
    kind = "worse" if found.worse else "better"
    return (f"<header><h1>{escape(title)}</h1>\n<p>A is {escape(found.names[0])}, B is {escape(found.names[1])}: "
            f"{escape(a['kind'])} allocators with {amount(a['memory'])}, under {a['operations']:,} operations of each "
            f"workload, seed {a['seed']}.<br>\nCycles of {escape(a['profile'])} "
            f'<span class="note">({escape(a["accuracy"])})</span>.</p>\n'
            f'<p class="{kind}">{escape(verdict(found))}.</p>\n'
            f"<nav><ul>{links}</ul></nav></header>")


def _findings(found: Comparison) -> str:
    if not found.findings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in found.findings)
    return section("What is wrong with them", f"<ul>{items}</ul>",
                   note="A workload ends where an oracle finds something: its figures say little.")


def _figures(found: Comparison) -> str:
    return section("All figures", ratios("ratios", found.figures), table(COMPARE_HEADS, figure_rows(found), left=3),
                   note="Bars end at twice or half as much, and at 100 points of a share. What is within the threshold "
                        "is grey.")


def _workload(found: Comparison, number: int, name: str, a: Document, b: Document) -> str:
    parts = []
    for order in ORDERS:
        both = [each["fragmentation"]["moments"]["unusable"] for each in (a, b)]
        if all(order < len(values) for values in both):
            parts.append(curves(f"w{number}-unusable-{order}", f"free memory unusable for {page_size(order)}",
                                [values[order] for values in both]))
    labels = [f"{letter}: {called}" for letter, called in zip("AB", found.names, strict=True)]
    parts.append(legend([(fill, label) for (fill, _), label in zip(PAIR, labels, strict=True)]))
    for kind in ("alloc", "dealloc"):
        series = [_series(each, kind, *looks) for each, *looks in zip((a, b), labels, ("o0", "o1"), ("c0", "c1"),
                                                                      strict=True)]
        shown = [each for each in series if each is not None]
        parts += [histogram(f"w{number}-{kind}", f"{kind} by cycles", shown), legend(series_legend(shown))]
    return f'<section id="{anchor(name)}"><h2>{escape(name)}</h2>\n' + "\n".join(filter(None, parts)) + "</section>"


def _series(workload: Document, kind: str, label: str, fill: str, stroke: str) -> Series | None:
    for each in workload["costs"]:
        cycles = each["cycles"]
        if each["calls"] == kind and cycles["max"]:
            bins = [(edge, count) for edge, count in cycles["histogram"]]
            return Series(label, fill, stroke, bins, cycles["median"], cycles["p99"], cycles["max"])
    return None
