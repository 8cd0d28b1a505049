"""Profiles in TOML files: ours, users' own, and files that are none."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.errors import InputFileError, ProfileError
from emulator.timing import load_profile
from emulator.timing.profile import PARAMETERS, TABLES, DataCache, Profile
from emulator.timing.profile_file import LARGEST_FILE, names, parse, read_profile

ROCKET = Path(__file__).parents[3] / "emulator/timing/profiles/rocket.toml"


def test_three_profiles_come_with_hartwell() -> None:
    assert names() == ("rocket", "simple", "u74")
    assert [load_profile(name).name for name in names()] == list(names())
    assert all(load_profile(name).title for name in names())


def test_simple_is_flat() -> None:
    assert load_profile("simple") == Profile("simple", load_profile("simple").title, flat=True)


def test_defaults_of_a_profile_built_in_python_are_rockets() -> None:
    rocket = load_profile("rocket")
    assert rocket.values() == Profile("mine").values()
    assert rocket == Profile("rocket", rocket.title, error=rocket.error)


@pytest.mark.parametrize("name", ["rocket", "u74"])
def test_every_value_of_ours_has_a_source(name: str) -> None:
    sources = read_profile(name).sources
    assert list(sources) == list(PARAMETERS)
    for key, source in sources.items():
        assert source.split(":")[0].split(";")[0] in {"measured", "read", "public", "assumed", "not used",
                                                      "as rocket"}, (key, source)


def test_rockets_file_says_every_value_itself() -> None:
    assert "as " not in {source[:3] for source in read_profile("rocket").sources.values()}


def test_u74_is_what_public_documents_say_and_uncalibrated() -> None:
    u74 = load_profile("u74")
    assert u74.accuracy == "uncalibrated"
    size = {name: cache.sets * cache.ways * cache.line for name, cache in (("l1i", u74.l1i), ("l1d", u74.l1d))}
    assert size == {"l1i": 32 << 10, "l1d": 32 << 10}
    assert (u74.issue.width, u74.muldiv.mul_latency, u74.muldiv.mul_pipelined) == (2, 3, True)
    assert (u74.itlb.entries, u74.dtlb.entries) == (40, 40)
    assert (u74.predictor.btb_entries, u74.predictor.ras_entries) == (32, 12)


def test_a_users_file_changes_what_it_says_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_text('base = "rocket"\n[l1d]\nsets = 128\nmiss = { value = 60, source = "a guess" }\nmiss_dirty = 80\n')
    found = read_profile(str(path))
    rocket = load_profile("rocket")
    assert found.profile == replace(rocket, name="big", title="", error=None,
                                    l1d=DataCache(sets=128, miss=60, miss_dirty=80))
    assert found.sources["l1d.sets"] == f"set in {path}"
    assert (found.sources["l1d.miss"], found.sources["l1d.ways"]) == ("a guess", "as rocket")


def test_a_changed_profile_is_uncalibrated_whatever_its_base_is(tmp_path: Path) -> None:
    assert parse(b'base = "rocket"', "mine.toml").profile.accuracy == "uncalibrated"
    assert parse(b'base = "rocket"\nerror = 2.5', "mine.toml").profile.accuracy == "±2.5 %"


def test_a_file_without_base_says_everything(tmp_path: Path) -> None:
    text = ROCKET.read_text().replace('name = "rocket"', 'name = "mine"')
    assert parse(text.encode(), "mine.toml").profile.values() == load_profile("rocket").values()
    with pytest.raises(ProfileError, match=r"^mine.toml: memory.sfence is not given: expected all parameters"):
        parse(text[:text.index("sfence")].encode(), "mine.toml")


def test_a_path_is_a_path_and_a_word_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("flat = true")
    Path("mine").write_text("flat = true")
    assert load_profile("mine.toml").flat
    assert load_profile("./mine").name == "mine"
    with pytest.raises(ProfileError, match='no timing profile is called "mine": expected rocket, simple or u74'):
        load_profile("mine")
    with pytest.raises(ProfileError, match='no timing profile is called "rokcet": did you mean rocket'):
        load_profile("rokcet")
    with pytest.raises(InputFileError, match="profile nope.toml: no such file"):
        load_profile("nope.toml")
    Path("huge.toml").write_bytes(b"#" * (LARGEST_FILE + 1))
    with pytest.raises(InputFileError, match="profile huge.toml: is .* expected at most 64 KiB"):
        load_profile("huge.toml")


BASE = 'base = "rocket"\n'


@pytest.mark.parametrize(("text", "error"), [
    ("a = ", "is not TOML: Invalid value (at end of document)"),
    ("flat = true\nflat = true", "is not TOML: Cannot overwrite a value"),
    (b"\xff", "byte 0xff at offset 0x0: expected UTF-8"),
    ("a = " + "[\n" * 10_000, "is nested too deeply"),
    ("\n" + "a." * 30_000 + "a = 1", "line 2 is 60,005 bytes, expected at most 1,000"),
    ("#\n" * (LARGEST_FILE // 2 + 1), "is 65,538 bytes, expected at most 65,536"),
    ("", "issue.width is not given, nor are 58 others: expected all parameters, or base"),
    ("nmae = 3", "nmae: no such key: did you mean name?"),
    ("mispredict = 3", "mispredict: no such key: it is in the table issue"),
    ('"\\u001b[31m" = 3', '"\\u001b[31m": no such key: expected name, title, base'),
    ("base = 3", "base = 3: expected rocket or u74"),
    ('base = "simple"', 'base = "simple": expected rocket or u74'),
    ('base = "./other.toml"', 'base = "./other.toml": expected rocket or u74'),
    (BASE + "flat = true", "base: expected none beside flat = true"),
    ("flat = true\n[issue]", "issue: expected none beside flat = true"),
    ("flat = true\nerror = 1", "error = 1: expected none for a flat profile"),
    (BASE + 'name = "rocket"', "name = \"rocket\": expected a name that is not one of Hartwell's own"),
    (BASE + "name = 1979-05-27", "name = a date: expected a word"),
    (BASE + 'title = """two\nlines"""', 'title = "two\\nlines": expected one line'),
    (BASE + 'error = "1 %"', 'error = "1 %": expected a number from 0 to 100'),
    (BASE + "error = inf", "error = Infinity: expected a number"),
    (BASE + "issue = 3", "issue = 3: expected a table, [issue]"),
    (BASE + "[[issue]]", "issue = an array: expected a table, [issue]"),
    (BASE + "[caches]", "caches: no such key: expected name, title"),
    (BASE + "[issue]\nmispredcit = 3", "issue.mispredcit: no such key: did you mean mispredict?"),
    (BASE + "[issue]\nsets = 3", "issue.sets: no such key: it is in the table l1i or l1d"),
    (BASE + "[l1i]\nmiss_dirty = 3", "l1i.miss_dirty: no such key: it is in the table l1d"),
    (BASE + "[l1d]\nsets = 48", "l1d.sets = 48: expected a power of two, 1 to 4096 sets"),
    (BASE + "[l1d]\nsets = 0x" + "f" * 900, "l1d.sets = a number of more than 64 bits: expected a power of two"),
    (BASE + "[l1d]\nmiss = 63", "l1d.miss_dirty = 62: expected at least l1d.miss, 63: the write-back comes on top"),
    (BASE + "[l1d]\nmiss = 44.0", "l1d.miss = 44.0: expected 1 to 1000 cycles"),
    (BASE + "[l1d]\nmiss = [44]", "l1d.miss = an array: expected 1 to 1000 cycles"),
    (BASE + "[l1d]\nmiss = {}", "l1d.miss has no value: expected { value = …, source = "),
    (BASE + "[l1d]\nmiss = { value = {} }", "l1d.miss = a table: expected 1 to 1000 cycles"),
    (BASE + "[l1d]\nmiss = { value = 44, sauce = 3 }", "l1d.miss.sauce: no such key: did you mean source?"),
    (BASE + "[l1d]\nmiss = { value = 44, source = 3 }", "l1d.miss.source = 3: expected one line"),
    (BASE + "[memory]\nstore_replay = 1", "memory.store_replay = 1: expected true or false"),
    (BASE + '[l1i]\nreplacement = "random"', 'l1i.replacement = "random": expected lfsr or lru'),
])
def test_what_is_no_profile_is_refused_by_file_key_and_value(text: str | bytes, error: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), "mine.toml")
    assert str(caught.value).startswith(f"mine.toml: {error}")
    assert str(caught.value).isprintable()


def test_a_files_name_that_is_no_profiles_name_asks_for_one() -> None:
    with pytest.raises(ProfileError, match='name = "my core": expected a word'):
        parse(BASE.encode(), "my core.toml")
    assert parse((BASE + 'name = "mine"').encode(), "my core.toml").profile.name == "mine"


def judge(data: bytes) -> None:
    """A profile that keeps its promises, or a ProfileError of one line, soon."""
    begun = time.monotonic()
    try:
        found = parse(data, "x")
        assert Profile(**{name: getattr(found.profile, name) for name in Profile.__slots__}) == found.profile
        assert found.profile.flat or list(found.sources) == list(PARAMETERS)
    except ProfileError as error:
        assert str(error).startswith("x: ")
        assert str(error).isprintable()
        assert len(str(error)) < 500
    assert time.monotonic() - begun < 5


KEYS = st.sampled_from(["name", "title", "base", "flat", "error", "value", "source", *TABLES,
                        *(name.split(".")[1] for name in PARAMETERS)]) | st.text(max_size=12)
SCALARS = (st.integers(-3, 70) | st.integers() | st.floats() | st.booleans() | st.text(max_size=20)
           | st.sampled_from(["rocket", "u74", "simple", "lfsr", "lru"]) | st.dates() | st.times())
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
                      max_leaves=4)


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(str(key))} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_fuzz_documents_of_known_keys(document: dict[str, object]) -> None:
    judge("\n".join(f"{quoted(key)} = {toml(value)}" for key, value in document.items()).encode("utf-8", "replace"))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(PARAMETERS)), VALUES)
@example("l1d.sets", 1 << 70)
def test_fuzz_one_parameters_value(name: str, value: object) -> None:
    table, key = name.split(".")
    judge(f'base = "rocket"\n[{table}]\n{key} = {toml(value)}'.encode("utf-8", "replace"))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6000), st.binary(max_size=4)), min_size=1, max_size=4))
def test_fuzz_mutations_of_rockets_file(patches: list[tuple[int, bytes]]) -> None:
    data = bytearray(ROCKET.read_bytes().replace(b'name = "rocket"', b'name = "other"'))
    for at, patch in patches:
        data[at % len(data):at % len(data) + len(patch)] = patch
    judge(bytes(data))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_fuzz_bytes(data: bytes) -> None:
    judge(data)


@pytest.mark.parametrize("data", [
    (b"a." * 490 + b"a = 1\n") * 60, (b"[" + b"a." * 490 + b"a]\n") * 60,
    b"".join(b"k%d = 1\n" % n for n in range(6000)), b"a = " + b"{b = " * 190, b"a = " + b"[[[[\n" * 10_000,
    b"a.b.c = 1\n" * 6000, b"a = 1" + b"0" * 900,
    b"".join(b"[a%d]\nb = {c.d.e = 1}\n" % n for n in range(2500)),
], ids=["dotted keys", "dotted tables", "keys", "inline tables", "arrays", "same key", "digits", "tables"])
def test_the_worst_files_are_read_soon(data: bytes) -> None:
    judge(data)
