"""Verdicts: how a fault ended, and the injection that it came of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Self

from hartwell.lab.errors import LabError


class FaultError(LabError):
    """A study that cannot be made; says what is wrong, and what was expected."""


class Verdict(Enum):
    """How a fault ended."""

    DETECTED = "detected"
    """Somebody noticed, at once or later, before an oracle had anything to say: the allocator panicked or said no, the
    hart trapped, the kernel raised a typed error."""
    MASKED = "masked"
    """Nothing wrong came of it: every block was good, and all memory is there."""
    HANG = "hang"
    """A call did not end."""
    DIED = "died"
    """Hartwell's own process died of it: a defect of Hartwell."""
    SILENT = "silent"
    """Corruption that nobody noticed: a block is shared or changed, memory is lost, somebody else's is written to."""


@dataclass(frozen=True)
class Injection:
    """A fault and what came of it.

    `kind` and `target` say what was done, `operation` before which operation of the program, `what` where exactly,
    `verdict` how it ended and `said` by what that was told. `number` is its place in the study.
    """

    number: int
    kind: str
    target: str
    operation: int
    what: str
    verdict: Verdict
    said: str = ""

    def to_json(self) -> dict[str, Any]:
        """The injection as plain data."""
        return {**asdict(self), "verdict": self.verdict.value}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The injection that `to_json` gave."""
        return cls(**{**plain, "verdict": Verdict(plain["verdict"])})
