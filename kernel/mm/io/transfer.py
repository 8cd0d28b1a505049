"""Copying and filling between windows, up to the exact byte that faults (OSTD `mm/io/copy.rs`).

Overlapping copies are memmoves, whichever way the two ranges come to share memory: one address range,
two mappings of one frame, or a user mapping and the kernel's linear one.
"""

from __future__ import annotations

from emulator import BusError

from .window import LinearWindow, Window

Chunk = tuple[int, int, int]
"""Target address, source address, size."""


def move(target: Window, to: int, source: Window, at: int, size: int) -> int:
    """Copy `size` bytes at `at` of `source` to `to` of `target`; how many were copied before a fault.

    Windows that are linear do not fault; emulator.BusError if they have no RAM there.
    """
    into, out_of = target.memory, source.memory
    if isinstance(target, LinearWindow) and isinstance(source, LinearWindow):
        there, here = to - target.base, at - source.base
        if into is out_of:
            into.copy(there, here, size)
        else:
            into.write(there, out_of.read(here, size))
        return size
    chunks = _plan(target, to, source, at, size)
    copied = 0
    try:
        if into is out_of and len(chunks) > 1 and _may_overlap(chunks):
            contents = []
            for there, here, length in chunks:
                try:
                    contents.append((there, out_of.read(here, length)))
                except BusError:
                    break
            for there, data in contents:
                into.write(there, data)
                copied += len(data)
        else:
            for there, here, length in chunks:
                if into is out_of:
                    into.copy(there, here, length)
                else:
                    into.write(there, out_of.read(here, length))
                copied += length
    except BusError:
        pass  # a page of a device, or of nothing: what the port cannot reach has not been touched
    return copied


def fill(target: Window, to: int, size: int) -> int:
    """Zero `size` bytes at `to`; how many were, before a fault."""
    filled = 0
    while filled < size:
        run = target.run(to + filled, size - filled, True)
        if run is None:
            break
        address, length = run
        try:
            target.memory.fill(address, length)
        except BusError:
            if isinstance(target, LinearWindow):
                raise
            break
        filled += length
    return filled


def _plan(target: Window, to: int, source: Window, at: int, size: int) -> list[Chunk]:
    """The pieces, in order, up to the first fault on either side; each page is translated once."""
    chunks: list[Chunk] = []
    done = here = here_left = there = there_left = 0
    while done < size:
        if not here_left:
            run = source.run(at + done, size - done, False)
            if run is None:
                break
            here, here_left = run
        if not there_left:
            run = target.run(to + done, size - done, True)
            if run is None:
                break
            there, there_left = run
        length = min(here_left, there_left)
        chunks.append((there, here, length))
        done += length
        here += length
        there += length
        here_left -= length
        there_left -= length
    return chunks


def _may_overlap(chunks: list[Chunk]) -> bool:
    """Whether a target may be a source of another piece: judged by the ends of all."""
    low_target = min(there for there, _, _ in chunks)
    end_target = max(there + size for there, _, size in chunks)
    low_source = min(here for _, here, _ in chunks)
    end_source = max(here + size for _, here, size in chunks)
    return low_target < end_source and low_source < end_target
