"""Cells on a cluster: through Dask, or anything else with the standard library's Executor interface.

    pip install hartwell[cluster]
    hartwell lab campaign plan.toml --scheduler tcp://head:8786

The cluster's workers need the same Hartwell, and the files that SPECs name, at the same paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from itertools import islice
from typing import Any, Final

from hartwell.lab.errors import LabError

from .campaign import Answer
from .pool import Died

AHEAD: Final = 256
"""Cells that are with the executor at a time: a campaign of a million does not fill a scheduler's memory."""
_ADDRESS: Final = re.compile(r"([a-z]+://)?\S+:[0-9]{1,5}|inproc://\S+")


class ClusterError(LabError):
    """A cluster that cannot be used; says why, and what was expected."""


class OnExecutor:
    """Does cells on an `executor`; the caller closes it.

    When a worker is lost, so is what it has not begun yet, and nobody says which cell it was: all those cells are done
    again at the end, one at a time. One that is lost once more is a crashed one.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __call__(self, cells: Sequence[dict[str, Any]]) -> Iterator[Answer]:
        """See Runner."""
        lost: list[int] = []
        for number, answer in self._do(cells, range(len(cells)), AHEAD):
            if answer is None:
                lost.append(number)
            else:
                yield number, answer
        for number, answer in self._do(cells, sorted(lost), 1):
            yield number, Died("its worker died") if answer is None else answer

    def _do(self, cells: Sequence[dict[str, Any]], numbers: Iterable[int],
            ahead: int) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Do these cells, at most so many at a time; None for the answer of one whose worker was lost."""
        from .work import run_cell

        todo = iter(numbers)
        running: dict[Future[dict[str, Any]], int] = {}
        try:
            while True:
                for number in islice(todo, ahead - len(running)):
                    running[self._executor.submit(run_cell, cells[number])] = number
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=running.__getitem__):
                    number = running.pop(future)
                    yield number, future.result() if future.exception() is None else None
        finally:
            for future in running:
                future.cancel()


class Cluster:
    """The Dask cluster whose scheduler is at `address`, such as tcp://head:8786. Close it, or use a `with` block.

    ClusterError if `distributed` is not installed, or nobody answers within `seconds`.
    """

    def __init__(self, address: str, seconds: float = 10) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise ClusterError(f"--scheduler {address}: the package distributed is not installed; "
                               "pip install hartwell[cluster]") from None
        if not _ADDRESS.fullmatch(address):
            raise ClusterError(f"--scheduler {address}: expected an address such as tcp://head:8786")
        try:
            self._client = Client(address, timeout=seconds, set_as_default=False)
        except (OSError, ValueError) as why:  # TimeoutError is an OSError
            raise ClusterError(f"--scheduler {address}: no Dask scheduler answers there: {why}") from None

    def __call__(self, cells: Sequence[dict[str, Any]]) -> Iterator[Answer]:
        """See Runner."""
        # pure=False: a cell is done anew, whatever the cluster remembers of one like it.
        return OnExecutor(self._client.get_executor(pure=False))(cells)

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()
