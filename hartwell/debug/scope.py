"""What names in expressions mean on a hart."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.hart import Hart

from .programs import Programs


@dataclass(frozen=True)
class HartScope:
    """Registers and virtual memory of `hart` now, symbols of `programs`: a Scope for `expression.evaluate`."""

    hart: Hart
    programs: Programs

    def register(self, name: str) -> int:
        """As Hart.read: x0 … x31, f0 … f31, ABI names, fp, pc, priv and CSRs; RegisterError if there is none."""
        return self.hart.read(name)

    def memory(self, address: int, size: int) -> bytes:
        """As Hart.read_memory; BusError names the first byte that cannot be read."""
        return self.hart.read_memory(address, size)

    def symbol(self, name: str) -> int | None:
        """The address of symbol `name` as linked."""
        return self.programs.find(name)
