"""Values that a session keeps, and what names in its expressions mean.

        $a0  $pc  $satp      registers of the hart; $pc and $sp are those of the selected frame
        $1  $2               what `print` has shown
        $name                what `set $name = …` has set, if no register is called so
        main                 symbols
"""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.errors import RegisterError
from emulator.hart import Hart
from emulator.loader.symbols import Symbol

from .backtrace import backtrace
from .programs import Programs

@dataclass
class Values:
    """`history` are the values that were shown, from $1 on; `named` are the user's own variables."""

    history: list[int] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)


def find_symbol(programs: Programs, name: str) -> Symbol | None:
    """The symbol of that name; if several programs have it, that of the last, which runs on top of the others."""
    return next((found for image in reversed(programs.images) if (found := image.symbols.find(name)) is not None), None)


@dataclass(frozen=True)
class SessionScope:
    """A Scope for `expression.evaluate`: registers and memory of `hart` in a frame, symbols of `programs`, `values`."""

    hart: Hart
    programs: Programs
    values: Values
    frame: int = 0

    def register(self, name: str) -> int:
        """A register or a value; RegisterError if there is none."""
        if name.isdecimal():
            if not 1 <= int(name) <= len(self.values.history):
                raise RegisterError(f"there is no value ${name}: {len(self.values.history)} have been shown")
            return self.values.history[int(name) - 1]
        if self.frame and name in ("pc", "sp"):
            calls = backtrace(self.hart, self.programs)
            if self.frame < len(calls):
                return calls[self.frame].pc if name == "pc" else calls[self.frame].sp
        if name in self.values.named:
            return self.values.named[name]
        return self.hart.read(name)

    def memory(self, address: int, size: int) -> bytes:
        """`size` bytes at virtual `address`; BusError if they cannot be read."""
        return self.hart.read_memory(address, size)

    def symbol(self, name: str) -> int | None:
        """The address of symbol `name` as linked."""
        found = find_symbol(self.programs, name)
        return None if found is None else found.address
