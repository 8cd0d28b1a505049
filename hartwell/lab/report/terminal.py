"""Cost and fragmentation in lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from hartwell.lab.cost.compare import Comparison, Figure
from hartwell.lab.cost.distribution import Distribution
from hartwell.lab.cost.fragmentation import mean
from hartwell.lab.cost.measure import Report, Workloaded
from hartwell.lab.cost.worst import Worst
from hartwell.views.table import table_lines

ORDERS = (4, 8)
"""Orders whose indices are told: blocks of 64 KiB and of 1 MiB."""
COST_HEADS = ("workload", "calls", "number", "cycles min", "median", "p90", "p99", "max", "instr. median", "max",
              "misses mean", "max")
COMPARE_HEADS = ("workload", "metric", "what it is", "A", "B", "B to A", "B is")
WORST = 5
"""Regressions that are told again below the table."""
LINES = 8
"""Operations of the shortest sequence that are told here; JSON and the page have all."""


def cost_lines(report: Report) -> list[str]:
    """Everything that a terminal is told."""
    return list(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    harts = f"{report.harts} hart{'s' * (report.harts > 1)}"
    yield f"allocator  {report.subject} ({report.kind}), {amount(report.memory)}, {harts}"
    yield f"profile    {report.profile} ({report.accuracy})"
    yield f"load       {report.count:,} operations of each workload, seed {report.seed}"
    yield ""
    costs = [row for each in report.workloads for row in cost_rows(each)]
    yield from table_lines(COST_HEADS, costs, left=2, plain=True)
    yield ""
    yield from table_lines(memory_heads(report), [memory_row(report, each) for each in report.workloads], plain=True)
    for each in report.workloads:
        if each.worst or each.findings:
            yield ""
            yield from _worst(each)


def cost_rows(each: Workloaded) -> Iterator[tuple[str, ...]]:
    """A row for each kind of calls."""
    for number, calls in enumerate(each.calls):
        yield (each.workload if number == 0 else "", "alloc, none found" if calls.name == "none" else calls.name,
               f"{calls.cycles.count:,}", *percentiles(calls.cycles), f"{calls.instructions.median:,}",
               f"{calls.instructions.most:,}", f"{calls.misses.mean:.2f}", f"{calls.misses.most:,}")


def percentiles(each: Distribution) -> tuple[str, ...]:
    """Least, median, 90 and 99 per cent, most."""
    return tuple(f"{value:,}" for value in (each.least, each.median, each.p90, each.p99, each.most))


def memory_heads(report: Report) -> tuple[str, ...]:
    """Over `memory_row`. A frame's page is allocated as a whole: utilisation is for heaps."""
    heads = ("workload", "calls/Mcycle", "peak", "taken", "waste", *(f"unusable {page_size(n)}" for n in ORDERS), "max",
             "scattered")
    return (*heads, "utilisation") if report.kind == "heap" else heads


def memory_row(report: Report, each: Workloaded) -> tuple[str, ...]:
    """Throughput, waste at the peak, and fragmentation, which are means over virtual time but for `max`."""
    found, waste = each.fragmentation, each.waste
    orders = [min(order, found.orders - 1) for order in ORDERS]
    taken = ("-", "-") if waste is None else (amount(waste.taken), thousandths(waste.share))
    row = (each.workload, f"{each.throughput:,.0f}" if each.throughput else "-", amount(each.peak), *taken,
           *(thousandths(mean(found.unusable(order))) for order in orders),
           thousandths(max(found.unusable(orders[-1]))), thousandths(mean(found.scattered)))
    return (*row, thousandths(found.overall_utilisation)) if report.kind == "heap" else row


def _worst(each: Workloaded) -> Iterator[str]:
    for finding in each.findings:
        yield f"{each.workload}: {finding}"
    for worst in each.worst:
        yield f"{each.workload}: {worst_text(worst)}"
        lines = worst.told()
        if worst.sequence is not None:
            number = len(worst.sequence)
            yield f"  the shortest way there that was found, {number} operation{'s' * (number != 1)}:"
        if worst.sequence is None or len(lines) <= LINES:
            yield from (f"    {line}" for line in lines)
            continue
        half = LINES // 2
        more = f"… {len(worst.sequence) - 2 * half:,} more …"
        yield from (f"    {line}" for line in (*lines[:half], more, *lines[-half:]))


def worst_text(worst: Worst) -> str:
    """The dearest call in a line."""
    return (f"most {worst.metric} {worst.cost:,}: operation {worst.operation:,}, {worst.text}, with "
            f"{amount(worst.live)} in {worst.blocks:,} block{'s' * (worst.blocks != 1)} allocated "
            f"({worst.cycles:,} cycles, {worst.instructions:,} instructions, {worst.misses:,} "
            f"miss{'es' * (worst.misses != 1)})")


def compare_lines(found: Comparison) -> list[str]:
    """Everything that a terminal is told of a comparison."""
    return list(_compare_lines(found))


def _compare_lines(found: Comparison) -> Iterator[str]:
    for letter, called, document in zip("AB", found.names, (found.a, found.b), strict=True):
        yield f"{letter}          {called} ({document['kind']}), {amount(document['memory'])}"
    yield f"profile    {found.a['profile']} ({found.a['accuracy']})"
    yield f"load       {found.a['operations']:,} operations of each workload, seed {found.a['seed']}"
    yield ""
    yield from table_lines(COMPARE_HEADS, figure_rows(found), left=3, plain=True)
    yield ""
    yield from found.findings
    yield from (f"worse: {figure.workload}, {figure.metric.text}: {change(figure)}" for figure in found.worse[:WORST])
    if len(found.worse) > WORST:
        yield f"… and {len(found.worse) - WORST} more"
    yield verdict(found)


def figure_rows(found: Comparison) -> list[tuple[str, ...]]:
    """A row for each figure."""
    rows = []
    before = ""
    for figure in found.figures:
        name = figure.workload if figure.workload != before else ""
        values = [value_text(figure, value) for value in (figure.a, figure.b)]
        rows.append((name, figure.metric.name, figure.metric.text, *values, change(figure), figure.verdict))
        before = figure.workload
    return rows


def value_text(figure: Figure, value: float) -> str:
    """A figure's value."""
    if figure.metric.share:
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def change(figure: Figure) -> str:
    """How B differs from A: by a part of A, or by points of a share."""
    if figure.metric.share:
        return f"{100 * (figure.b - figure.a):+.1f} points"
    if not figure.a:
        return "from 0" if figure.b else "+0.0 %"
    return f"{100 * (figure.b / figure.a - 1):+.1f} %"


def verdict(found: Comparison) -> str:
    """The last line."""
    most = f"{100 * found.threshold:g} %"
    return (f"B is worse in {len(found.worse)} and better in {len(found.better)} of {len(found.figures)} figures, by "
            f"more than {most}")


def thousandths(value: int) -> str:
    """A share in per cent."""
    return f"{value / 10:.1f} %"


def page_size(order: int) -> str:
    """The bytes of a block of `order`."""
    return amount(4096 << order)


def amount(size: int) -> str:
    """Bytes in few characters, in units of 1024."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(size) >= unit:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.1f} {name}"
    return f"{size} bytes"
