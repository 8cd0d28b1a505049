"""A pool of processes that outlives its workers: one that dies takes its own cell with it, and no other.

        parent ── task ──> worker process        one task at a time each
               <── answer
               <── end of file                    it died: the task is named, a new worker takes its place

The standard library's executors give up as a whole when a worker dies, and cannot say over which task. Workers are
forked from a server that has imported what they need (or spawned, where there is none), never from this process, which
may have threads and engines. One that has come to use more than LIMIT bytes is replaced when its task is done.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Final

LIMIT: Final = 2 << 30
"""Bytes that a worker may have used at any time: above, it does no further task."""
Plain = dict[str, Any]
Work = Callable[[Plain], Plain]


@dataclass(frozen=True)
class Died:
    """The worker ended without an answer; why, as far as that is known."""

    why: str

    def __str__(self) -> str:
        return self.why


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: int | None = None


def run_tasks(work: Work, tasks: Sequence[Plain], workers: int,
              limit: int = LIMIT) -> Iterator[tuple[int, Plain | Died]]:
    """Do `work` on each task in up to `workers` processes; the number of each task and its answer, as they come.

    `work` can be pickled (each worker has its own), tasks and answers are plain data. A worker that has used `limit`
    bytes is replaced. When the iterator is closed or an exception passes through it, all workers are ended. What `work`
    raises is the worker's death.
    """
    context = _context(_module_of(work))
    pool = [_start(context, work) for _ in range(min(workers, len(tasks)))]
    waiting = iter(range(len(tasks)))
    try:
        for worker in pool:
            _give(worker, tasks, waiting)
        while busy := [worker for worker in pool if worker.task is not None]:
            ready = wait([worker.pipe for worker in busy])
            for worker in busy:
                if worker.pipe not in ready:
                    continue
                task = worker.task
                assert task is not None
                answer: Plain | Died
                used = 0
                try:
                    used, answer = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    answer = Died(_ending(worker.process.exitcode))
                if isinstance(answer, Died) or used > limit:
                    worker.pipe.close()
                    worker.process.join()
                    pool[pool.index(worker)] = worker = _start(context, work)
                _give(worker, tasks, waiting)
                yield task, answer
    finally:
        for worker in pool:
            worker.process.terminate()
            worker.pipe.close()
        for worker in pool:
            worker.process.join()


def _context(module: str) -> ForkServerContext | SpawnContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def _module_of(work: Work) -> str:
    return str(work.__module__ if hasattr(work, "__name__") else type(work).__module__)


def _start(context: ForkServerContext | SpawnContext, work: Work) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    with _undisturbed():
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits; processes that are started meanwhile, the server of workers too, never get it, not even while they
    import what they need: their parent ends them.
    """
    resource_tracker.ensure_running()  # which would let Ctrl-C through again, when it is first started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _give(worker: _Worker, tasks: Sequence[Plain], waiting: Iterator[int]) -> None:
    """Give a worker the next task, if there is one. One that has died meanwhile will be seen to have."""
    worker.task = next(waiting, None)
    if worker.task is not None:
        with suppress(OSError):
            worker.pipe.send(tasks[worker.task])


def _serve(pipe: Connection, work: Work) -> None:
    """A worker's life. Ctrl-C is for the parent, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        answer = work(task)
        pipe.send((_used(), answer))


def _used() -> int:
    """The most bytes of memory that this process ever had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def _ending(code: int | None) -> str:
    """How a process ended, by its exit code: negative for a signal."""
    if code is None or code >= 0:
        return f"its process ended with exit code {code or 0}"
    try:
        return f"its process was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was killed by signal {-code}"
