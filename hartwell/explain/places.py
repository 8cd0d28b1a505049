"""Addresses as people read them: with the symbol that is there.

A higher-half kernel runs at its physical addresses until it has switched translation on, and its symbols are all
virtual: an address without a symbol is looked up again where the linker has put what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.loader.model import Image
    from emulator.loader.symbols import SymbolTable


class Places:
    """The addresses of a run: `symbols` of all its software, and its images."""

    def __init__(self, symbols: SymbolTable, images: Sequence[Image]) -> None:
        self._symbols, self._images = symbols, images

    def name(self, address: int) -> str:
        """`_start+0x1c`, or nothing where there is no symbol."""
        for each in (address, *(image.linked_address(address) for image in self._images)):
            name = self._symbols.format(each)
            if not name.startswith("0x"):
                return name
        return ""

    def show(self, address: int) -> str:
        """The address with its symbol, if it has one: `0x80200000 <_start>`."""
        name = self.name(address)
        return f"{address:#x} <{name}>" if name else f"{address:#x}"
