"""The commands of the debugger: tables, a file for each theme, and all of them together."""

from __future__ import annotations

from ..command import CommandTable
from . import changing, files, harts, helping, kernel_eyes, looking, points, reverse, running

COMMANDS = CommandTable((
    ("Running", running.COMMANDS),
    ("Going back", reverse.COMMANDS),
    ("Breakpoints and watchpoints", points.COMMANDS),
    ("Looking", looking.COMMANDS),
    ("Changing", changing.COMMANDS),
    ("Kernel memory", kernel_eyes.COMMANDS),
    ("Harts", harts.COMMANDS),
    ("Files and scripts", files.COMMANDS),
    ("Help", helping.COMMANDS),
))
"""All commands, by theme, as help lists them."""
