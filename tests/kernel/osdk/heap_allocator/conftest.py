"""A kernel with the default heap."""

from __future__ import annotations

import pytest

from kernel.mm import Mm
from tests.kernel.mm.heap.heaps import make_mm


@pytest.fixture
def mm() -> Mm:
    return make_mm()
