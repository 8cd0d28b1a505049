"""--trace: from its options to a running tracer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .software import Software
from .status import CommandError

if TYPE_CHECKING:
    from emulator import Range
    from emulator.loader.symbols import SymbolTable
    from emulator.machine import Machine

KINDS = ("insns", "traps", "mmio", "csr", "xret")


@dataclass(frozen=True)
class TraceOptions:
    """What to trace (KINDS), the file it goes to (None: stderr), and where in the program."""

    kinds: frozenset[str]
    file: str | None
    where: str | None


def parse(kinds: str | None, file: str | None, where: str | None) -> TraceOptions | None:
    """The options as typed; None when nothing is to be traced."""
    if kinds is None:
        if file is not None or where is not None:
            raise CommandError(f"{'--trace-file' if file is not None else '--trace-range'} without --trace: "
                               f"say what to trace, of {', '.join(KINDS)}")
        return None
    chosen = frozenset(part.strip() for part in kinds.split(",") if part.strip())
    if chosen == {"all"}:
        chosen = frozenset(KINDS)
    for kind in sorted(chosen):
        if kind not in KINDS:
            raise CommandError(f"--trace {kind}: expected kinds out of {', '.join(KINDS)}, separated by commas, or all")
    if not chosen:
        raise CommandError(f"--trace names nothing: expected kinds out of {', '.join(KINDS)}, or all")
    return TraceOptions(chosen, file, where)


@contextmanager
def tracing(machine: Machine, software: Software, options: TraceOptions | None) -> Iterator[None]:
    """Trace what runs inside the `with` block."""
    if options is None:
        yield
        return
    from emulator.trace import TraceKind, Tracer
    from hartwell.debug.programs import Programs

    symbols = Programs([image for image in (software.firmware, software.kernel) if image is not None]).symbols
    where = parse_range(options.where, symbols) if options.where is not None else None
    try:
        out = sys.stderr if options.file is None else open(options.file, "w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise CommandError(f"--trace-file {options.file}: {error.strerror}") from None
    try:
        kinds = frozenset(TraceKind(kind) for kind in options.kinds)
        tracer = Tracer(machine, kinds, lambda line: print(line, file=out), symbols, where)
        try:
            yield
        finally:
            tracer.close()
            out.flush()
    finally:
        if out is not sys.stderr:
            out.close()


def parse_range(text: str, symbols: SymbolTable) -> Range:
    """`A..B` (from A up to B, without B) or a function's name. A and B are addresses or names."""
    from emulator import Range

    first, dots, last = text.partition("..")
    if dots:
        start, end = _address(first, symbols), _address(last, symbols)
        if start >= end:
            raise CommandError(f"--trace-range {text}: {start:#x} is not below {end:#x}")
        return Range(start, end - start)
    symbol = symbols.find(text)
    if symbol is None:
        raise CommandError(f"--trace-range {text}: no such symbol; expected one, or addresses such as "
                           "0x80200000..0x80200100")
    size = symbol.size
    if not size:  # assembly rarely says: up to the next symbol
        following = next((other.address for other in symbols if other.address > symbol.address), symbol.address + 4096)
        size = following - symbol.address
    return Range(symbol.address, size)


def _address(text: str, symbols: SymbolTable) -> int:
    text = text.strip()
    symbol = symbols.find(text)
    if symbol is not None:
        return symbol.address
    try:
        value = int(text.replace("_", ""), 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 1 << 64:
        raise CommandError(f"--trace-range: {text!r} is neither a symbol nor an address such as 0x80200000")
    return value
