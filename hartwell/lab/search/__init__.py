"""Searching for failures: random and directed, shrunk to the shortest sequence, kept in replay files.

    found = search(subject, ...)          directed: workloads and seeds, until one fails
          ── shrink ──>                   the shortest sequence that fails in the same way
          ── save_replay ──> FILE         hartwell lab replay FILE, hartwell debug --replay FILE

`machines` has Hypothesis' state machines over the same operations.
"""

from .errors import ReplayError, SearchError
from .replay import Replay, Replayed, Verdict, save_replay

__all__ = ["Replay", "ReplayError", "Replayed", "SearchError", "Verdict", "save_replay"]
