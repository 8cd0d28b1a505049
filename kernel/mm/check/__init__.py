"""Whole-state invariants: one function that walks everything that the memory manager has in memory."""

from .check import InvariantError, check

__all__ = ["InvariantError", "check"]
