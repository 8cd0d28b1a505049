"""Reports in files: what `hartwell lab cost --json` has printed, read again."""

from __future__ import annotations

import json
from typing import Any

from emulator.errors import EmulatorError
from emulator.loader import read_file
from hartwell.lab.errors import LabError

from .measure import FORMAT, VERSION

Document = dict[str, Any]
"""A report as JSON has it (`Report.to_json`)."""
_HEAD = {"subject": str, "kind": str, "memory": int, "ram": int, "harts": int, "seed": int, "operations": int,
         "profile": str, "accuracy": str, "workloads": list}


class ReportError(LabError):
    """A file that holds no report of costs, or reports that cannot be compared; says what was expected."""


def load_document(path: str) -> Document:
    """The report in a file. ReportError says what is wrong with it."""
    try:
        data = read_file(path, "report")
    except EmulatorError as why:
        raise ReportError(str(why)) from None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as why:
        raise ReportError(f"{path}: is no JSON: {why}; expected what hartwell lab cost --json prints") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ReportError(f"{path}: is no report of costs; expected what hartwell lab cost --json prints")
    if found.get("version") != VERSION:
        raise ReportError(f"{path}: is of version {found.get('version')}, expected {VERSION}")
    for name, kind in _HEAD.items():
        if not isinstance(found.get(name), kind):
            raise ReportError(f"{path}: {name} is {found.get(name)!r}, expected a value of type {kind.__name__}")
    if not all(isinstance(each, dict) and isinstance(each.get("workload"), str) for each in found["workloads"]):
        raise ReportError(f"{path}: its workloads have no names")
    return found
