"""Every requirement of the source documents has a test that names it: test_r<n>_<m>_…"""

from __future__ import annotations

import ast
import re
from pathlib import Path

IDS = {f"r1_{n}" for n in range(1, 10)} | {f"r2_{n}" for n in range(1, 7)} | {f"r3_{n}" for n in range(1, 14)}


def test_every_requirement_has_a_test_that_names_it() -> None:
    named = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (found := re.match(r"test_(r\d_\d+)_", node.name)):
                named.add(found[1])
    assert named == IDS
