"""Measuring: figures are those of the raw results, the dearest call is found and made again, JSON has it all."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from emulator.timing import load_profile
from emulator.timing.events import Event
from hartwell.lab.cost import Report, measure
from hartwell.lab.cost.history import History
from hartwell.lab.cost.worst import find_worst, lives_of, shorten, still_alive
from hartwell.lab.operation import Kind, Program, State
from hartwell.lab.subject import Subject, load_subject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial
from hartwell.lab.workload import workload

SETTING = Setting(timing=load_profile("rocket"))
COUNT = 500


@pytest.fixture(scope="module")
def timed() -> Iterator[Subject]:
    with load_subject("buddy", SETTING) as subject:
        yield subject


@pytest.fixture(scope="module")
def report(timed: Subject) -> Report:
    return measure(timed, ["random", "power-law"], COUNT, 5)


def test_calls_are_those_of_the_results(timed: Subject, report: Report) -> None:
    operations = workload("random").operations(timed.kind, timed.memory.size, COUNT, 5)
    results = Trial(timed).run(operations, conserve=False).results
    measured = report.workloads[0]
    which = {"alloc": (operations["kind"] == Kind.ALLOC) & (results["value"] != 0),
             "dealloc": (operations["kind"] == Kind.DEALLOC) & (results["state"] == State.DONE)}
    for name, chosen in which.items():
        found = measured.of(name)
        assert found is not None
        for metric in ("cycles", "instructions", "misses"):
            values, told = results[metric][chosen], getattr(found, metric)
            assert (told.count, told.least, told.most, told.total) == (
                len(values), values.min(), values.max(), values.sum()), (name, metric)
            assert told.p99 == np.percentile(values, 99, method="inverted_cdf")
    assert measured.time == results["cycles"].sum()
    assert measured.throughput == pytest.approx(1e6 * measured.number / measured.time)


def test_misses_are_those_of_the_data_cache() -> None:
    """An allocation that is done again at once finds what it needs in the cache; the first does not."""
    program = Program()
    program.alloc(64)  # so that its page stays
    for _ in range(6):
        program.dealloc(program.alloc(64))
    with load_subject("slab", SETTING) as subject:
        assert subject.machine.timing is not None
        before = subject.machine.timing.stats().harts[0].events[Event.L1D_MISSES]
        misses = subject.run(program.operations, contents=False)["misses"]
        counted = subject.machine.timing.stats().harts[0].events[Event.L1D_MISSES] - before
    assert misses[0] > 10 and misses[-4:].sum() <= 1, misses
    assert misses.sum() <= counted  # the driver has some of its own


def test_without_a_timing_model_there_are_instructions() -> None:
    with load_subject("buddy") as subject:
        found = measure(subject, ["lifo"], 200, 1)
    alloc = found.workloads[0].of("alloc")
    assert alloc is not None and alloc.instructions.median > 0 and alloc.misses.most == 0
    assert (found.profile, found.accuracy) == ("off", "one cycle per instruction")


def test_the_dearest_call_is_made_again_with_fewer_operations(timed: Subject, report: Report) -> None:
    for each in report.workloads:
        by_cycles, by_instructions = each.worst
        assert (by_cycles.metric, by_instructions.metric) == ("cycles", "instructions")
        assert by_cycles.cost == max(calls.cycles.most for calls in each.calls)
        sequence = by_instructions.sequence
        assert sequence is not None and len(sequence) <= by_instructions.operation + 1
        timed.reset()
        assert timed.run(sequence)["instructions"][-1] >= by_instructions.cost


def test_what_makes_a_call_dear_stays_in_the_sequence() -> None:
    """A bitmap is searched from its beginning: the dearest call needs the blocks that it is led past."""
    program = Program()
    handles = [program.alloc(4096, 4096) for _ in range(24)]
    for handle in handles[::2]:
        program.dealloc(handle)
    program.alloc(8 * 4096, 4096)
    with load_subject("bitmap") as subject:
        operations = program.operations
        results = subject.run(operations, contents=False)
        history = History.of(operations, results, subject.memory)
        worst = find_worst(operations, results, history, "instructions")
        assert worst is not None
        subject.reset()
        sequence = shorten(subject, operations, worst)
        assert sequence is not None
        subject.reset()
        assert subject.run(sequence, contents=False)["instructions"][-1] >= worst.cost
        assert 2 < len(sequence) <= worst.operation + 1
        kinds = [Kind(int(kind)) for kind in sequence["kind"]]
        assert kinds[-1] is Kind(int(operations["kind"][worst.operation]))


def test_a_life_is_a_block_with_all_its_parts() -> None:
    program = Program()
    first, second = program.alloc(16384), program.alloc(4096)
    part = program.split(first, 8192)
    program.dealloc(first)
    program.dealloc(second)
    program.check(part)
    lives = lives_of(program.operations)
    assert lives.tolist() == [0, 1, 0, 0, 1, 0]
    assert still_alive(program.operations, lives) == {0}


def test_waste_is_what_nobody_asked_for_and_nobody_can_have(tmp_path: object) -> None:
    """An allocator that rounds up to powers of two wastes a quarter of blocks of three pages."""
    with open(f"{tmp_path}/powers.py", "w") as file:
        file.write("from kernel.osdk.frame_allocator import FrameAllocator\nfrom kernel.mm.layout import Layout\n"
                   "def up(size):\n    return 1 << (size - 1).bit_length()\n"
                   "class Powers(FrameAllocator):\n"
                   "    def alloc(self, layout):\n"
                   "        return super().alloc(Layout(up(layout.size), layout.align))\n"
                   "    def dealloc(self, paddr, size):\n        super().dealloc(paddr, up(size))\n")
    from hartwell.lab.cost.waste import measure_waste

    program = Program()
    for _ in range(50):
        program.alloc(3 * 4096, 4096)
    with load_subject(f"{tmp_path}/powers.py:Powers") as subject:
        conservation = Trial(subject).conservation
        found = measure_waste(subject, conservation, program.operations, 49, 150 * 4096)  # type: ignore[arg-type]
    assert found is not None and found.complete
    assert (found.taken, found.waste, found.share) == (200 * 4096, 50 * 4096, 250)


def test_a_buddy_that_gives_back_what_is_beyond_wastes_nothing(report: Report) -> None:
    for each in report.workloads:
        assert each.waste is not None and each.waste.waste == 0 and each.waste.requested == each.peak


def test_json_has_it_all_and_is_the_same_again(timed: Subject, report: Report) -> None:
    document = json.loads(json.dumps(report.to_json()))
    assert (document["format"], document["version"], document["kind"]) == ("hartwell-lab-cost", 1, "frame")
    assert [each["workload"] for each in document["workloads"]] == ["random", "power-law"]
    first = document["workloads"][0]
    assert {each["calls"] for each in first["costs"]} >= {"alloc", "dealloc"}
    assert sum(number for _, number in first["costs"][0]["cycles"]["histogram"]) == first["costs"][0]["cycles"]["count"]
    moments = first["fragmentation"]["moments"]
    assert len(moments["time"]) == len(moments["live"]) == len(moments["unusable"][0]) == 240
    assert first["findings"] == [] and first["worst"][0]["metric"] == "cycles"
    assert measure(timed, ["random", "power-law"], COUNT, 5).to_json() == report.to_json()


def test_what_the_oracles_find_is_told(tmp_path: object) -> None:
    with open(f"{tmp_path}/twice.py", "w") as file:
        file.write("from kernel.osdk.frame_allocator import FrameAllocator\nclass Twice(FrameAllocator):\n"
                   "    def alloc(self, layout):\n        found = super().alloc(layout)\n"
                   "        if layout.size == 16384:\n            self.kept = getattr(self, 'kept', found)\n"
                   "            return self.kept\n        return found\n")
    with load_subject(f"{tmp_path}/twice.py:Twice") as subject:
        found = measure(subject, ["random"], 100, 1)
    assert found.findings and found.workloads[0].operations < 100
    assert found.to_json()["workloads"][0]["findings"][0]["kind"] == "overlap"
