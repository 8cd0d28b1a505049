"""What workloads raise: a name that there is none of, a memory that is too small, a trace file that is damaged."""

from __future__ import annotations

from hartwell.lab.errors import LabError


class WorkloadError(LabError):
    """A workload that there is none of, or that does not fit; says what was expected."""


class TraceError(WorkloadError):
    """A trace file that cannot be read, or is not what it says; names the file, the line and what was expected."""
