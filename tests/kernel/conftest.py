"""Fixtures: a booted kernel, and its memory manager."""
import sys
sys.path.insert(0, "/tmp")
import pytest
@pytest.fixture
def mm():
    from kharness import make_mm
    return make_mm()
