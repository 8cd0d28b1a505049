"""Runs histories of a state machine on kernels with a changed line; prints, as JSON, how each change was noticed.

    python -m tests.kernel.mutation.runner GROUP

Nothing of the kernel is imported before a child process changes the source of one of its modules, in memory.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tests.kernel.mutation.mutants import GROUPS, Group, Mutant

SECONDS = 15
"""Of processor time, after which a history that goes on counts as noticed: it hangs."""


class MutantLoader(importlib.machinery.SourceFileLoader):
    """Loads a module with a piece of its text replaced."""

    def __init__(self, mutant: Mutant, name: str, path: str) -> None:
        super().__init__(name, path)
        self.mutant = mutant

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        """The changed module's code, compiled here and kept nowhere."""
        text = Path(self.path).read_text()
        if text.count(self.mutant.old) != 1:
            raise LookupError(f"{self.mutant.old!r} is {text.count(self.mutant.old)} times in {fullname}")
        return compile(text.replace(self.mutant.old, self.mutant.new), self.path, "exec")


class MutantFinder(importlib.abc.MetaPathFinder):
    """Finds the mutant instead of the module."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """Only for the module that is changed."""
        if fullname != self.mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None and spec.origin is not None
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=MutantLoader(self.mutant, fullname, spec.origin))


def run_histories(group: Group) -> str:
    """How the state machine noticed that something is wrong; "" if it did not."""
    from tests.kernel.state.machine import BATCH, WORD, StateMachine, Tally

    parts: list[type] = []
    for name in group.parts:
        module = importlib.import_module(f"tests.kernel.state.{name}")
        parts.append(getattr(module, f"{name.capitalize()}Part"))

    class Machine(StateMachine):
        PARTS = tuple(parts)
        TALLY = Tally()

    lost: list[str] = []  # handles that were found as garbage
    warnings.simplefilter("error", ResourceWarning)
    sys.unraisablehook = lambda what: lost.append(str(what.exc_value))
    for seed in range(group.histories):
        Machine.LEFT = (None, group.left, group.left * 3 // 4)[seed % 3]
        rng = random.Random(seed)
        try:
            machine = Machine()
            try:
                for _ in range(group.steps):
                    machine.operate(rng.randbytes(WORD * rng.randint(1, BATCH)), lambda text: None)
            except BaseException:
                machine.kernel.close()
                raise
            machine.teardown()
            if lost:
                return lost[0]
        except LookupError:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} at {Path(place.filename).stem}:{place.lineno}: {str(error)[:150]}"
    return ""


def try_mutant(group: Group, mutant: Mutant | None) -> str:
    """`run_histories` in a child process, with the change."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        answer = "died"
        try:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - to the end
            if mutant is not None:
                sys.meta_path.insert(0, MutantFinder(mutant))
            answer = run_histories(group)
        except (LookupError, SyntaxError) as error:
            answer = f"! {error}"
        except BaseException as error:
            answer = f"import: {error!r}"
        finally:
            os.write(send, answer.encode()[:4000])
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return answer if not status else f"ended by signal {status}: it hung"


def main(name: str) -> None:
    """Try the unchanged kernel and all of a group's mutants."""
    import hypothesis.stateful  # noqa: F401 - once, not in every child

    from emulator import Board, Machine

    Machine(Board(memory=16 << 20))  # compiles the native hooks
    group = GROUPS[name]
    answers = {"": try_mutant(group, None)}
    for mutant in group.mutants:
        answers[mutant.name] = try_mutant(group, mutant)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
