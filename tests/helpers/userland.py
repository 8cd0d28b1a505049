"""User programs on our kernel, in this process: `hartwell run` without its command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from tempfile import TemporaryFile

from emulator import Board
from emulator.loader.sizes import parse_size
from emulator.timing import load_profile
from hartwell.console import Console
from hartwell.userland import Job, Listeners, Outcome, Userland, archive


@dataclass(frozen=True)
class Ran:
    """What a program has written, and how it ended."""

    output: str
    errors: str
    outcome: Outcome


def run_program(program: bytes, name: str, *arguments: str, storage: str = "frames", harts: int = 1,
                memory: str = "128M", stdin: bytes = b"", initrd: bytes = b"", files: dict[str, bytes] | None = None,
                links: Sequence[str] = (), environment: Sequence[str] = (), timing: str = "off",
                limit: int | None = None, counted: bool = False, called: str = "") -> Ran:
    """Run `program` as /bin/`name`, with `files` by their paths; `called` is its argument 0."""
    output, errors = bytearray(), bytearray()
    profile = load_profile(timing) if timing != "off" else None
    entries = archive.program(name, program, links)
    entries += [archive.file(path, data, 0o644) for path, data in (files or {}).items()]
    packed = initrd + bytes(-len(initrd) % 4) + archive.pack(entries)
    board = Board(harts=harts, memory=parse_size(memory, "memory"))
    job = Job(f"/bin/{name}", [os.fsencode(word) for word in (called or name, *arguments)],
              [b"PATH=/bin", *map(os.fsencode, environment)])
    with TemporaryFile() as source, closing(Userland(board, profile, packed, storage)) as user:
        source.write(stdin)
        source.seek(0)
        host = Console(board.clock_hz, lambda: 0, stdin=source.fileno())
        outcome = user.run(job, host, Listeners(output.extend, errors.extend), limit=limit, counted=counted)
    return Ran(output.decode("utf-8", "backslashreplace"), errors.decode("utf-8", "backslashreplace"), outcome)
