"""How often tests try what chance decides.

The suite has to be quick enough to be run before each change, so random tests make fewer rounds than they are meant
to; with HARTWELL_FULL_EFFORT=1 (`make test-full`) they make all of them. Chance is seeded: the usual rounds are the
first of all rounds, and the same every time.
"""

from __future__ import annotations

import os

FULL = os.environ.get("HARTWELL_FULL_EFFORT", "") not in ("", "0")


def rounds(full: int, usual: int) -> int:
    """`usual`, or `full` if all effort is asked for."""
    return full if FULL else usual
