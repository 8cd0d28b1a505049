"""RAM in a file: what a machine's memory held, and the board that it was on.

        HARTWELL-RAM 1\\n                                       what it is, and the version
        {"board": {...}, "pieces": [[address, bytes], ...]}\\n   one line of JSON
        zlib: the pieces, one after the other                  pages that are all zero are left out
        SHA-256 of everything above, 32 bytes

It is memory alone: harts and devices are not in it. A machine made from one has what was in RAM, and
harts as after power-on.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .board import Board
from .boardrecord import describe, rebuild
from .errors import BoardError, MalformedFileError
from .loader.detect import read_file
from .machine import Machine
from .ram import PAGE
from .range import Range

MAGIC, VERSION = b"HARTWELL-RAM", 1
_BLOCK = 1 << 24


class RamDumpError(MalformedFileError):
    """A file is no RAM dump, is damaged, or is of a version that this one cannot read."""


def save(machine: Machine, path: str | Path) -> int:
    """Write the machine's RAM to a file; the file's bytes. OSError if it cannot be written."""
    pieces = [piece for bank in machine.board.banks for piece in _pieces(machine, bank)]
    head = {"board": describe(machine.board), "pieces": [[piece.base, piece.size] for piece in pieces]}
    digest, packer = hashlib.sha256(), zlib.compressobj(1)
    size = 0
    with open(path, "wb") as out:
        def write(data: bytes) -> None:
            nonlocal size
            digest.update(data)
            size += out.write(data)

        write(b"%s %d\n%s\n" % (MAGIC, VERSION, json.dumps(head).encode()))
        for piece in pieces:
            for at in range(piece.base, piece.end, _BLOCK):
                write(packer.compress(machine.bus.memory(at, min(_BLOCK, piece.end - at)).data))
        write(packer.flush())
        size += out.write(digest.digest())
    return size


def load(path: str | Path) -> Machine:
    """A machine with the board and the memory that a file tells of.

    InputFileError if the file cannot be read, RamDumpError if it is not what `save` writes.
    """
    name = str(path)
    data = read_file(name, "RAM dump")
    board, pieces, body = _open(data, name)
    machine = Machine(board)
    try:
        _fill(machine, pieces, data[body:-32])
    except (zlib.error, RamDumpError) as why:
        machine.close()
        raise RamDumpError.at(name, body, "memory", str(why), "all pieces in one zlib stream") from None
    return machine


def _fill(machine: Machine, pieces: list[Range], packed: bytes) -> None:
    unpacker = zlib.decompressobj()
    for piece in pieces:
        for at in range(piece.base, piece.end, _BLOCK):
            want, block = min(_BLOCK, piece.end - at), bytearray()
            while len(block) < want:
                more = unpacker.decompress(packed, want - len(block))
                packed = unpacker.unconsumed_tail
                if not more:
                    raise RamDumpError(f"the end, at physical {at + len(block):#x}")
                block += more
            machine.bus.write(at, bytes(block))


def _open(data: bytes, name: str) -> tuple[Board, list[Range], int]:
    """The board, the pieces, and where in the file their contents begin."""
    first, _, _ = data[:64].partition(b"\n")
    magic, _, version = first.partition(b" ")
    if magic != MAGIC:
        raise RamDumpError.at(name, 0, "RAM dump", repr(data[:len(MAGIC)]), f"{MAGIC!r}: hartwell boot --dump-ram FILE "
                              "writes one")
    if version != str(VERSION).encode():
        raise RamDumpError.at(name, len(MAGIC) + 1, "version", repr(version.decode("ascii", "replace")), str(VERSION))
    if len(data) < 32 or hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise RamDumpError.at(name, max(len(data) - 32, 0), "checksum", "another", "that of the contents; the file is "
                              "damaged or cut short")
    begin = len(first) + 1
    body = data.index(b"\n", begin) + 1
    try:
        head: dict[str, Any] = json.loads(data[begin:body])
        board = rebuild(head["board"])
        pieces = [Range(*pair) for pair in head["pieces"]]
    except (ValueError, KeyError, TypeError, BoardError) as why:
        raise RamDumpError.at(name, begin, "board", str(why), "the description of one") from None
    for piece in pieces:
        if not any(bank.contains(piece.base, piece.size) for bank in board.banks):
            raise RamDumpError.at(name, begin, "piece of memory", str(piece), "one inside of a bank")
    return board, pieces, body


def _pieces(machine: Machine, bank: Range) -> Iterator[Range]:
    """The pieces of a bank that hold anything but zeros, whole pages, ascending."""
    start = None
    for at in range(bank.base, bank.end, _BLOCK):
        size = min(_BLOCK, bank.end - at)
        touched = _touched(machine, at, size)
        if touched is not None:
            view = machine.bus.memory(at, size).reshape(-1, PAGE)
            for index in np.flatnonzero(touched).tolist():  # pages that were never touched stay so
                touched[index] = bool(view[index].any())
        full = np.ones(size // PAGE, dtype=np.bool_) if touched is None else touched
        edges = np.flatnonzero(np.diff(full.astype(np.int8), prepend=np.int8(start is not None)))
        for index in edges.tolist():
            if start is None:
                start = at + index * PAGE
            else:
                yield Range(start, at + index * PAGE - start)
                start = None
    if start is not None:
        yield Range(start, bank.end - start)


def _touched(machine: Machine, address: int, size: int) -> npt.NDArray[np.bool_] | None:
    """Which pages behind these addresses may hold anything but zeros; None where the host does not tell."""
    offset = machine.ram.offset(address, size)
    return None if offset is None else machine.ram.touched(offset, size)
