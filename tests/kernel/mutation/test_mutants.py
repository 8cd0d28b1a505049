"""Break a line of the kernel, and the state machines notice; the checkout's files are not touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.mutation.mutants import GROUPS

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", GROUPS)
def test_every_mutant_is_noticed(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.kernel.mutation.runner", name], cwd=ROOT, check=True,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=500)
    answers = json.loads(done.stdout)
    assert answers.pop("") == "", "the kernel as it is fails its own histories"
    for mutant, how in answers.items():
        print(f"{mutant}: {how}")
    stale = [f"{mutant}: {how}" for mutant, how in answers.items() if how.startswith("!")]
    assert not stale, "the source has changed: these mutants must be written anew"
    survivors = [mutant for mutant, how in answers.items() if not how]
    assert not survivors
    assert len(answers) == len(GROUPS[name].mutants) >= 8
