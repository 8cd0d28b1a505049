"""The prompt: lines from a person at a terminal, with history and completion.

        Tab       completes          Ctrl-C    at the prompt a new line, in a run a stop
        Up, Ctrl-R the history       Ctrl-D    the end

The history is $XDG_STATE_HOME/hartwell/debug_history (~/.local/state without that variable).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from .completion import DebugCompleter
from .errors import DebugError
from .interrupting import interruptible
from .palette import Role

if TYPE_CHECKING:
    from .session import Session


def history() -> History:
    """The history's file; a history of this session only if there can be none."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = (Path(state) if os.path.isabs(state) else Path.home() / ".local/state") / "hartwell"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(folder / "debug_history", "ab"):
            pass
    except OSError:
        return InMemoryHistory()
    return FileHistory(folder / "debug_history")


def talk(session: Session, complain: Callable[[str], None]) -> None:
    """Read and run commands until the end; `complain` gets the errors, which end nothing else."""
    reader: PromptSession[str] = PromptSession(history=history(), completer=DebugCompleter(session),
                                               complete_while_typing=False, enable_history_search=True)
    while session.exit_code is None:
        try:
            line = reader.prompt("(hartwell, past) " if session.target.in_past else "(hartwell) ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            with interruptible(session.machine):
                if line.strip():
                    session.execute(line)
                else:
                    session.repeat()
        except DebugError as why:
            complain(session.paint(Role.ERROR, str(why)))
        except KeyboardInterrupt:
            complain(session.paint(Role.ERROR, "interrupted"))
