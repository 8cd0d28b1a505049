"""How large blocks are: each function draws sizes and alignments for all operations of a workload.

Sizes of frames are multiples of 4096 bytes; those of heap blocks are any number of bytes, up to a few pages. None is
larger than an eighth of what may be live, but for `aligned`, whose alignments may be as large as that.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hartwell.lab.subject.subject import SubjectKind

from .workload import Demand, Sizes, Words

HEAP_LARGEST: Final = 16 << 10
"""Bytes of the largest heap blocks: beyond those of a few pages, heaps pass requests on to frames."""
POWER: Final = 1.3
"""Exponent of the power law: a few large blocks make most of the bytes."""


def _most(demand: Demand) -> int:
    """Units (pages, or bytes of a heap) of the largest block."""
    if demand.kind is SubjectKind.FRAME:
        return demand.largest // demand.granule
    return min(demand.largest, HEAP_LARGEST)


def _in_bytes(demand: Demand, units: Words) -> Words:
    unit = demand.granule if demand.kind is SubjectKind.FRAME else 1
    return np.clip(units, 1, _most(demand)) * np.uint64(unit)


def _least(demand: Demand) -> Words:
    """The least alignment, for all."""
    return np.full(demand.count, demand.granule, dtype=np.uint64)


def _scales(demand: Demand) -> Words:
    """Units of all scales, small ones more often: each scale's share of them falls with the root of its number."""
    powers = demand.random.random(demand.count) ** 2 * np.log2(_most(demand) + 1)
    units: Words = np.exp2(powers).astype(np.uint64)
    return units


def mixed(demand: Demand) -> tuple[Words, Words]:
    """Sizes of all scales, odd ones among them; now and then an alignment, up to the size."""
    size = _in_bytes(demand, _scales(demand))
    align = _least(demand)
    strict = np.flatnonzero(demand.random.random(demand.count) < 1 / 8)
    greatest = np.exp2(np.floor(np.log2(size[strict]))).astype(np.uint64)
    align[strict] = np.maximum(greatest, np.uint64(demand.granule))
    return size, align


def fixed(units_of_frames: int, bytes_of_heap: int) -> Sizes:
    """One size for all."""
    def make(demand: Demand) -> tuple[Words, Words]:
        units = units_of_frames if demand.kind is SubjectKind.FRAME else bytes_of_heap
        return _in_bytes(demand, np.full(demand.count, units, dtype=np.uint64)), _least(demand)

    return make


def bimodal(demand: Demand) -> tuple[Words, Words]:
    """Nine in ten are small (one page, 32 bytes), the tenth is large (64 pages, 4096 bytes), each a little varied."""
    small, large = (1, 64) if demand.kind is SubjectKind.FRAME else (32, 4096)
    is_large = demand.random.random(demand.count) < 0.1
    units = np.where(is_large, min(large, _most(demand)), small).astype(np.uint64)
    varied = demand.random.random(demand.count) < 0.25
    units[varied] += demand.random.integers(0, 1 + max(small, 2), int(varied.sum()), dtype=np.uint64)
    return _in_bytes(demand, units), _least(demand)


def power_law(demand: Demand) -> tuple[Words, Words]:
    """Most are as small as can be, some large, by a power law (Pareto): what programs do."""
    least = 1 if demand.kind is SubjectKind.FRAME else 8
    units = least * (1.0 - demand.random.random(demand.count)) ** (-1.0 / POWER)
    return _in_bytes(demand, np.minimum(units, float(1 << 40)).astype(np.uint64)), _least(demand)


def around_powers(demand: Demand) -> tuple[Words, Words]:
    """Powers of two, and one more and one less: where orders and size classes begin and end."""
    top = _most(demand).bit_length()
    power = np.uint64(1) << demand.random.integers(0, top, demand.count, dtype=np.uint64)
    aside = demand.random.integers(0, 3, demand.count, dtype=np.uint64)
    return _in_bytes(demand, np.maximum(power + aside, np.uint64(2)) - np.uint64(1)), _least(demand)


def aligned(demand: Demand) -> tuple[Words, Words]:
    """Alignments of all scales, whatever the size: also much larger than it."""
    size = _in_bytes(demand, _scales(demand))
    shift = (max(_most(demand) * (demand.granule if demand.kind is SubjectKind.FRAME else 1) // demand.granule, 1)
             ).bit_length()
    power = demand.random.integers(0, shift, demand.count, dtype=np.uint64)
    return size, np.uint64(demand.granule) << power
