"""A system for tests of the search: threads that are lists of instructions on a few words of memory.

    ("load", x)        append what is at x to what the thread has seen
    ("store", x, n)    put n there
    ("add", x)         one more than the thread has seen last, stored at x (a load before it makes it an increment)
    ("bump", x)        an atomic increment
    ("lock", x)        wait until it is 0, and make it 1
    ("unlock", x)      make it 0
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any

from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.race.system import Access, AccessKind, Place

Instruction = tuple[Any, ...]
KINDS = {"load": AccessKind.LOAD, "store": AccessKind.STORE, "add": AccessKind.STORE, "bump": AccessKind.ATOMIC,
         "lock": AccessKind.ATOMIC, "unlock": AccessKind.STORE}


class Abstract:
    """The system of these programs; `bad` says what is wrong with memory at the end."""

    remakes = False

    def __init__(self, *programs: Sequence[Instruction],
                 bad: Callable[[dict[int, int]], str] = lambda memory: "") -> None:
        self.programs = [list(program) for program in programs]
        self.threads = len(programs)
        self._bad = bad
        self.steps = 0
        self.start()

    def start(self) -> None:
        self.memory: dict[int, int] = {}
        self.at = [0] * self.threads
        self.seen: list[list[int]] = [[] for _ in self.programs]
        self.tired = False

    def ready(self) -> list[int]:
        return [thread for thread in range(self.threads) if not self.tired and self._can(thread)]

    def _can(self, thread: int) -> bool:
        if self.at[thread] == len(self.programs[thread]):
            return False
        what, where = self.programs[thread][self.at[thread]][:2]
        return what != "lock" or not self.memory.get(where)

    def next(self, thread: int) -> Place | None:
        at = self.at[thread]
        return Place(8 * self.programs[thread][at][1], 8) if at < len(self.programs[thread]) else None

    def step(self, thread: int) -> Access:
        assert thread in self.ready()
        self.steps += 1
        what, where, *rest = self.programs[thread][self.at[thread]]
        self.at[thread] += 1
        before = self.memory.get(where, 0)
        after = before
        if what == "load":
            self.seen[thread].append(before)
        elif what == "store":
            after = rest[0]
        elif what == "add":
            after = self.seen[thread][-1] + 1 if self.seen[thread] else 1
        elif what == "bump":
            after = before + 1
            self.seen[thread].append(before)
        else:
            after = int(what == "lock")
        self.memory[where] = after
        return Access(thread, self.at[thread], 8 * where, 8, KINDS[what], after != before)

    def save(self) -> object:
        return copy.deepcopy((self.memory, self.at, self.seen, self.tired))

    def load(self, saved: Any) -> None:
        self.memory, self.at, self.seen, self.tired = copy.deepcopy(saved)

    def give_up(self, steps: int) -> None:
        self.tired = True

    def finding(self) -> Finding | None:
        if self.tired:
            return Finding(FindingKind.HANG, "tired")
        if any(at < len(program) for at, program in zip(self.at, self.programs, strict=True)):
            return Finding(FindingKind.DEADLOCK, "all wait")
        said = self._bad(self.memory)
        return Finding(FindingKind.CONTENTS, said) if said else None

    def digest(self) -> str:
        return repr(self.state())

    def state(self) -> tuple[object, ...]:
        """All that an execution leaves behind."""
        return (tuple(sorted((word, value) for word, value in self.memory.items() if value)),
                tuple(map(tuple, self.seen)), tuple(self.at))


def random_programs(chance: random.Random, threads: int, length: int, words: int) -> Abstract:
    """Some threads with some accesses each, to a few words; a few take a lock for a while."""
    programs = []
    for _ in range(threads):
        program: list[Instruction] = []
        held: int | None = None
        for _ in range(length):
            what = chance.choice(["load", "load", "store", "add", "bump", "lock"])
            word = chance.randrange(words)
            if what == "lock":
                if held is None:
                    held = chance.choice([100, 101])
                    program.append(("lock", held))
                else:
                    program.append(("unlock", held))
                    held = None
            else:
                program.append((what, word, chance.randrange(3)))
        if held is not None and chance.random() < 0.8:  # else it is never released, and others may wait for ever
            program.append(("unlock", held))
        programs.append(program)
    return Abstract(*programs)
