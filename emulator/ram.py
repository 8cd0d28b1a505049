"""The machine's memory: one lazily committed host buffer for all banks, the boot ROM and a sink.

        host buffer   | boot ROM | bank 0 | bank 1 | … | sink |
        RAM offset    0          60 KiB   …

Every hart, the kernel layer and numpy see these same bytes. Untouched pages cost nothing. The sink
is the page into which the MMU sends stores to ROM; no physical address leads to it.

Snapshots. The buffer is anonymous memory at first. A snapshot moves the pages that were written into a
file in memory (`pagestore`), and maps that file privately over the chunks where it has something, at
the same addresses; the host's kernel then gives a page of its own to whoever writes, and tells which
pages those are (`pagemap`). Forgetting them is going back to the snapshot.

        chunk    anonymous                    its pages that exist were written since the start
                 the file, mapped privately   its pages that are not the file's were written since the snapshot
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from . import pagemap
from .errors import BoardError, SnapshotError
from .pagemap import Pages
from .pagestore import BLOCK, WORDS, Contents, PageStore, RamImage, Version, not_zero, rows, runs
from .range import Range

PAGE = pagemap.PAGE
MAP_NORESERVE, MAP_FIXED = 0x4000, 0x10
"""Linux's flags: do not count the mapping against the host's memory; put it exactly there (mmap(2))."""
CHUNKS, CHUNK_PAGES = 4096, 512
"""At most so many chunks, of at least so many pages: the host limits the pieces that memory is mapped in."""
GAP = 64
"""Pages between two written ones that are forgotten with them, to save calls; they come back by themselves."""
SINK_BASE = 1 << 55
"""Physical address under which the engine knows the sink; the walk refuses it (it is in no bank)."""


class Ram:
    """Memory banks over one buffer; raises BoardError when the host has no room for them."""

    def __init__(self, rom: Range, banks: Sequence[Range]) -> None:
        self.rom = rom
        self.banks = tuple(banks)
        total = rom.size + sum(bank.size for bank in banks) + PAGE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        try:
            self._mapping = mmap.mmap(-1, total, flags=flags)
        except (OSError, ValueError, OverflowError) as why:
            raise BoardError(f"the host cannot map {total} bytes of guest memory: {why}") from None
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self._mapping, dtype=np.uint8)
        self.host = int(self.bytes.ctypes.data)
        self._placed: list[tuple[Range, int]] = []
        offset = 0
        for part in (rom, *self.banks):
            before, start = self._placed[-1] if self._placed else (None, 0)
            if before is not None and before.end == part.base:  # banks that touch are one piece of memory
                self._placed[-1] = Range(before.base, before.size + part.size), start
            else:
                self._placed.append((part, offset))
            offset += part.size
        self.sink_offset = offset
        self._pages: Contents = self.bytes[:offset].view(np.uint64).reshape(-1, WORDS)
        self._store: PageStore | None = None
        self._chunk = max(CHUNK_PAGES, 1 << (len(self._pages) // CHUNKS).bit_length())
        self._backed = np.zeros(-(-len(self._pages) // self._chunk), dtype=np.bool_)  # chunks mapped from the store
        self._known: weakref.WeakKeyDictionary[RamImage, Version] = weakref.WeakKeyDictionary()
        """Images of others that were restored here, and what they are in our store."""

    @property
    def size(self) -> int:
        """Bytes of RAM, all banks together."""
        return sum(bank.size for bank in self.banks)

    def regions(self) -> list[tuple[Range, int]]:
        """Boot ROM and banks, each with its offset in the buffer; banks that touch are one."""
        return list(self._placed)

    def offset(self, address: int, size: int = 1) -> int | None:
        """Offset in the buffer of `size` bytes at physical `address`; None if they are not all there, in one piece."""
        for part, offset in self._placed:
            if part.contains(address, size):
                return offset + address - part.base
        return None

    def view(self, address: int, size: int) -> npt.NDArray[np.uint8] | None:
        """The bytes at physical `address` as a writable numpy array over guest memory, None as for `offset`."""
        offset = self.offset(address, size)
        return None if offset is None else self.bytes[offset:offset + size]

    def touched(self, offset: int, size: int) -> npt.NDArray[np.bool_] | None:
        """Which pages of the buffer at `offset` may hold anything but zeros; None where the host does not tell.

        Looking at the others would make them exist.
        """
        first, count = offset // PAGE, size // PAGE
        existing = pagemap.existing(self.host + offset, count)
        if existing is None:
            return None
        found = np.zeros(count, dtype=np.bool_) if self._store is None else self._store.held[first:first + count].copy()
        found[existing] = True
        return found

    # --- snapshots ----------------------------------------------------------------------------------

    def snapshot(self) -> RamImage:
        """What is in ROM and RAM now. Costs what was written since the last snapshot or `restore`.

        SnapshotError if the host has no room, or if this is not the process in which it began.
        """
        store = self._own_store()
        written, known = self._written()
        version = store.add(self._changes(store, written, known), len(written))
        self._forget(written)
        return version

    def restore(self, image: RamImage) -> Pages:
        """Put back what was in ROM and RAM; the pages that may have changed, ascending.

        An image of this memory costs what differs, one of another what is in it, the first time.
        SnapshotError as for `snapshot`, or if it is of another size.
        """
        if image.pages != len(self._pages):
            raise SnapshotError(f"RAM of {image.pages} pages: expected {len(self._pages)}")
        store = self._own_store()
        written, _ = self._written()
        if not isinstance(image, Version) or image.store is not store:
            known = self._known.get(image)
            if known is None:
                self._known[image] = known = store.add(_replacing(store, image), int(np.count_nonzero(store.held)))
                written = np.union1d(written, np.flatnonzero(store.held))
            image = known
        moved = store.go_to(image)
        changed = np.union1d(written, moved) if len(moved) else written
        self._forget(changed)
        return changed

    def _own_store(self) -> PageStore:
        if self._store is None:
            self._store = PageStore(len(self._pages))
        if self._store.process != os.getpid():
            raise SnapshotError("the machine belongs to the process that forked this one: expected a machine made "
                                "here, and a snapshot from a file")
        return self._store

    def _written(self) -> tuple[Pages, bool]:
        """Pages that were written since the store's newest version, and whether that is known: if not, all pages."""
        found = pagemap.private(self.host, len(self._pages))
        return (np.arange(len(self._pages)), False) if found is None else (found, True)

    def _changes(self, store: PageStore, written: Pages, known: bool) -> Iterator[tuple[Pages, Contents]]:
        """Those of the pages that the store is to take: all that it holds, or that differ if they were not `known`.

        A page that it does not hold counts as zero there.
        """
        for at in range(0, len(written), BLOCK):
            pages = written[at:at + BLOCK]
            contents, held = rows(self._pages, pages), store.held[pages]
            if not known:
                changed = not_zero(contents)
                changed[held] = not_zero(contents[held] ^ store.file[pages[held]])
            elif held.all():
                changed = held
            else:
                changed = not_zero(contents) | held
            if changed.all():
                yield pages, contents
            elif changed.any():
                yield pages[changed], contents[changed]

    def _forget(self, pages: Pages) -> None:
        """Have the store's contents in these pages; all that were written, here or in the store, must be among them."""
        assert self._store is not None
        chunks = pages[self._store.held[pages]] // self._chunk
        for first, last in runs(np.unique(chunks[~self._backed[chunks]])):
            self._map(first * self._chunk, min(last * self._chunk, len(self._pages)))
            self._backed[first:last] = True
        for first, last in runs(pages, GAP):
            self._mapping.madvise(mmap.MADV_DONTNEED, first * PAGE, (last - first) * PAGE)

    def _map(self, first: int, last: int) -> None:
        """Map the store's pages privately in place of ours."""
        assert self._store is not None
        address, size = self.host + first * PAGE, (last - first) * PAGE
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_size_t
        got = libc.mmap(ctypes.c_size_t(address), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_WRITE,
                        mmap.MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, self._store.descriptor,
                        ctypes.c_long(first * PAGE))
        if got != address:
            raise SnapshotError(f"the host cannot map {size} bytes: {os.strerror(ctypes.get_errno())}")


def _replacing(store: PageStore, image: RamImage) -> Iterator[tuple[Pages, Contents]]:
    """The changes that make a foreign `image` of what `store` has."""
    left = np.flatnonzero(store.held)
    for pages, contents in image.blocks():
        split = int(np.searchsorted(left, pages[-1], side="right"))
        gone, left = np.setdiff1d(left[:split], pages, assume_unique=True), left[split:]
        everything = np.concatenate([pages, gone])
        order = np.argsort(everything)
        yield everything[order], np.concatenate([contents, np.zeros((len(gone), WORDS), dtype=np.uint64)])[order]
    for at in range(0, len(left), BLOCK):
        part = left[at:at + BLOCK]
        yield part, np.zeros((len(part), WORDS), dtype=np.uint64)
