"""The error that ends a command, and nothing but the command."""

from __future__ import annotations


class DebugError(Exception):
    """A command that cannot be done: the text is one line that says why, or what was expected."""
