"""Faults: what becomes of an allocator when memory is out, an interrupt comes, or a bit flips.

        study ──> injections, by number ──> golden run up to an operation ──> the fault ──> the rest ──> verdict

    report = Study(Conditions("buddy", injections=500), kinds=("flip",)).run()

Each injection is decided by the study's seed and its own number alone, so that it can be done again by itself, and in
any process. What is found is classified (`Verdict`), never judged: that a flipped bit goes unnoticed is a fact about an
allocator, not a bug of it. Only memory that is out, which every client of an allocator meets, must do no harm.
"""

from .report import FaultReport
from .study import Study
from .verdict import FaultError, Injection, Verdict
from .work import Conditions

__all__ = ["Conditions", "FaultError", "FaultReport", "Injection", "Study", "Verdict"]
