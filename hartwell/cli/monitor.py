"""Monitor commands for debuggers at a distance: those of `hartwell debug` that a gdb has no command for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.debug import Target
    from emulator.loader.model import Image
    from hartwell.debug.session import Session


def commands(target: Target, images: Sequence[Image]) -> Callable[[str, int], str]:
    """Obeys lines for a hart of `target`, on which programs run from `images`; what is no command is said to be none.

    Nothing is read of the images before the first line.
    """
    session: Session | None = None

    def obey(line: str, hart: int) -> str:
        nonlocal session
        from hartwell.debug.commands import COMMANDS
        from hartwell.debug.programs import Programs
        from hartwell.debug.session import Session, run_command

        if line.split() in ([], ["help"]):
            shown = [command for command in COMMANDS if command.remote and command.name not in ("help", "goto")]
            width = max(len(command.usage) for command in shown)
            return "".join(f"{command.usage:{width}}  {command.summary}\n" for command in shown)
        if session is None:
            session = Session(target, Programs(images), print)
        session.follow()
        session.hart_number = hart
        return run_command(session, line)

    return obey
