"""A profile built in Python: what it refuses, and what native code gets of it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from emulator.errors import ProfileError
from emulator.timing import layout
from emulator.timing.parameter import Choice, Flag, Whole
from emulator.timing.profile import (
    PARAMETERS, REPLACEMENTS, TABLES, Cache, DataCache, Issue, Latency, Predictor, Profile, Tlb,
)
from emulator.timing.plru import plru_touched


@pytest.mark.parametrize(("change", "text"), [
    ({"l1d": DataCache(sets=48)}, "l1d.sets = 48: expected a power of two, 1 to 4096 sets"),
    ({"l1i": Cache(ways=0)}, "l1i.ways = 0: expected a power of two, 1 to 32 lines"),
    ({"issue": Issue(width=3)}, "issue.width = 3: expected 1 to 2 instructions"),
    ({"issue": Issue(width=True)}, "issue.width = true: expected 1 to 2 instructions"),
    ({"latency": Latency(csr=1 << 70)}, "latency.csr = a number of more than 64 bits: expected 1 to 100 cycles"),
    ({"itlb": Tlb(entries=1.5)}, "itlb.entries = 1.5: expected 1 to 64 entries"),
    ({"l1i": Cache(replacement="plru")}, 'l1i.replacement = "plru": expected lfsr or lru'),
    ({"l1i": Cache(sets=256, ways=32)}, "l1i.ways = 32: expected at most 16 in each of 256 sets, 4096 lines in all"),
    ({"l1d": DataCache(miss=70, miss_dirty=60)}, "l1d.miss_dirty = 60: expected at least l1d.miss, 70"),
    ({"latency": Latency(load=4)}, "latency.load_narrow = 3: expected at least latency.load, 4"),
    ({"predictor": Predictor(redirect=9)}, "issue.mispredict = 3: expected at least predictor.redirect, 9"),
    ({"l1d": Cache()}, "expected an object of class DataCache"),
    ({"issue": None}, "issue = None: expected an object of class Issue"),
    ({"name": ""}, 'name = "": expected a word'),
    ({"name": "a/b"}, 'name = "a/b": expected a word'),
    ({"title": "two\nlines"}, "expected one line"),
    ({"flat": 1}, "flat = 1: expected true or false"),
    ({"error": float("nan")}, "error = NaN: expected a number from 0 to 100"),
    ({"error": -1.0}, "error = -1.0: expected a number from 0 to 100"),
    ({"error": 1.0, "flat": True}, "error = 1.0: expected none for a flat profile"),
])
def test_what_cannot_be_is_refused_by_table_key_and_value(change: dict[str, object], text: str) -> None:
    with pytest.raises(ProfileError) as caught:
        replace(Profile("mine"), **change)  # type: ignore[arg-type]
    assert text in str(caught.value)
    assert str(caught.value).startswith("profile ")


def test_every_parameter_takes_both_ends_of_its_range_and_nothing_beyond() -> None:
    for name, parameter in PARAMETERS.items():
        if isinstance(parameter, Whole):
            assert parameter.accepts(parameter.low), name
            assert parameter.accepts(parameter.high), name
            assert not parameter.accepts(parameter.low - 1), name
            assert not parameter.accepts(parameter.high + 1), name
        elif isinstance(parameter, Flag):
            assert parameter.accepts(True)
            assert not parameter.accepts(1)
        else:
            assert isinstance(parameter, Choice)
            assert all(map(parameter.accepts, parameter.words))


def test_what_a_profile_may_ask_for_is_what_native_code_has_room_for() -> None:
    def most(name: str) -> int:
        parameter = PARAMETERS[name]
        assert isinstance(parameter, Whole)
        return parameter.high

    room = {"predictor.btb_entries": layout.MAX_BTB, "predictor.btb_pages": layout.MAX_PAGES,
            "predictor.ras_entries": layout.MAX_RAS, "predictor.bht_entries": layout.MAX_BHT,
            "issue.fetch_queue": layout.QUEUE, "l1i.sets": layout.MAX_LINES, "l1d.sets": layout.MAX_LINES,
            "itlb.entries": layout.MAX_TLB, "dtlb.entries": layout.MAX_TLB, "itlb.superpages": layout.MAX_SUPER,
            "dtlb.superpages": layout.MAX_SUPER}
    assert {name: most(name) for name in room if most(name) > room[name]} == {}
    for name in ("predictor.btb_entries", "itlb.entries", "dtlb.entries", "itlb.superpages"):
        state = 0
        for way in range(most(name)):
            state |= plru_touched(state, most(name), way)
        assert state < 1 << 63, name  # one word
    assert not PARAMETERS["predictor.bht_history"].accepts(0)  # it is shifted by one less than its length


def test_every_field_of_every_table_is_a_parameter_with_meaning_and_range() -> None:
    assert list(PARAMETERS) == [f"{name}.{part.name}" for name, table in TABLES.items() for part in fields(table.kind)]
    for name, parameter in PARAMETERS.items():
        assert parameter.text.endswith("."), name
        assert parameter.unit or not isinstance(parameter, Whole), name


def test_numbers_are_every_parameter_in_a_fixed_order() -> None:
    numbers = Profile("mine", l1d=DataCache(replacement="lru")).numbers()
    assert [name for name, _ in numbers] == list(PARAMETERS)
    assert all(type(value) is int for _, value in numbers)
    found = dict(numbers)
    assert (found["l1d.replacement"], REPLACEMENTS.index("lru")) == (1, 1)
    assert (found["l1i.miss"], found["l1d.miss"], found["memory.store_replay"]) == (49, 44, 1)


def test_accuracy_is_the_error_band_or_says_that_there_is_none() -> None:
    assert Profile("mine", error=1.25).accuracy == "±1.25 %"
    assert Profile("mine", error=3.0).accuracy == "±3 %"
    assert Profile("mine").accuracy == "uncalibrated"
    assert Profile("mine", flat=True).accuracy == "one cycle per instruction"
