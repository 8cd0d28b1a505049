"""The machine that the suite is done in: small, so that it is filled and emptied in no time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.loader.sizes import parse_size
from hartwell.lab.subject import catalogue
from hartwell.lab.subject.setting import Setting

if TYPE_CHECKING:
    from emulator.timing.profile import Profile

GUEST_MEMORY: Final = 32 << 20
"""Of which an allocator in guest code gets a quarter."""
PYTHON_MEMORY: Final = 16 << 20
"""Of which one in Python gets all, and the kernel lives on it, too."""


def suite_setting(spec: str, harts: int | None = None, memory: str | None = None,
                  timing: Profile | None = None) -> Setting:
    """The machine for the allocator that `spec` names; what is given is as it says. SizeError."""
    usual = PYTHON_MEMORY if in_python(spec) else GUEST_MEMORY
    return Setting(1 if harts is None else harts, usual if memory is None else parse_size(memory, "-m"), timing=timing)


def in_python(spec: str) -> bool:
    """Whether `spec` names a Python class, or else an ELF."""
    return spec in catalogue.OWN or ":" in spec and not spec.endswith(".elf")
