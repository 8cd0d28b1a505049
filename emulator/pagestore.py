"""Old contents of RAM, kept by page: what makes many snapshots of one machine cheap.

The newest is in a file in memory, and each older one is what to change in the next newer to get it:

        v1 ── pages 3 4 9 ──> v2 ── pages 4 7 ──> v3 = the file        RAM = the file + pages written since
        v4 ── page 2 ─────────────────────────────┘

A machine maps the file privately over its RAM (`ram`): a page that the guest writes becomes a page of its
own, all others stay the file's. Taking a version moves the written pages into the file, and what they
replace there to the version that was the newest. Going back to a version (`go_to`) turns the edges on the
way to it around, so that it is the file then. Both cost what differs. A version that nobody holds, and no
other is built on, is gone.

Source of the technique: H. G. Baker, Shallow binding makes functional arrays fast, SIGPLAN Notices 26(8),
1991.
"""

from __future__ import annotations

import mmap
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import SnapshotError
from .pagemap import PAGE, Pages

Contents = npt.NDArray[np.uint64]
"""Contents of pages: a row of 512 doublewords for each."""
WORDS = PAGE // 8
BLOCK = 256
"""Pages that are moved at a time: a MiB, which a host's cache holds."""


class RamImage(ABC):
    """What a RAM of `pages` pages held at one moment."""

    pages: int

    @abstractmethod
    def blocks(self) -> Iterator[tuple[Pages, Contents]]:
        """Every page that is not all zero: numbers, ascending, and contents; some hundred at a time."""


@dataclass(eq=False)
class LooseImage(RamImage):
    """An image that stands for itself: `parts` as `blocks` gives them."""

    pages: int
    parts: list[tuple[Pages, Contents]]

    def blocks(self) -> Iterator[tuple[Pages, Contents]]:
        return iter(self.parts)


@dataclass(frozen=True)
class Delta:
    """Pages with the contents that they are to get; `held` tells which have any: the others are all zero."""

    pages: Pages
    held: npt.NDArray[np.bool_]
    contents: Contents
    """A row for each held page."""


class Version(RamImage):
    """An image in a `PageStore`: its file if `parent` is None, else the parent with `delta` applied."""

    def __init__(self, store: PageStore) -> None:
        self.store = store
        self.pages = store.pages
        self.parent: Version | None = None
        self.delta: Delta | None = None

    def path(self) -> list[Version]:
        """From here to the version that is the file."""
        found, at = [self], self.parent
        while at is not None:
            found.append(at)
            at = at.parent
        return found

    def blocks(self) -> Iterator[tuple[Pages, Contents]]:
        deltas = [version.delta for version in self.path() if version.delta is not None]
        file_pages = np.flatnonzero(self.store.held)
        numbers = np.concatenate([*(delta.pages for delta in deltas), file_pages])
        rows = np.concatenate([*(np.where(delta.held, np.cumsum(delta.held) - 1, -1) for delta in deltas), file_pages])
        source = np.repeat(np.arange(len(deltas) + 1), [*(len(delta.pages) for delta in deltas), len(file_pages)])
        pages, first = np.unique(numbers, return_index=True)  # the delta that comes first on the path counts
        rows, source = rows[first], source[first]
        for at in range(0, len(pages), BLOCK):
            part = slice(at, at + BLOCK)
            contents = np.zeros((len(pages[part]), WORDS), dtype=np.uint64)
            for number in np.unique(source[part]).tolist():
                table = deltas[number].contents if number < len(deltas) else self.store.file
                chosen = (source[part] == number) & (rows[part] >= 0)
                contents[chosen] = table[rows[part][chosen]]
            full = not_zero(contents)
            if full.any():
                yield pages[part][full], contents[full]


class PageStore:
    """Versions of a RAM of `pages` pages. SnapshotError if the host has no room for them.

    It lives as long as a machine or a version needs it, in the process that made it.
    """

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.process = os.getpid()
        self.held = np.zeros(pages, dtype=np.bool_)
        """Pages that the file has; the others are zero, and must not be read (that would make them exist)."""
        self._newest: weakref.ref[Version] | None = None
        try:
            self.descriptor = os.memfd_create("hartwell-ram", os.MFD_CLOEXEC)
            weakref.finalize(self, os.close, self.descriptor)
            os.ftruncate(self.descriptor, pages * PAGE)
            mapping = mmap.mmap(self.descriptor, pages * PAGE)
        except OSError as why:
            raise SnapshotError(f"the host has no room for snapshots of RAM: {why.strerror}") from None
        self.file: Contents = np.frombuffer(mapping, dtype=np.uint64).reshape(-1, WORDS)
        """The file's pages."""

    @property
    def newest(self) -> Version | None:
        """The version that is the file; None if nobody needs it any more."""
        return None if self._newest is None else self._newest()

    def add(self, changes: Iterable[tuple[Pages, Contents]], most: int) -> Version:
        """A new version: the file with `changes`, ascending pages, each once; at most so many that the file holds."""
        before = self.newest
        old = _Old(most if before is not None else 0)
        try:
            for pages, contents in changes:
                if before is not None:
                    old.add(pages, self)
                self._put(pages, contents)
        except BaseException:  # Ctrl-C, too: the version before must stay what it was
            self._apply(old.delta())
            raise
        version = Version(self)
        if before is not None:
            before.parent, before.delta = version, old.delta()
        self._newest = weakref.ref(version)
        return version

    def go_to(self, version: Version) -> Pages:
        """Make the file this version of ours; the pages that changed in it."""
        path = version.path()
        changed: list[Pages] = []
        for child, parent in zip(path[-2::-1], path[:0:-1], strict=True):
            assert child.delta is not None
            old = _Old(len(child.delta.pages))
            old.add(child.delta.pages, self)
            back = old.delta()
            try:
                self._apply(child.delta)
            except BaseException:
                self._apply(back)
                raise
            changed.append(back.pages)
            parent.parent, parent.delta = child, back
            child.parent = child.delta = None
            self._newest = weakref.ref(child)
        return np.unique(np.concatenate(changed)) if changed else np.zeros(0, dtype=np.int64)

    def _apply(self, delta: Delta) -> None:
        self._put(delta.pages[delta.held], delta.contents)
        gone = delta.pages[~delta.held]
        self.file[gone[self.held[gone]]] = 0
        self.held[gone] = False

    def _put(self, pages: Pages, contents: Contents) -> None:
        """Write pages, ascending, into the file."""
        old = self.held[pages]
        self.held[pages] = True
        self.file[pages[old]] = contents[old]
        fresh = np.flatnonzero(~old)
        at = 0
        for first, last in runs(pages[fresh]):  # a call for each run is faster than a page fault for each page
            row = int(fresh[at])
            at += last - first
            data = contents[row:row + last - first].data.cast("B")
            where = first * PAGE
            while data:
                written = os.pwrite(self.descriptor, data, where)
                where += written
                data = data[written:]


def runs(pages: Pages, gap: int = 0) -> Iterator[tuple[int, int]]:
    """Pages as (first, behind the last) of each run; up to `gap` missing pages do not end one."""
    if len(pages) == 0:
        return
    cuts = np.flatnonzero(np.diff(pages) > gap + 1) + 1
    firsts = pages[np.concatenate(([0], cuts))]
    lasts = pages[np.concatenate((cuts - 1, [len(pages) - 1]))]
    yield from zip(firsts.tolist(), (lasts + 1).tolist(), strict=True)


def rows(table: Contents, pages: Pages) -> Contents:
    """The contents of `pages`, ascending: a view where they are one run, else a copy."""
    if len(pages) and pages[-1] - pages[0] == len(pages) - 1:
        return table[pages[0]:pages[-1] + 1]
    return table[pages]


def not_zero(contents: Contents) -> npt.NDArray[np.bool_]:
    """Which pages are not all zero."""
    found: npt.NDArray[np.bool_] = np.bitwise_or.reduce(contents, axis=1) != 0
    return found


class _Old:
    """What a store has in pages before they are changed, `most` of which it holds."""

    def __init__(self, most: int) -> None:
        self._pages: list[Pages] = []
        self._held: list[npt.NDArray[np.bool_]] = []
        self._contents = np.empty((most, WORDS), dtype=np.uint64)  # costs memory where it is written to
        self._count = 0

    def add(self, pages: Pages, store: PageStore) -> None:
        """Remember these pages, which are above those before."""
        held = store.held[pages]
        before, self._count = self._count, self._count + int(np.count_nonzero(held))
        np.take(store.file, pages[held], axis=0, out=self._contents[before:self._count], mode="clip")
        self._pages.append(pages)
        self._held.append(held)

    def delta(self) -> Delta:
        """All of it."""
        return Delta(np.concatenate([np.zeros(0, dtype=np.int64), *self._pages]),
                     np.concatenate([np.zeros(0, dtype=np.bool_), *self._held]), self._contents[:self._count])
