"""What the host's kernel tells about the pages behind a range of our addresses: /proc/self/pagemap.

Reading it needs no privilege; only the physical addresses in it are for root, and are not looked at.

Source: Linux, Documentation/admin-guide/mm/pagemap.rst (bits 61 to 63).
"""

from __future__ import annotations

import mmap
import os

import numpy as np
import numpy.typing as npt

PATH = "/proc/self/pagemap"
PAGE = 4096
"""Bytes of a page; a host with others is not asked."""
FILE, SWAPPED, PRESENT = 1, 2, 4
"""Bits 61 to 63 of an entry: a page of a file, or of memory that is shared; swapped out; in memory."""
_BLOCK = 1 << 17
"""Entries read at a time: a MiB."""

Pages = npt.NDArray[np.int64]
"""Numbers of pages, ascending."""


def existing(host: int, count: int) -> Pages | None:
    """Which of `count` pages from host address `host` exist: all others read as zeros, or as the file behind them.

    None where the host does not tell, or has pages of another size than 4096 bytes.
    """
    return _find(host, count, 0)


def private(host: int, count: int) -> Pages | None:
    """The same for pages that are ours alone: written since they were mapped, in a private mapping of a file."""
    return _find(host, count, FILE)


def _find(host: int, count: int, unwanted: int) -> Pages | None:
    """The pages that are present or swapped, and have none of the bits `unwanted`."""
    if mmap.PAGESIZE != PAGE:
        return None
    wanted = np.zeros(8, dtype=np.bool_)
    for bits in range(8):
        wanted[bits] = bits & (PRESENT | SWAPPED) != 0 and bits & unwanted == 0
    found: list[Pages] = []
    entries = np.empty(min(count, _BLOCK), dtype=np.uint64)
    try:
        with open(PATH, "rb", buffering=0) as pagemap:
            for first in range(0, count, _BLOCK):
                block = entries[:count - first]
                if os.preadv(pagemap.fileno(), [block.data], (host // PAGE + first) * 8) != block.nbytes:
                    return None
                some = np.flatnonzero(block)  # most entries are 0 as a rule
                found.append(some[wanted[block[some] >> np.uint64(61)]] + first)
    except OSError:
        return None
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
