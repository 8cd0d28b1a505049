"""Archives for a kernel to unpack: cpio, format newc (cpio(5)), made from files on the host."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hartwell.cli.status import CommandError

UNCOMPRESSED = 1 << 32
"""Bytes that an archive may have uncompressed when it is looked at."""
REGULAR, DIRECTORY, SYMLINK = 0o100000, 0o040000, 0o120000


@dataclass(frozen=True)
class Entry:
    """A file of the archive: its path without a leading slash, its mode with the type, and its contents."""

    path: str
    mode: int
    data: bytes = b""


def file(path: str, data: bytes, mode: int = 0o755) -> Entry:
    """A regular file."""
    return Entry(path.strip("/"), REGULAR | mode, data)


def pack(entries: Iterable[Entry]) -> bytes:
    """The archive; directories on the way are the unpacker's business."""
    parts: list[bytes] = []
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], start=1):
        name = entry.path.encode("utf-8", "surrogateescape") + b"\0"
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        parts += [_padded(header), _padded(entry.data)]
    return b"".join(parts)


def program(name: str, data: bytes, links: Sequence[str]) -> list[Entry]:
    """A program in /bin, and further names for it there."""
    return [file(f"bin/{name}", data), *(Entry(f"bin/{other}", SYMLINK | 0o777, name.encode()) for other in links)]


def host_file(spec: str) -> Entry:
    """A file of the host's: HOST[:GUEST]. CommandError if there is none."""
    from emulator.loader.detect import read_file

    host, _, guest = spec.partition(":")
    guest = guest or f"/{os.path.basename(host)}"
    if not guest.startswith("/") or guest.endswith("/"):
        raise CommandError(f"--file {spec}: {guest!r} is no path of a file; expected one that begins with a slash")
    return file(guest, read_file(host, "--file"), 0o755 if os.access(host, os.X_OK) else 0o644)


def initrd(path: str | None) -> bytes:
    """The archive in a file, padded so that another may follow; nothing without a path."""
    from emulator.loader.detect import read_file

    return _padded(read_file(path, "--initrd")) if path is not None else b""


def holds(data: bytes, path: str) -> bool:
    """Whether an archive has this path, as an entry or behind a symbolic link.

    A damaged archive has every path: whoever unpacks it says what is wrong.
    """
    from kernel.fs.cpio import ArchiveError, Source, parse
    from kernel.fs.stat import FileType

    try:
        found = {entry.name.removeprefix(b"./").strip(b"/"): entry.type
                 for entry in parse(Source.of_bytes("--initrd", data), UNCOMPRESSED)}
    except ArchiveError:
        return True
    wanted = path.strip("/").encode("utf-8", "surrogateescape")
    parts = wanted.split(b"/")
    return wanted in found or any(found.get(b"/".join(parts[:n])) is FileType.SYMLINK for n in range(1, len(parts)))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
