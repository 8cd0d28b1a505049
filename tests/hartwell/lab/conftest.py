"""For the lab's tests: subjects that several tests share, pristine for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hartwell.lab.subject import Subject, load_subject


@pytest.fixture(scope="module")
def _buddy() -> Iterator[Subject]:
    with load_subject("buddy") as subject:
        yield subject


@pytest.fixture(scope="module")
def _slab() -> Iterator[Subject]:
    with load_subject("slab") as subject:
        yield subject


@pytest.fixture
def buddy(_buddy: Subject) -> Subject:
    """The C buddy that comes along, pristine."""
    _buddy.reset()
    return _buddy


@pytest.fixture
def slab(_slab: Subject) -> Subject:
    """The C slab heap that comes along, pristine."""
    _slab.reset()
    return _slab
