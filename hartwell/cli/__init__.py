"""The command line: one file per command, registered in `app`.

Start-up is part of the tool: modules here import the emulator, numpy and rich inside the functions
that need them, so that `hartwell --help` costs none of them and `hartwell boot` no rich.
"""

from __future__ import annotations


def main() -> int:
    """Run the command in sys.argv; the process's exit code."""
    try:
        from .app import run

        return run()
    except KeyboardInterrupt:  # while modules are still being imported; later ones are the run's own to handle
        return 130
