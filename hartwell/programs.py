"""The user programs that come with Hartwell: the folders of the package `programs`, each with a manifest."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class Program:
    """A program of the catalogue, as its manifest describes it."""

    name: str
    title: str
    shows: str
    memory: str
    """RAM that it is for, as for -m."""
    exit: int
    """Its exit code."""
    linux: bool
    """Whether it prints the same on Linux, whatever the memory there."""
    folder: Traversable

    def program(self) -> bytes:
        """The built ELF."""
        return (self.folder / f"{self.name}.elf").read_bytes()

    def expected(self) -> str:
        """What it prints."""
        return (self.folder / "expected.txt").read_text(encoding="utf-8")


def names() -> list[str]:
    """The names of all programs, in order."""
    return sorted(entry.name for entry in files("programs").iterdir() if (entry / "manifest.toml").is_file())


def find(name: str) -> Program | None:
    """The program called `name`, None if there is none."""
    if not name or "/" in name or name.startswith("."):
        return None
    folder = files("programs") / name
    manifest = folder / "manifest.toml"
    if not manifest.is_file():
        return None
    entry = tomllib.loads(manifest.read_text(encoding="utf-8"))
    return Program(name, entry["title"], " ".join(entry["shows"].split()), entry["memory"], entry["exit"],
                   entry["linux"], folder)


def everything() -> list[Program]:
    """All programs, in order of their names."""
    return [program for name in names() if (program := find(name)) is not None]
