"""What the search raises: a replay file that is damaged, a tool that is not there."""

from __future__ import annotations

from hartwell.lab.errors import LabError


class ReplayError(LabError):
    """A replay file that cannot be read, or is not what it says; names the file, the place and what was expected."""


class SearchError(LabError):
    """A search that cannot be made; says what to do about it."""
