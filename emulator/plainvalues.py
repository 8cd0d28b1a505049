"""Plain values as JSON, with everything bulky beside it: what files that keep a machine's state are made of.

        None, bool, int, str, list    as in JSON (a tuple becomes a list)
        dict                          {"dict": {...}}; its keys are str
        bytes                         {"bytes": [offset, size]}
        numpy array of numbers        {"array": [offset, size], "type": "<i8", "shape": [...]}

`offset` counts from the beginning of the bulk, which is all bytes and arrays one after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Writer:
    """Encodes values; `bulk` is what belongs beside them."""

    def __init__(self) -> None:
        self.bulk: list[bytes] = []
        self._size = 0

    def encode(self, value: Any) -> Any:
        """`value` for `json.dumps`. TypeError names what is not plain in it."""
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, list | tuple):
            return [self.encode(item) for item in value]
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"the key {key!r}, expected text")
            return {"dict": {key: self.encode(item) for key, item in value.items()}}
        if isinstance(value, bytes):
            return {"bytes": self._put(value)}
        if isinstance(value, np.ndarray) and value.dtype.kind in "iufb":
            return {"array": self._put(value.tobytes()), "type": value.dtype.str, "shape": list(value.shape)}
        raise TypeError(f"a {type(value).__name__}, expected numbers, text, bytes, arrays, lists and dicts")

    def _put(self, data: bytes) -> list[int]:
        self.bulk.append(data)
        at, self._size = self._size, self._size + len(data)
        return [at, len(data)]


def decode(value: Any, bulk: memoryview) -> Any:
    """What `Writer.encode` was given, tuples as lists. KeyError, TypeError or ValueError for anything else."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list):
        return [decode(item, bulk) for item in value]
    if isinstance(value, dict) and "dict" in value:
        return {key: decode(item, bulk) for key, item in value["dict"].items()}
    if isinstance(value, dict) and "bytes" in value:
        return bytes(_take(value["bytes"], bulk))
    if isinstance(value, dict) and "array" in value:
        kind = np.dtype(value["type"])
        if kind.kind not in "iufb":
            raise ValueError(f"an array of {kind}")
        return np.frombuffer(_take(value["array"], bulk), dtype=kind).reshape(value["shape"])
    raise ValueError(f"a {type(value).__name__} that means nothing")


def _take(place: Any, bulk: memoryview) -> memoryview:
    at, size = place
    if not 0 <= at <= at + size <= len(bulk):
        raise ValueError(f"bytes {at} to {at + size} of {len(bulk)}")
    return bulk[at:at + size]
