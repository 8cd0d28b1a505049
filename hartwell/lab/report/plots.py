"""The drawings of the lab's pages.

        timeline    over virtual time, one below the other: bytes allocated, the frame map (address x time), free blocks
                    (order x time), the two indices by order
        histogram   what calls cost: a column for each bin, both axes logarithmic
        curves      a curve of two reports, over each other
        ratios      how much worse or better each figure of one is than the other's
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from hartwell.explain.svg import Svg, brief, number, short, text_width, ticks
from hartwell.lab.cost.compare import Figure
from hartwell.lab.cost.distribution import bin_end
from hartwell.lab.cost.fragmentation import Fragmentation, mean
from hartwell.lab.cost.measure import Calls, Workloaded

from .png import address, shades

WIDTH: Final = 1080
GUTTER: Final = 110
"""Pixels for what the rows are."""
RIGHT: Final = 16
PLOT: Final = WIDTH - GUTTER - RIGHT
GAP: Final = 34
"""Between two panels: the lower one's title is there."""
LIVE, MAP, ORDER, CURVE = 70, 240, 15, 130
"""Heights: of the bytes allocated, of the map, of an order's row, of curves."""
BLUE, RUST = (0x3B, 0x7D, 0xD8), (0xD0, 0x6A, 0x2C)
"""What is allocated, and what is free; in the middle between the style's light and dark colours."""
CURVES: Final = (2, 4, 6, 8, 10)
"""Orders whose indices are drawn."""
KINDS: Final = (("alloc", "alloc", "o0", "c0"), ("dealloc", "dealloc", "o1", "c1"),
                ("none", "alloc that found no memory", "o3", "c3"))
"""Kinds of calls: what they are called, areas, and lines."""

Points = Sequence[tuple[float, float]]


def timeline(name: str, each: Workloaded, memory: int) -> str:
    """Everything that has a virtual time."""
    found = each.fragmentation
    rows = found.orders * ORDER
    failing = any(value >= 0 for order in _curves(found) for value in found.index(order))
    height = 4 * GAP + LIVE + MAP + rows + CURVE + (GAP + CURVE if failing else 0) + 28
    svg = Svg(name, WIDTH, height, f"{each.workload} over virtual time",
              f"Up to {each.peak:,} of {memory:,} bytes are allocated. Free memory is unusable for blocks of "
              + ", ".join(f"{brief(4096 << order)} by {mean(found.unusable(order)) / 10:.1f} %"
                          for order in _curves(found)) + " in the mean. The tables have the same numbers.")
    y = float(GAP)
    _live(svg, y, each, found)
    y += LIVE + GAP
    _map(svg, y, found, memory)
    y += MAP + GAP
    _orders(svg, y, found)
    y += rows + GAP
    _indices(svg, y, "unusable free space index", found, [found.unusable(order) for order in _curves(found)])
    y += CURVE
    if failing:
        y += GAP
        _indices(svg, y, "fragmentation index, where a request would fail", found,
                 [found.index(order) for order in _curves(found)])
        y += CURVE
    _axis(svg, y, each.time, each.unit)
    return str(svg)


def _curves(found: Fragmentation) -> list[int]:
    return [order for order in CURVES if order < found.orders]


def _panel(svg: Svg, y: float, height: float, title: str, labels: Iterable[tuple[float, str]]) -> None:
    """The ground of a panel, its title above it, and `labels` at heights beside it."""
    svg.text(GUTTER, y - 8, title, "panel")
    svg.rect(GUTTER, y, PLOT, height, "empty")
    for at, text in labels:
        svg.text(GUTTER - 8, y + at + 4, text, "label", "end")


def _axis(svg: Svg, y: float, end: int, unit: str) -> None:
    """The axis of virtual time."""
    for tick in ticks(max(end, 1)):
        x = GUTTER + PLOT * tick / max(end, 1)
        label = short(tick)
        svg.line(x, y, x, y + 4, "grid")
        svg.text(min(x, WIDTH - text_width(label) / 2), y + 18, label, "label", "middle")
    svg.text(GUTTER - 8, y + 18, unit, "label", "end")


def _x(moment: int, moments: int) -> float:
    """Where a moment is: they are the ends of parts of equal length."""
    return GUTTER + PLOT * (moment + 1) / moments


def _line(points: Points) -> str:
    """A path through points."""
    return "".join(f"{'L' if n else 'M'}{number(x)} {number(y)}" for n, (x, y) in enumerate(points))


def _live(svg: Svg, y: float, each: Workloaded, found: Fragmentation) -> None:
    most = max(each.peak, 1)
    _panel(svg, y, LIVE, f"allocated, up to {brief(each.peak)}", ((4, brief(most)), (LIVE, "0")))
    moments = len(found.live)
    points = [(_x(n, moments), y + LIVE - LIVE * max(live, 0) / most) for n, live in enumerate(found.live)]
    whole = [(float(GUTTER), y + LIVE), *points, (_x(moments - 1, moments), y + LIVE)]
    svg.path(_line(whole) + "z", "o0 area")
    svg.path(_line(points), "line c0")


def _map(svg: Svg, y: float, found: Fragmentation, memory: int) -> None:
    labels = [(MAP * tick / memory, brief(tick)) for tick in _sizes(memory)]
    _panel(svg, y, MAP, "map: what is allocated, by offset in the allocator's memory", labels)
    svg.image(GUTTER, y, PLOT, MAP, address(shades(found.map, BLUE)),
              "Each column is a moment, each row a part of the memory: the darker, the more of it is allocated")


def _sizes(memory: int) -> list[int]:
    """Round sizes from 0 to `memory`, five at most."""
    step = 1 << max((memory // 4).bit_length() - 1, 12)
    return list(range(0, memory + 1, step))[:6]


def _orders(svg: Svg, y: float, found: Fragmentation) -> None:
    """A row for each order, the highest above: the more free blocks, the darker, by the logarithm of their number."""
    counts = np.array(found.free, dtype=np.int64).T[::-1]
    most = int(counts.max(initial=1))
    labels = [((row + 0.5) * ORDER - 1, f"{found.orders - 1 - row} · {brief(4096 << found.orders - 1 - row)}")
              for row in range(found.orders)]
    _panel(svg, y, found.orders * ORDER, f"free blocks by order, up to {most:,}", labels)
    scale = np.array([_log(value) for value in range(most + 1)])
    values = np.ceil(255 * scale[counts] / max(scale[-1], 1)).astype(np.uint8)
    svg.image(GUTTER, y, PLOT, found.orders * ORDER, address(shades(values, RUST)),
              "Each column is a moment, each row an order: the darker, the more free blocks of it there are")


def _log(value: int) -> int:
    """256 times the logarithm to base 2 of 1 + `value`, in whole numbers: linear between powers of two."""
    power = (value + 1).bit_length() - 1
    return 256 * power + (256 * (value + 1) >> power) - 256


def _indices(svg: Svg, y: float, title: str, found: Fragmentation, curves: Sequence[Sequence[int]]) -> None:
    """A curve for each order, between 0 and 1000; what is below 0 is left out."""
    _panel(svg, y, CURVE, title, ((4, "100 %"), (CURVE / 2, "50 %"), (CURVE, "0")))
    svg.line(GUTTER, y + CURVE / 2, GUTTER + PLOT, y + CURVE / 2, "grid")
    for colour, values in enumerate(curves):
        data = ""
        before = False
        for n, value in enumerate(values):
            if value >= 0:
                at = f"{number(_x(n, len(values)))} {number(y + CURVE - CURVE * value / 1000)}"
                data += f"{'L' if before else 'M'}{at}" + ("" if before else "h.1")  # a single point is a dot
            before = value >= 0
        svg.path(data, f"line c{colour}")


def index_legend(found: Fragmentation) -> list[tuple[str, str]]:
    """What the curves' colours mean."""
    return [(f"o{n}", f"order {order} ({brief(4096 << order)})") for n, order in enumerate(_curves(found))]


# --- costs -------------------------------------------------------------------------------------------------------

HISTOGRAM: Final = 190


@dataclass(frozen=True)
class Series:
    """One of the distributions of a histogram: its label, the classes of its area and its line, and what it holds."""

    label: str
    fill: str
    stroke: str
    bins: Sequence[tuple[int, int]]
    median: int
    p99: int
    most: int


def series_of(calls: Sequence[Calls]) -> list[Series]:
    """The cycles of each kind of calls; none where no cycles were counted."""
    found = {each.name: each.cycles for each in calls if each.cycles.most}
    return [Series(label, fill, stroke, found[kind].bins, found[kind].median, found[kind].p99, found[kind].most)
            for kind, label, fill, stroke in KINDS if kind in found]


def histogram(name: str, title: str, shown: Sequence[Series]) -> str:
    """How many calls took how many cycles, each series over the others; nothing where there are none."""
    if not shown:
        return ""
    low = max(min(each.bins[0][0] for each in shown), 1)
    high = max(bin_end(each.bins[-1][0]) for each in shown)
    most = max(count for each in shown for _, count in each.bins)
    svg = Svg(name, WIDTH, HISTOGRAM + GAP + 28, title, "; ".join(
        f"{each.label}: {sum(count for _, count in each.bins):,} calls, median {each.median:,} cycles, 99 % at most "
        f"{each.p99:,}, all at most {each.most:,}" for each in shown))
    _panel(svg, GAP, HISTOGRAM, f"{title}, both axes logarithmic",
           [(HISTOGRAM - HISTOGRAM * _part(tick, 0.5, most), f"{tick:,}") for tick in _decades(1, most)
            if str(tick).startswith("1")])

    def x(value: float) -> float:
        return GUTTER + PLOT * min(max(_part(value, low, high), 0.0), 1.0)

    for tick in _decades(low, high):
        svg.line(x(tick), GAP, x(tick), GAP + HISTOGRAM + 4, "grid")
        svg.text(x(tick), GAP + HISTOGRAM + 18, f"{tick:,}", "label", "middle")
    svg.text(GUTTER - 8, GAP + HISTOGRAM + 18, "cycles", "label", "end")
    for each in shown:
        outline = _outline(each.bins, x, most)
        svg.path(outline + "z", f"{each.fill} area")
        svg.path(outline, f"line {each.stroke}")
    for each in shown:
        for value, text in ((each.median, "median"), (each.p99, "99 %")):
            svg.line(x(value), GAP, x(value), GAP + HISTOGRAM, f"line thin dash {each.stroke}")
            svg.rect(x(value) - 2, GAP - 2, 4, 4, each.fill, f"{each.label}: {text} {value:,}")
    return str(svg)


def _outline(bins: Sequence[tuple[int, int]], x: Callable[[float], float], most: int) -> str:
    """The bins' columns as one line, from the ground to the ground."""
    base = float(GAP + HISTOGRAM)
    points: list[tuple[float, float]] = []
    end = -1
    for edge, count in bins:
        if end >= 0 and edge != end:
            points += [(x(end), base), (x(edge), base)]
        elif end < 0:
            points.append((x(edge), base))
        top = base - HISTOGRAM * _part(count, 0.5, most)
        end = bin_end(edge)
        points += [(x(edge), top), (x(end), top)]
    points.append((x(end), base))
    return _line([points[0], *(now for before, now in pairwise(points) if now != before)])


def _part(value: float, low: float, high: float) -> float:
    """Where `value` is between `low` and `high`, logarithmically."""
    if high <= low:
        return 0.5
    return float(np.log2(max(value, low) / low) / np.log2(high / low))


def _decades(low: int, high: int) -> list[int]:
    """Round numbers from `low` to `high`: powers of ten, and what is between them as far as those are too few."""
    for digits in ((1,), (1, 2, 5), tuple(range(1, 10))):
        found = [digit * 10**power for power in range(16) for digit in digits if low <= digit * 10**power <= high]
        if len(found) > 3:
            break
    return found


def series_legend(shown: Sequence[Series]) -> list[tuple[str, str]]:
    """What the histogram's colours mean."""
    return [(each.fill, each.label) for each in shown]


# --- comparisons -------------------------------------------------------------------------------------------------

PAIR: Final = (("o0", "line c0"), ("o1", "line c1"))
"""A and B: areas, and lines."""


def curves(name: str, title: str, pair: Sequence[Sequence[int]]) -> str:
    """Two curves of thousandths, A's and B's, each stretched to its own end of virtual time."""
    svg = Svg(name, WIDTH, GAP + CURVE + 8, title, "; ".join(
        f"{letter}: {mean(values) / 10:.1f} % in the mean" for letter, values in zip("AB", pair, strict=True)))
    _panel(svg, GAP, CURVE, title, ((4, "100 %"), (CURVE / 2, "50 %"), (CURVE, "0")))
    svg.line(GUTTER, GAP + CURVE / 2, GUTTER + PLOT, GAP + CURVE / 2, "grid")
    for values, (_, kind) in zip(pair, PAIR, strict=True):
        points = [(_x(n, len(values)), GAP + CURVE - CURVE * value / 1000) for n, value in enumerate(values)]
        svg.path(_line(points), kind)
    return str(svg)


def ratios(name: str, found: Sequence[Figure]) -> str:
    """A bar for each figure: how much worse B is (to the right) or better (to the left), up to twice or half."""
    row, middle = 18, GUTTER + 330 + (WIDTH - RIGHT - GUTTER - 330) / 2
    room = WIDTH - RIGHT - middle
    svg = Svg(name, WIDTH, GAP + row * len(found) + 8, "How much worse B is", "The table has the same figures.")
    svg.text(middle - 8, GAP - 8, "B is better", "label", "end")
    svg.text(middle + 8, GAP - 8, "B is worse", "label")
    for n, figure in enumerate(found):
        y = GAP + n * row
        svg.text(GUTTER + 318, y + 13, f"{figure.workload}: {figure.metric.text}", "label", "end")
        part = _bar(figure)
        kind = {"worse": "m", "better": "u"}.get(figure.verdict, "w")
        width = max(abs(part) * room, 1)
        svg.rect(middle if part >= 0 else middle - width, y + 3, width, row - 6, kind,
                 f"{figure.workload}, {figure.metric.text}: {100 * figure.worse:+.1f} %")
    svg.line(middle, GAP, middle, GAP + row * len(found), "edge")
    return str(svg)


def _bar(figure: Figure) -> float:
    """-1 to 1: of a cost, the logarithm of the ratio to base 2; of a share, its points, 100 for 1."""
    if figure.metric.share:
        return min(max(figure.worse, -1.0), 1.0)
    if not figure.a or not figure.b:
        return float(np.sign(figure.worse))
    ratio = float(np.log2(figure.b / figure.a))
    return min(max(-ratio if figure.metric.more else ratio, -1.0), 1.0)
