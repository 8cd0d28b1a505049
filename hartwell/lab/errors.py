"""What the lab raises: about its own use. What is wrong with an allocator is a Finding, never an exception.

    LabError
    ├── SpecError           a SPEC that names no allocator, or one that cannot be loaded
    ├── ProgramError        operations that make no program: handles used twice, sizes out of range
    └── SubjectFailed       the allocator did not come back from a call: it hung, trapped or panicked
"""

from __future__ import annotations

from emulator.errors import EmulatorError

from .finding import Finding
from .operation import Results


class LabError(EmulatorError):
    """Anything that the lab raises."""


class SpecError(LabError):
    """A SPEC that names no allocator, or one that cannot be loaded; says what was expected."""


class ProgramError(LabError):
    """Operations that make no program; says which one, and what was expected."""


class SubjectFailed(LabError):
    """The allocator did not come back from operation number `operation`; `finding` says why, `partial` what came
    of the operations up to it.

    The subject can be used again after `reset`. If it never came to be, `kind` says of which kind it would have been
    ("frame", "heap").
    """

    kind = ""

    def __init__(self, finding: Finding, partial: Results | None = None) -> None:
        super().__init__(str(finding))
        self.finding, self.partial = finding, partial
