"""What a Frame and a UniqueFrame have in common: each is a handle of one page and its metadata slot."""

from __future__ import annotations

from typing import Generic, TypeVar

from kernel.errors import AccessDenied
from kernel.mm.io.reader import VmReader
from kernel.mm.io.writer import VmWriter
from kernel.mm.paging import PAGE_SIZE

from .handle import Handle
from .meta_type import AnyUFrameMeta, FrameMeta

M = TypeVar("M", bound=FrameMeta)


class PageHandle(Handle, Generic[M]):
    """A handle of the page at `paddr`, whose metadata is of type `M`."""

    __slots__ = ("_paddr", "_type")

    _paddr: int
    _type: type[M]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._paddr:#x} {self._type.type_name()}{'' if self._held else ', gone'}>"

    @property
    def paddr(self) -> int:
        """Physical address of the page's first byte."""
        self._check()
        return self._paddr

    @property
    def size(self) -> int:
        """4096."""
        return PAGE_SIZE

    @property
    def meta(self) -> M:
        """The metadata, where it lies in the slot: what is set there changes it."""
        self._check()
        return self._type.at(self._mm.port, self._mm.slots.base + (self._paddr >> 6))

    @property
    def dyn_meta(self) -> FrameMeta:
        """The metadata as the type that the slot says it is."""
        self._check()
        return self._mm.slots.kind(self._paddr).at(self._mm.port, self._mm.slots.base + (self._paddr >> 6))

    def reader(self) -> VmReader:
        """Reads the page from its start; AccessDenied for a typed frame."""
        self._check()
        require_untyped(self._type, self._paddr)
        return VmReader.from_kernel_space(self._mm, self._mm.paddr_to_vaddr(self._paddr), PAGE_SIZE, self._check)

    def writer(self) -> VmWriter:
        """Writes the page from its start; AccessDenied for a typed frame."""
        self._check()
        require_untyped(self._type, self._paddr)
        return VmWriter.from_kernel_space(self._mm, self._mm.paddr_to_vaddr(self._paddr), PAGE_SIZE, self._check)


def require_untyped(kind: type[FrameMeta], paddr: int) -> None:
    """AccessDenied unless the metadata type `kind` says that contents are for everybody."""
    if not issubclass(kind, AnyUFrameMeta):
        raise AccessDenied(f"frame {paddr:#x} has metadata {kind.type_name()}: typed frames cannot be read or written "
                           "as bytes")
