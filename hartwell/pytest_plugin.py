"""The pytest plugin: an allocator, and the machine under it, as fixtures.

    def test_a_block_is_reused(frame_allocator):
        block = frame_allocator.alloc(4096)         # each call is judged by oracles outside of the allocator
        frame_allocator.dealloc(block)              # … and at the end of the test all memory must be there again
        assert frame_allocator.alloc(4096).address == block.address

    pytest --frame-allocator ./allocator.elf --smp 2 --profile rocket

        fixture           what it is
        frame_allocator   hartwell.lab.facade.Allocator on --frame-allocator; the kernel's own by default
        heap_allocator    the same on --heap-allocator
        machine           emulator.Machine with --smp harts, timed if the test wants `timing`, or with --profile
        kernel            kernel.Kernel, booted on `machine`; on the allocators of the options, if they are Python
        timing            Timing: the profile, and what work of the kernel costs

Options can also be settings in pytest's configuration file: hartwell_frame_allocator, hartwell_heap_allocator,
hartwell_smp, hartwell_profile. All is imported when it is first used: a run of tests that use none of it is not slower.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from emulator import Machine
    from emulator.timing.profile import Profile
    from hartwell.lab.facade import Allocator
    from hartwell.lab.oracle.conservation import Conservation
    from hartwell.lab.subject import Subject
    from kernel import Kernel
    from kernel.cost import Cost

OWN: Final = {"frame": "osdk-frame", "heap": "osdk-heap"}
"""The kernel's own allocators."""
DEFAULT_PROFILE: Final = "rocket"
"""The core that a test with `timing` is timed as, unless --profile says otherwise."""
_FAILED: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, and the settings of the same meaning."""
    group = parser.getgroup("hartwell", "allocators on emulated hardware (Hartwell)")
    for option, metavar, text in (
        ("--frame-allocator", "SPEC", "the allocator behind the fixture frame_allocator: FILE.elf, FILE.py:Class, "
                                      "module:Class or a name (hartwell lab list)"),
        ("--heap-allocator", "SPEC", "the same for the fixture heap_allocator"),
        ("--smp", "N", "harts of the machines of fixtures, 1 to 8"),
        ("--profile", "NAME", "the core whose cycles are counted (hartwell profiles)"),
    ):
        name = "hartwell_" + option.lstrip("-").replace("-", "_")
        group.addoption(option, dest=name, metavar=metavar, default=None, help=text)
        parser.addini(name, f"the same as {option}", default="")
    group.addoption("--save-replays", dest="hartwell_save_replays", metavar="DIR", default=None,
                    help="write each failure of an allocator to DIR/TEST.replay, for hartwell debug --replay")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test has failed: then nothing more is asked of its allocators."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


def _setting(config: pytest.Config, name: str) -> str:
    """What the command line or the configuration file says; "" if neither does."""
    given = config.getoption(f"hartwell_{name}")
    return str(given if given is not None else config.getini(f"hartwell_{name}") or "")


def _mistaken(text: str) -> NoReturn:
    """An option is wrong: the tests that need it say so, in a line each. (A UsageError has a backtrace here.)"""
    raise pytest.fail.Exception(text, pytrace=False) from None


def _harts(config: pytest.Config) -> int:
    text = _setting(config, "smp") or "1"
    if not text.isdecimal() or not 1 <= int(text) <= 8:
        _mistaken(f"--smp {text}: expected a number of harts, 1 to 8")
    return int(text)


def _profile(request: pytest.FixtureRequest) -> Profile | None:
    """The core that this test's machine is timed as."""
    name = _setting(request.config, "profile") or (DEFAULT_PROFILE if "timing" in request.fixturenames else "off")
    if name == "off":
        return None
    from emulator.errors import EmulatorError
    from emulator.timing import load_profile

    try:
        return load_profile(name)
    except EmulatorError as why:
        _mistaken(f"--profile: {why}")


def _spec(config: pytest.Config, kind: str) -> str:
    """The SPEC of the allocator of a kind; a file that is not here is looked for beside the configuration file."""
    spec = _setting(config, f"{kind}_allocator") or OWN[kind]
    path, colon, name = (spec, "", "") if spec.endswith(".elf") else spec.rpartition(":")
    beside = config.rootpath / path
    if path.endswith((".elf", ".py")) and not Path(path).exists() and beside.exists():
        return f"{beside}{colon}{name}"
    return spec


# --- allocators -------------------------------------------------------------------------------------------------


class _Subjects:
    """The allocators of a session: each is loaded once, and pristine again for each test."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._loaded: dict[tuple[str, Profile | None], tuple[Subject, Conservation]] = {}

    def get(self, kind: str, profile: Profile | None) -> tuple[Subject, Conservation]:
        """The allocator of a kind, on a machine timed as `profile`, and what it can give."""
        spec = _spec(self._config, kind)
        if (spec, profile) not in self._loaded:
            self._loaded[spec, profile] = self._load(spec, kind, profile)
        return self._loaded[spec, profile]

    def _load(self, spec: str, kind: str, profile: Profile | None) -> tuple[Subject, Conservation]:
        from dataclasses import replace

        from emulator.errors import EmulatorError
        from hartwell.lab.conformance.setting import suite_setting
        from hartwell.lab.errors import SubjectFailed
        from hartwell.lab.oracle.conservation import Conservation
        from hartwell.lab.subject import load_subject

        setting = replace(suite_setting(spec, _harts(self._config)), timing=profile)
        try:
            subject = load_subject(spec, setting)
            if subject.kind.value != kind:
                subject.close()
                _mistaken(f"--{kind}-allocator {spec}: is a {subject.kind.value} allocator")
            return subject, Conservation.measure(subject)
        except SubjectFailed as why:
            pytest.fail(f"{spec} does not come up: {why.finding}", pytrace=False)
        except EmulatorError as why:
            _mistaken(f"--{kind}-allocator: {why}")

    def close(self) -> None:
        """Let go of all machines."""
        for subject, _ in self._loaded.values():
            subject.close()


@pytest.fixture(scope="session")
def _hartwell_subjects(pytestconfig: pytest.Config) -> Iterator[_Subjects]:
    subjects = _Subjects(pytestconfig)
    yield subjects
    subjects.close()


def _allocator(kind: str, request: pytest.FixtureRequest, subjects: _Subjects) -> Iterator[Allocator]:
    from hartwell.lab.facade import Allocator, AllocatorFailure

    subject, conservation = subjects.get(kind, _profile(request))
    allocator = Allocator(subject, conservation, _spec(request.config, kind))
    yield allocator
    lost: AllocatorFailure | None = None
    if not request.node.stash.get(_FAILED, False):
        try:
            allocator.finish()
        except AllocatorFailure as why:
            lost = why
    _save(allocator, request)
    if lost is not None:
        pytest.fail(f"when everything was given back at the end of the test\n{lost}", pytrace=False)


def _save(allocator: Allocator, request: pytest.FixtureRequest) -> None:
    """Write a failure down, if --save-replays says where."""
    folder = request.config.getoption("hartwell_save_replays")
    if folder is None or allocator.failure is None or allocator.cpu is None:
        return
    from dataclasses import replace

    from hartwell.lab.search.replay import save_replay

    Path(folder).mkdir(parents=True, exist_ok=True)
    name = "".join(char if char.isalnum() or char in "-_." else "-" for char in request.node.name)
    operations, finding = allocator.operations, allocator.failure.finding
    if finding.operation is not None:
        finding = replace(finding, operation=len(operations) - 1)
    subject = allocator.subject
    save_replay(f"{folder}/{name}.replay", subject, operations, allocator.cpu, subject.setting, finding,
                f"pytest: {request.node.nodeid}")


@pytest.fixture
def frame_allocator(request: pytest.FixtureRequest, _hartwell_subjects: _Subjects) -> Iterator[Allocator]:
    """The frame allocator under test (--frame-allocator SPEC), pristine: alloc, dealloc, split, each call judged."""
    yield from _allocator("frame", request, _hartwell_subjects)


@pytest.fixture
def heap_allocator(request: pytest.FixtureRequest, _hartwell_subjects: _Subjects) -> Iterator[Allocator]:
    """The heap allocator under test (--heap-allocator SPEC), pristine: alloc, dealloc, each call judged."""
    yield from _allocator("heap", request, _hartwell_subjects)


# --- machines ---------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A RISC-V machine with --smp harts and 128 MiB that has not run yet; timed if --profile or `timing` says so."""
    from emulator import Board, Machine

    machine = Machine(Board(harts=_harts(request.config)), _profile(request))
    yield machine
    machine.close()


@pytest.fixture
def kernel(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Kernel]:
    """Hartwell's kernel, booted on `machine`, with the allocators that the options name if they are Python classes."""
    from hartwell.lab.conformance.setting import in_python
    from kernel import Choices, Kernel

    choices: dict[str, Any] = {}
    for kind in OWN:
        spec = _spec(request.config, kind)
        if spec != OWN[kind] and in_python(spec):
            choices[f"{kind}_allocator"] = _factory(spec)
    kernel = Kernel.boot(machine, Choices(**choices))
    yield kernel
    kernel.close()


def _factory(spec: str) -> object:
    """The class that a SPEC names."""
    from hartwell.lab.errors import SpecError
    from hartwell.lab.subject.spec import load_class

    try:
        return load_class(spec)
    except SpecError as why:
        _mistaken(str(why))


@dataclass(frozen=True)
class Timing:
    """What work costs on the core `profile`: of the kernel, see `measure`; of guest code and allocators, their own."""

    machine: Machine
    profile: Profile
    _kernel: Kernel

    @property
    def cycles(self) -> int:
        """Cycles that hart 0 has taken so far."""
        return self.machine.harts[0].cycles

    def measure(self) -> AbstractContextManager[Cost]:
        """`with timing.measure() as cost:` what the kernel does in the block, in cycles, instructions and misses."""
        return self._kernel.measure()

    def empty_caches(self) -> None:
        """All caches and TLBs are cold: the next access to anything is a miss."""
        timing = self.machine.timing
        assert timing is not None
        timing.empty_caches()


@pytest.fixture
def timing(request: pytest.FixtureRequest, kernel: Kernel) -> Timing:
    """The timing model under `kernel`, of --profile (rocket); allocators in the same test count cycles, too."""
    profile = _profile(request)
    if profile is None:
        pytest.fail("timing: --profile off counts no cycles", pytrace=False)
    return Timing(kernel.machine, profile, kernel)
