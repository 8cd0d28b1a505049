"""What a report of costs looks like as JSON: the types of all that is read from one that was saved (`saved`).

A shape is int (a whole number, not negative), SIGNED (any), float (a number), str, [shape] (a list of such), {name:
shape} (an object that has these, and perhaps more), or (shape,): that, or null.
"""

from __future__ import annotations

from typing import Any, Final

MOST: Final = 1 << 64
"""No figure is as large as this."""
SIGNED: Final = complex
"""A whole number, which may be negative."""

_DISTRIBUTION: Final = {"count": int, "total": int, "mean": float, "min": int, "median": int, "p90": int, "p99": int,
                        "max": int, "histogram": [[int]]}
_MOMENTS: Final = {"time": [int], "operation": [int], "live": [int], "used_pages": [int], "longest_run": [int],
                   "free_blocks": [[int]], "unusable": [[int]], "fragmentation": [[SIGNED]]}
_WORKLOAD: Final = {
    "workload": str, "operations": int, "calls": int, "unit": str, "time": int, "calls_per_million_cycles": float,
    "peak": int, "costs": [{"calls": str, "cycles": _DISTRIBUTION, "instructions": _DISTRIBUTION,
                            "misses": _DISTRIBUTION}],
    "waste": ({"operation": int, "requested": int, "taken": int, "waste": int, "share": int, "left": int,
               "largest_left": int, "whole": int},),
    "fragmentation": {"pages": int, "touched_pages": int, "unusable": [{"order": int, "mean": int, "max": int}],
                      "scattered": {"mean": int, "max": int}, "utilisation": {"mean": int, "min": int},
                      "moments": _MOMENTS},
}
REPORT: Final = {"subject": str, "kind": str, "memory": int, "ram": int, "harts": int, "seed": int, "operations": int,
                 "profile": str, "accuracy": str, "workloads": [_WORKLOAD]}
_WORDS: Final[dict[Any, str]] = {int: "a whole number from 0 on", SIGNED: "a whole number", float: "a number",
                                 str: "a text"}


def complaint(value: Any, shape: Any = REPORT, where: str = "the report") -> str:
    """What is wrong with `value`, in words; "" if nothing is."""
    if isinstance(shape, tuple):
        return complaint(value, shape[0], where) if value is not None else ""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return _wrong(value, where, "an object")
        parts = ((value.get(name), part, f"{where}: {name}") for name, part in shape.items())
        return next(filter(None, (complaint(*each) for each in parts)), "") or _uneven(value, shape, where)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(value, where, "a list")
        return next(filter(None, (complaint(each, shape[0], f"{where}: number {number}")
                                  for number, each in enumerate(value))), "")
    return "" if _fits(value, shape) else _wrong(value, where, _WORDS[shape])


def _fits(value: Any, shape: Any) -> bool:
    if shape is str:
        return type(value) is str
    if shape is float and type(value) is float:
        return 0 <= value < MOST
    return type(value) is int and (-MOST if shape is SIGNED else 0) <= value < MOST


def _uneven(value: dict[str, Any], shape: dict[str, Any], where: str) -> str:
    """Lists that go together are of the same length."""
    if shape is _DISTRIBUTION and not (value["histogram"] and all(len(each) == 2 for each in value["histogram"])):
        return f"{where}: histogram: expected pairs of numbers, one at least"
    if shape is not _MOMENTS:
        return ""
    count, orders = len(value["time"]), len(value["unusable"])
    lists = [value[name] for name in ("operation", "live", "used_pages", "longest_run")]
    even = (count and all(len(each) == count for each in (*lists, *value["unusable"], *value["fragmentation"]))
            and len(value["free_blocks"]) == count and len(value["fragmentation"]) == orders
            and all(len(each) == orders for each in value["free_blocks"]))
    return "" if even else f"{where}: its lists are not of the same length"


def _wrong(value: Any, where: str, expected: str) -> str:
    shown = ascii(value)
    return f"{where} is {shown if len(shown) <= 40 else shown[:37] + '...'}, expected {expected}"
