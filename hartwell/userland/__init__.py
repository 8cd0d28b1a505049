"""Running user programs: a machine, our kernel on it, and a program with its files."""

from .outcome import Outcome
from .runner import Job, Listeners, Userland

__all__ = ["Job", "Listeners", "Outcome", "Userland"]
