"""Profiles as TOML files: those that come with Hartwell, and users' own.

    name = "mine"                                     a word; the file's name without .toml if it is left out
    title = "Rocket with a larger data cache"         one line
    base = "rocket"                                   one of Hartwell's own, for every value that is not given
    error = 3.5                                       mean cycle error in per cent, if it was measured

    [l1d]                                             the tables of `profile.Profile`
    sets = 128
    miss = { value = 60, source = "data sheet" }      the same, and where it is from

Without `base` every parameter must be there. `flat = true` makes a profile without a pipeline: it has
neither `base` nor tables. Reading is strict: a file that says anything else is refused.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import Any, Final

from ..errors import ProfileError
from ..loader.detect import read_file
from .parameter import Value, shown
from .profile import PARAMETERS, TABLES, Profile, build, check

FLAT = "simple"
"""The profile of ours that is flat, and no base for others."""
LARGEST_FILE: Final = 64 << 10
"""Bytes."""
LONGEST_LINE: Final = 1000
"""Bytes; the time that tomllib takes for a dotted key grows with the square of its length."""

_TOP = ("name", "title", "base", "flat", "error")
_ENTRY = ("value", "source")
_LONGEST_SOURCE = 200


@dataclass(frozen=True)
class ProfileFile:
    """A profile, and where each of its parameters is from (by `table.key`; none for a flat one)."""

    profile: Profile
    sources: Mapping[str, str]


def load_profile(name_or_path: str) -> Profile:
    """The profile called so (`names`), or that of a user's TOML file: a path with a slash in it, or ending in .toml.

    Raises ProfileError for a name that there is not and for a file that is no profile, InputFileError for a
    file that cannot be read.
    """
    return read_profile(name_or_path).profile


def read_profile(name_or_path: str) -> ProfileFile:
    """As `load_profile`, with the parameters' sources."""
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return parse(read_file(name_or_path, "profile", LARGEST_FILE), name_or_path)
    known = names()
    if name_or_path not in known:
        close = difflib.get_close_matches(name_or_path, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"expected {_listed(known)}, or the path of a .toml file"
        raise ProfileError(f"no timing profile is called {shown(name_or_path)}: {hint}")
    return _ours(name_or_path)


def names() -> tuple[str, ...]:
    """The names of the profiles that come with Hartwell, in order."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir()
                        if entry.name.endswith(".toml")))


def parse(data: bytes, where: str) -> ProfileFile:
    """The profile in the bytes of a user's file, which errors call `where`. ProfileError for anything but a profile."""
    found = _read(data, where, PurePath(where).name.removesuffix(".toml"))
    if found.profile.name in names():
        raise ProfileError.at(where, "name", shown(found.profile.name), "a name that is not one of Hartwell's own: "
                                                                        "its figures would be taken for them")
    return found


def _folder() -> Traversable:
    return files("emulator.timing") / "profiles"


def _ours(name: str) -> ProfileFile:
    return _read((_folder() / f"{name}.toml").read_bytes(), f"profiles/{name}.toml", name)


def _read(data: bytes, where: str, default_name: str) -> ProfileFile:
    """The profile in a file, whoever's it is."""
    document = _document(data, where)
    for key in document:
        if key not in _TOP and key not in TABLES:
            raise ProfileError(f"{where}: {_unknown(key, (*_TOP, *TABLES), PARAMETERS)}")
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for table, found in document.items():
        if table in TABLES:
            for key, value, source in _entries(found, table, where):
                values[key], sources[key] = value, source
    name, title = document.get("name", default_name), document.get("title", "")
    error, flat = document.get("error"), document.get("flat", False)
    check(where, name, title, flat, error, values)
    if flat:
        _refuse_pipeline(document, where)
        return ProfileFile(Profile(name, title, flat=True), {})
    if "base" in document:
        values, sources = _completed(document["base"], values, sources, where)
    _refuse_gaps(values, where)
    check(where, name, title, flat, error, values)
    return ProfileFile(build(name, title, error, values), {key: sources[key] for key in PARAMETERS})


def _refuse_pipeline(document: Mapping[str, Any], where: str) -> None:
    for key in document:
        if key == "base" or key in TABLES:
            raise ProfileError(f"{where}: {key}: expected none beside flat = true, which leaves nothing to describe")


def _refuse_gaps(values: Mapping[str, Value], where: str) -> None:
    missing = [key for key in PARAMETERS if key not in values]
    if missing:
        others = f", nor are {len(missing) - 1} others" if len(missing) > 1 else ""
        raise ProfileError(f"{where}: {missing[0]} is not given{others}: expected all parameters, or base = \"rocket\" "
                           "to have the rest from there")


def _completed(base: object, values: Mapping[str, Value], sources: Mapping[str, str],
               where: str) -> tuple[dict[str, Value], dict[str, str]]:
    """Values and sources, with those of the profile `base` for what is not given."""
    known = [name for name in names() if name != FLAT]
    if not isinstance(base, str) or base not in known:
        raise ProfileError.at(where, "base", shown(base), _listed(known))
    return {**_ours(base).profile.values(), **values}, {**dict.fromkeys(PARAMETERS, f"as {base}"), **sources}


def _document(data: bytes, where: str) -> dict[str, Any]:
    """The file as TOML has it."""
    if len(data) > LARGEST_FILE:
        raise ProfileError(f"{where}: is {len(data):,} bytes, expected at most {LARGEST_FILE:,}")
    for number, line in enumerate(data.split(b"\n"), 1):
        if len(line) > LONGEST_LINE:
            raise ProfileError(f"{where}: line {number} is {len(line):,} bytes, expected at most {LONGEST_LINE:,}")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as why:
        raise ProfileError(f"{where}: byte {data[why.start]:#04x} at offset {why.start:#x}: expected UTF-8") from None
    except RecursionError:
        raise ProfileError(f"{where}: is nested too deeply: expected tables of parameters") from None
    except ValueError as why:
        raise ProfileError(f"{where}: is not TOML: {_line(str(why))}") from None


def _entries(table: object, name: str, where: str) -> Iterable[tuple[str, Value, str]]:
    """The parameters of one table of the file: name, value (not checked yet) and source."""
    if not isinstance(table, dict):
        raise ProfileError.at(where, name, shown(table), f"a table, [{name}]")
    known = [key.partition(".")[2] for key in PARAMETERS if key.startswith(f"{name}.")]
    for key, value in table.items():
        if key not in known:
            raise ProfileError(f"{where}: {name}.{_unknown(key, known, PARAMETERS)}")
        source = f"set in {where}"
        if isinstance(value, dict):
            for part in value:
                if part not in _ENTRY:
                    raise ProfileError(f"{where}: {name}.{key}.{_unknown(part, _ENTRY, ())}")
            if "value" not in value:
                raise ProfileError(f"{where}: {name}.{key} has no value: expected {{ value = …, source = \"…\" }}")
            source = value.get("source", source)
            if not isinstance(source, str) or not source.isprintable() or len(source) > _LONGEST_SOURCE:
                raise ProfileError.at(where, f"{name}.{key}.source", shown(source),
                                      f"one line of at most {_LONGEST_SOURCE} printable characters")
            value = value["value"]
        yield f"{name}.{key}", value, source


def _unknown(key: str, known: Iterable[str], elsewhere: Iterable[str]) -> str:
    """What to say of a key that there is not."""
    at = [name for name in elsewhere if name.partition(".")[2] == key]
    close = difflib.get_close_matches(key, list(known), 1)
    if at:
        hint = f"it is in the table {_listed([name.partition('.')[0] for name in at])}"
    else:
        hint = f"did you mean {close[0]}?" if close else f"expected {_listed(list(known))}"
    return f"{_bare(key)}: no such key: {hint}"


def _bare(key: str) -> str:
    """A key as one would write it."""
    return key if re.fullmatch("[A-Za-z0-9_-]{1,40}", key) else shown(key)


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _line(text: str) -> str:
    """`text` in one line that a terminal can show; its end, which says where, is never cut."""
    text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    return text if len(text) <= 160 else f"{text[:100]} … {text[-50:]}"
