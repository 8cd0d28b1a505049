"""Reports in files: what `hartwell lab cost --json` has printed, read again."""

from __future__ import annotations

import json
from typing import Any

from emulator.errors import EmulatorError
from emulator.loader import read_file
from hartwell.lab.errors import LabError

from .measure import FORMAT, VERSION
from .shape import complaint

Document = dict[str, Any]
"""A report as JSON has it (`Report.to_json`)."""


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
        raise ReportError(f"{path}: is of version {found.get('version')!r}, expected {VERSION}")
    if said := complaint(found):
        raise ReportError(f"{path}: {said}")
    return found
