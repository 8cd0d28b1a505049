"""`python -m bench lab` measures what it says, with less of it."""

from __future__ import annotations

import pytest

from bench import lab
from bench.__main__ import NAMES


def test_the_lab_s_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CALLS", 400), ("CHECKED", 1000), ("ROUNDS", 1), ("RESETS", 2)):
        monkeypatch.setattr(lab, name, value)
    found = lab.figures()
    assert "lab" in NAMES and [figure.required for figure in found] == [200_000, 50_000, 60, None]
    assert all(figure.value is not None and figure.value > 0 for figure in found)
    assert found[2].verdict == "ok" and found[2].note.endswith(" 0 findings")
