"""Symbols of an image: from a name to an address, and from an address to `name+0x1c`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum


class SymbolKind(IntEnum):
    """What a symbol names, the most telling last (it wins where several share an address)."""

    NOTYPE = 0
    OBJECT = 1
    FUNC = 2


@dataclass(frozen=True)
class Symbol:
    """A name for an address as linked (virtual). `size` is in bytes, 0 where the program does not say."""

    name: str
    address: int
    size: int = 0
    kind: SymbolKind = SymbolKind.NOTYPE
    exported: bool = True


class SymbolTable:
    """The symbols of one image, by name and by nearest address.

    Addresses are those of the link, hence virtual. `ranges` are the (start, end) pairs of memory that
    the image was linked to fill: an address outside them has no symbol, so that a stack pointer is not
    shown as the last function plus 2 GiB. With no ranges every address counts.

    `read` supplies the symbols when the table is first used: a boot that prints no symbol does not
    read any. It returns the symbols and, where the file's table is damaged, what is wrong with it.
    A damaged symbol table never raises: an image boots without one. See `problem`.

    Mapping symbols (`$x`, `$d`, `$xrv64…`), local labels (`.L…`) and nameless symbols are left out.
    """

    def __init__(
        self,
        symbols: Iterable[Symbol] = (),
        ranges: Sequence[tuple[int, int]] = (),
        read: Callable[[], tuple[list[Symbol], str]] | None = None,
    ) -> None:
        self._given = symbols
        self._read = read
        self._ranges = tuple(sorted(ranges))
        self._problem = ""
        self._loaded = False
        self._by_name: dict[str, Symbol] = {}
        self._sorted: list[Symbol] = []
        self._addresses: list[int] = []

    @property
    def problem(self) -> str:
        """One line on why the file's symbols are missing or incomplete; empty when all is well."""
        self._load()
        return self._problem

    def find(self, name: str) -> Symbol | None:
        """The symbol called `name`; of several (local functions may share a name) an exported one, else the lowest."""
        self._load()
        return self._by_name.get(name)

    def nearest(self, address: int) -> tuple[Symbol, int] | None:
        """The symbol at or below `address` and the distance from it in bytes, or None where no symbol reaches."""
        self._load()
        at = bisect_right(self._addresses, address) - 1
        if at < 0:
            return None
        symbol = self._sorted[at]
        # The symbol is in a range; the address has to be in the same one.
        if self._ranges and self._range(address) != self._range(symbol.address):
            return None
        return symbol, address - symbol.address

    def format(self, address: int) -> str:
        """`name`, `name+0x1c`, or the bare address in hex where no symbol reaches."""
        found = self.nearest(address)
        if found is None:
            return f"{address:#x}"
        symbol, distance = found
        return f"{symbol.name}+{distance:#x}" if distance else symbol.name

    def __len__(self) -> int:
        self._load()
        return len(self._sorted)

    def __iter__(self) -> Iterator[Symbol]:
        """One symbol per address, the most telling, in ascending order."""
        self._load()
        return iter(self._sorted)

    def _range(self, address: int) -> int | None:
        at = bisect_right(self._ranges, (address, 1 << 64)) - 1
        return at if at >= 0 and address < self._ranges[at][1] else None

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        symbols = list(self._given)
        if self._read is not None:
            more, self._problem = self._read()
            symbols += more
            self._read = None
        best: dict[int, Symbol] = {}
        for symbol in sorted(filter(_worth_keeping, symbols), key=_rank):
            # Ascending rank: the last one stored is the most telling.
            best[symbol.address] = symbol
            known = self._by_name.get(symbol.name)
            if known is None or (symbol.exported, -symbol.address) >= (known.exported, -known.address):
                self._by_name[symbol.name] = symbol
        self._sorted = [best[address] for address in sorted(best)]
        if self._ranges:
            # Absolute symbols such as `STACK_SIZE = 0x4000` can be found by name but name no address.
            self._sorted = [symbol for symbol in self._sorted if self._range(symbol.address) is not None]
        self._addresses = [symbol.address for symbol in self._sorted]


def _worth_keeping(symbol: Symbol) -> bool:
    return bool(symbol.name) and not symbol.name.startswith(("$", ".L"))


def _rank(symbol: Symbol) -> tuple[int, bool, bool, str]:
    return symbol.kind, symbol.exported, symbol.size > 0, symbol.name
