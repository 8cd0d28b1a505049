"""The table of metadata types in emulated memory: what a slot's vtable word points to.

Upstream, the word is a Rust vtable pointer. Here it is the kernel virtual address of a descriptor in
the kernel's statics, so that the type of every frame can be read from memory alone:

    +0  name, 96 bytes   +96 size u16   +98 align u16   +100 flags u32   +104 field layout, 152 bytes

The name is the class's full name, the layout reads `next:u64,prev:u64,order:u32`; both end with a zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from kernel.errors import CorruptionError, MetaTypeError
from kernel.mm.statics import Statics

from .meta_type import Accessible, AnyUFrameMeta, FrameMeta, Link

DESCRIPTOR_SIZE, CAPACITY = 256, 96
NAME_SIZE, LAYOUT_AT, LAYOUT_SIZE = 96, 104, 152
ACCESSIBLE, UNTYPED, LINK = 1, 2, 4


class TypeTable:
    """Registers metadata types on first use; `code_base` turns physical into kernel-code addresses."""

    def __init__(self, statics: Statics, code_base: int) -> None:
        self._statics, self._port = statics, statics.port
        self._base = statics.area("meta_types", DESCRIPTOR_SIZE * CAPACITY)
        self._code_base = code_base
        self._vtables: dict[type[FrameMeta], int] = {}
        self._types: dict[int, type[FrameMeta]] = {}

    def vtable(self, kind: type[FrameMeta]) -> int:
        """The vtable word of `kind`; MetaTypeError if it is no metadata type, or another one has the name, or the
        table is full."""
        known = self._vtables.get(kind)
        if known is not None:
            return known
        if not issubclass(kind, FrameMeta):
            raise MetaTypeError(f"{kind.__name__} is no type of frame metadata: it does not derive from FrameMeta")
        name = full_name(kind)
        raw = name.encode().ljust(NAME_SIZE, b"\0")
        if len(raw) > NAME_SIZE - 1 and raw[-1]:
            raise MetaTypeError(f"metadata type {name}: the name has more than {NAME_SIZE - 1} bytes")
        for slot in range(CAPACITY):
            at = self._base + slot * DESCRIPTOR_SIZE
            there = self._port.read(at, NAME_SIZE)
            if there == raw:
                self._compare(kind, at)
                break
            if not there[0]:
                self._write(kind, raw, at)
                break
        else:
            raise MetaTypeError(f"metadata type {name}: all {CAPACITY} places for types are taken")
        word = at + self._code_base
        self._vtables[kind] = word
        self._types[word] = kind
        return word

    def kind(self, vtable: int) -> type[FrameMeta]:
        """The type that a vtable word stands for; CorruptionError if it is none.

        A type that this process never declared (memory of another's kernel) is made up from its
        descriptor: it has the name and the size, but no fields.
        """
        known = self._types.get(vtable)
        if known is not None:
            return known
        at = vtable - self._code_base
        if (at - self._base) % DESCRIPTOR_SIZE or not 0 <= at - self._base < DESCRIPTOR_SIZE * CAPACITY:
            raise CorruptionError(f"vtable word {vtable:#x} points to no metadata type "
                                  f"(they are at {self._base + self._code_base:#x})")
        name = self._port.read(at, NAME_SIZE).partition(b"\0")[0].decode(errors="replace")
        if not name:
            raise CorruptionError(f"vtable word {vtable:#x} points to an empty place of the type table")
        for kind in declared():
            if full_name(kind) == name:
                self._compare(kind, at)
                break
        else:
            kind = self._unknown(name, at)
        self._vtables[kind] = vtable
        self._types[vtable] = kind
        return kind

    def entries(self) -> Iterator[tuple[int, str, int, str]]:
        """Every type in the table: vtable word, name, size in bytes, field layout."""
        for slot in range(CAPACITY):
            at = self._base + slot * DESCRIPTOR_SIZE
            name = self._port.read(at, NAME_SIZE).rstrip(b"\0").decode(errors="replace")
            if not name:
                return
            layout = self._port.read(at + LAYOUT_AT, LAYOUT_SIZE).rstrip(b"\0").decode(errors="replace")
            yield at + self._code_base, name, self._port.load_sized(at + 96, 2), layout

    def _write(self, kind: type[FrameMeta], raw: bytes, at: int) -> None:
        if self._statics.sealed:
            raise CorruptionError(f"metadata type {full_name(kind)} is not in the type table at {self._base:#x}")
        port = self._port
        port.write(at + LAYOUT_AT, _layout(kind).ljust(LAYOUT_SIZE, b"\0"))
        port.store_sized(at + 96, 2, kind.SIZE)
        port.store_sized(at + 98, 2, kind.ALIGN)
        port.store_sized(at + 100, 4, _flags(kind))
        port.write(at, raw)

    def _compare(self, kind: type[FrameMeta], at: int) -> None:
        size = self._port.load_sized(at + 96, 2)
        layout = self._port.read(at + LAYOUT_AT, LAYOUT_SIZE).rstrip(b"\0")
        flags = self._port.load_sized(at + 100, 4)
        if (size, layout, flags) != (kind.SIZE, _layout(kind), _flags(kind)):
            raise MetaTypeError(f"metadata type {full_name(kind)} is in the type table with another layout: "
                                f"{size} bytes, {layout.decode(errors='replace')}")

    def _unknown(self, name: str, at: int) -> type[FrameMeta]:
        flags = self._port.load_sized(at + 100, 4)
        base: type[FrameMeta] = Link if flags & LINK else FrameMeta
        short = name.rpartition(".")[2]
        kind: type[FrameMeta] = type(short, (base,), {"TYPE_NAME": short, "UNDECLARED": True})
        kind.SIZE = min(self._port.load_sized(at + 96, 2), 40)
        return kind


def full_name(kind: type[FrameMeta]) -> str:
    """The name under which a type is in the table: module and class, without test functions' `<locals>`."""
    return f"{kind.__module__}.{kind.__qualname__}".replace(".<locals>", "")[-(NAME_SIZE - 1):]


def declared() -> Iterator[type[FrameMeta]]:
    """Every metadata type that this process has declared."""
    pending = [FrameMeta]
    while pending:
        for kind in pending.pop().__subclasses__():
            pending.append(kind)
            if not hasattr(kind, "UNDECLARED"):
                yield kind


def _layout(kind: type[FrameMeta]) -> bytes:
    return kind.describe().encode()[:LAYOUT_SIZE]


def _flags(kind: type[FrameMeta]) -> int:
    return sum(flag for flag, base in ((ACCESSIBLE, Accessible), (UNTYPED, AnyUFrameMeta), (LINK, Link))
               if issubclass(kind, base))
