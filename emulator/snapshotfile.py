"""A snapshot in a file, a `sectionfile`.

        HEAD   JSON: who wrote it, the board, the fields that its state has, and the state
        DATA   what is bulky in the state, in pieces                    `plainvalues`
        PAGE   pages of RAM: their numbers, 8 bytes each, then their contents; those that are all zero are left out

The same state makes the same file. A file is checked from its beginning to its end before anything is made
of it. That guards against damage, not against malice: a snapshot, like a program, should be from somebody
whom one trusts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import boardrecord, plainvalues
from .engine import state as enginestate
from .errors import BoardError, ProfileError, SnapshotError
from .eventqueue import Scheduled
from .loader.placement import Placed, Plan
from .pagemap import PAGE, Pages
from .pagestore import BLOCK, WORDS, Contents, LooseImage
from .sectionfile import SectionFile
from .stop import Exited, Interrupted, ResetRequested

if TYPE_CHECKING:
    from .snapshot import Snapshot

HEAD, DATA, PAGES = b"HEAD", b"DATA", b"PAGE"
PIECE = 4 << 20
"""Bytes in a DATA section."""
ENTRY = 8 + PAGE
"""Bytes of a page in a PAGE section."""
FORMAT = SectionFile("snapshot", "hartwell boot --save FILE writes one", b"HARTWELL-SNAPSHOT", 1, HEAD,
                     {HEAD: 1 << 30, DATA: PIECE, PAGES: BLOCK * ENTRY}, SnapshotError)
STOPS = (Exited, ResetRequested, Interrupted)
"""What devices ask for, and a file can keep."""
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, IndexError, StopIteration)


def save(snapshot: Snapshot, path: Path) -> int:
    """Write `snapshot` to a file; its size. OSError if it cannot be written, SnapshotError for what it cannot hold."""
    return FORMAT.write(path, _sections(snapshot))


def digest(snapshot: Snapshot) -> str:
    """A SHA-256 of the sections that a file of `snapshot` has."""
    found = hashlib.sha256()
    for tag, body in _sections(snapshot):
        found.update(tag + len(body).to_bytes(8, "little"))
        found.update(body)
    return found.hexdigest()


def load(name: str) -> tuple[Any, ...]:
    """The fields of the Snapshot in the file `name`. InputFileError or SnapshotError."""
    head, head_at, bulk = b"", 0, bytearray()
    parts: list[tuple[Pages, Contents]] = []
    for tag, at, body in FORMAT.read(name):
        if tag == HEAD:
            head, head_at = body, at
        elif tag == DATA:
            bulk += body
        else:
            count = len(body) // ENTRY
            if count * ENTRY != len(body):
                raise SnapshotError.at(name, at, "section PAGE", f"{len(body)} bytes", f"a multiple of {ENTRY}")
            parts.append((np.frombuffer(body, dtype="<i8", count=count).astype(np.int64),
                          np.frombuffer(body, dtype="<u8", offset=8 * count).reshape(count, WORDS)))
    try:
        told = json.loads(head)
        boardrecord.rebuild(told["board"])
        boardrecord.shown(told["devices"])
        boardrecord.rebuild_timing(told["timing"])
        _check_fields(told)
        ram = LooseImage(int(told["pages"]), parts)
        _check_order(ram)
        return _decoded(told, memoryview(bytes(bulk)), ram)
    except (*_NONSENSE, BoardError, ProfileError) as why:
        raise SnapshotError.at(name, head_at, "section HEAD", f"{type(why).__name__}: {why}",
                               "the state of a machine") from None
    except SnapshotError as why:
        raise SnapshotError(f"{name}: {why}") from None


def _sections(snapshot: Snapshot) -> Iterator[tuple[bytes, bytes]]:
    writer = plainvalues.Writer()
    head = {"hartwell": _version(), "board": snapshot.board, "devices": snapshot.board_devices,
            "timing": snapshot.timing, "fields": enginestate.describe(), "pages": snapshot.ram.pages,
            "state": _encoded(snapshot, writer)}
    yield HEAD, json.dumps(head, separators=(",", ":"), sort_keys=True).encode()
    bulk = b"".join(writer.bulk)
    for at in range(0, len(bulk), PIECE):
        yield DATA, bulk[at:at + PIECE]
    for pages, contents in _even(snapshot.ram.blocks()):
        yield PAGES, pages.astype("<i8").tobytes() + contents.tobytes()


def _even(blocks: Iterator[tuple[Pages, Contents]]) -> Iterator[tuple[Pages, Contents]]:
    """The same pages, cut into blocks of one size, which does not tell how they came about."""
    pages, contents = np.zeros(0, dtype=np.int64), np.zeros((0, WORDS), dtype=np.uint64)
    for more, rows in blocks:
        pages, contents = np.concatenate([pages, more]), np.concatenate([contents, rows])
        if len(pages) >= BLOCK:
            yield pages[:BLOCK], contents[:BLOCK]
            pages, contents = pages[BLOCK:], contents[BLOCK:]
    if len(pages):
        yield pages, contents


def _encoded(snapshot: Snapshot, writer: plainvalues.Writer) -> Any:
    host, engine = snapshot.host, snapshot.engine
    if host.stop is not None and not isinstance(host.stop, STOPS):
        raise SnapshotError(f"a device has asked for {type(host.stop).__name__}, which a file cannot hold")
    stop = None if host.stop is None else [type(host.stop).__name__, asdict(host.stop)]
    plan = None if host.plan is None else {**vars(host.plan), "placed": [vars(part) for part in host.plan.placed]}
    devices = []
    for told, state in zip(snapshot.board_devices, snapshot.devices, strict=True):
        try:
            devices.append(writer.encode(state))
        except TypeError as why:
            raise SnapshotError(f"device {told[0]}: its state has {why}") from None
    return {
        "engine": writer.encode({"hart": engine.hart, "machine": engine.machine, "harts": engine.harts,
                                 "arrays": dict(engine.arrays)}),
        "devices": devices,
        "host": writer.encode({"console": host.console, "searched": host.searched, "stop": stop, "events": host.events,
                               "plan": plan})}


def _decoded(told: dict[str, Any], bulk: memoryview, ram: LooseImage) -> tuple[Any, ...]:
    """The fields of a Snapshot."""
    from .snapshot import HostState

    engine = plainvalues.decode(told["state"]["engine"], bulk)
    devices = tuple(plainvalues.decode(state, bulk) for state in told["state"]["devices"])
    host = plainvalues.decode(told["state"]["host"], bulk)
    stop = None
    if host["stop"] is not None:
        kind, fields = host["stop"]
        stop = next(known for known in STOPS if known.__name__ == kind)(**fields)
    plan = None
    if host["plan"] is not None:
        parts = tuple(Placed(**part) for part in host["plan"]["placed"])
        initrd = host["plan"]["initrd"]
        plan = Plan(**{**host["plan"], "placed": parts, "initrd": None if initrd is None else tuple(initrd)})
    events = tuple(Scheduled(int(number), int(clock), str(action)) for number, clock, action in host["events"])
    harts = enginestate.EngineState(int(engine["hart"]), np.asarray(engine["machine"], dtype=np.int64),
                                    np.asarray(engine["harts"], dtype=np.int64), dict(engine["arrays"]))
    return (told["board"], told["devices"], told["timing"], harts, ram, devices,
            HostState(bytes(host["console"]), int(host["searched"]), stop, events, plan))


def _check_fields(told: dict[str, Any]) -> None:
    """SnapshotError if another version of Hartwell keeps other state than this one."""
    theirs, ours = told["fields"], enginestate.describe()
    if theirs == ours:
        return
    names = {name for group in ours.values() for name, _ in group}
    other = {name for group in theirs.values() for name, _ in group}
    differing = ", ".join(sorted(names ^ other)) or "the sizes of fields"
    raise SnapshotError(f"Hartwell {told['hartwell']} wrote it, whose machines have other state ({differing}): "
                        f"expected this version, {_version()}")


def _check_order(ram: LooseImage) -> None:
    last = -1
    for pages, _ in ram.parts:
        if len(pages) and (pages[0] <= last or pages[-1] >= ram.pages or (np.diff(pages) <= 0).any()):
            raise ValueError(f"pages of RAM that do not ascend from {last} to {ram.pages}")
        last = int(pages[-1]) if len(pages) else last


def _version() -> str:
    """Hartwell's version, as installed."""
    try:
        return metadata.version("hartwell")
    except metadata.PackageNotFoundError:
        return "unknown"
