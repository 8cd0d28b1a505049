"""The test images that come with Hartwell: the folders of the package `images`, each with a manifest."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class TestImage:
    """An image of the catalogue, as its manifest describes it (see images/README.md).

    `in_firmware_place` tells that it runs in M-mode at the start of RAM, without firmware.
    `exit` is None for an image that never ends by itself; `ends` then says how it is stopped, and
    `max_insns` after how many instructions.
    """

    __test__ = False  # the name is the thing's, not a test's

    name: str
    title: str
    shows: str
    smp: int
    memory: str
    in_firmware_place: bool
    stdin: str
    exit: int | None
    ends: str
    max_insns: int | None
    folder: Traversable

    def program(self) -> bytes:
        """The built ELF."""
        return (self.folder / f"{self.name}.elf").read_bytes()

    def expected(self) -> str:
        """What the image prints."""
        return (self.folder / "expected.txt").read_text(encoding="utf-8")


def names() -> list[str]:
    """The names of all images, in order."""
    return sorted(entry.name for entry in files("images").iterdir() if (entry / "manifest.toml").is_file())


def find(name: str) -> TestImage | None:
    """The image called `name`, None if there is none."""
    folder = files("images") / name
    manifest = folder / "manifest.toml"
    if "/" in name or name.startswith(".") or not name or not manifest.is_file():
        return None
    entry = tomllib.loads(manifest.read_text(encoding="utf-8"))
    return TestImage(
        name, title=entry["title"], shows=" ".join(entry["shows"].split()), smp=entry["smp"], memory=entry["memory"],
        in_firmware_place=entry["mode"] == "m", stdin=entry.get("stdin", ""), exit=entry.get("exit"),
        ends=entry.get("ends", ""), max_insns=entry.get("max_insns"), folder=folder)


def everything() -> list[TestImage]:
    """All images, in order of their names."""
    return [image for name in names() if (image := find(name)) is not None]
