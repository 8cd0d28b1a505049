"""Out of memory at every point of a program's life: it goes on, gets an errno, or is killed, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.mm.check import check
from kernel.process.userland import first_files
from tests.helpers.kernels import boot
from tests.kernel.oom.failing import Refusals, refusing

from .guest import Programs, Ran, call, program

pytestmark = pytest.mark.cross


class Refusing:
    """Programs on a kernel whose frame allocator refuses the requests that `refusals` say, while a program runs."""

    def __init__(self, harts: int) -> None:
        self.refusals = Refusals()
        self.kernel = boot(refusing(self.refusals), memory=16 << 20, harts=harts)
        self.programs = Programs(self.kernel)

    def run(self, image: bytes, *arguments: str, after: int | None, lasting: bool = False) -> bool:
        """Run it with a refusal; whether there was one. All memory is what it was, then."""
        programs, ran, refusals = self.programs, Ran(0, b""), self.refusals
        free = programs.free
        system = programs.start({"/program": image}, ran=ran)
        files = first_files(system)
        refusals.requests, refusals.after, refusals.lasting = 0, after, lasting
        try:
            status = system.run("/program", [b"program", *map(str.encode, arguments)], [], files)
            assert status in (0, 1 << 8, 9) or status & 0x7F == 11, (after, hex(status), ran.deaths)
        except NoMemory:
            assert refusals.met
        except SysError as why:
            assert refusals.met and why.errno is Errno.ENOMEM
        met, refusals.after = refusals.met, None
        programs.at_rest(system)
        system.close()
        check(self.kernel.mm, [], objects=[])
        assert programs.free == free, f"refusal {after}: {free - programs.free} bytes are gone"
        return met


@pytest.fixture(scope="module", params=[1, 2], ids=["one CPU", "two CPUs"])
def refusing_programs(request: pytest.FixtureRequest) -> Iterator[Refusing]:
    made = Refusing(request.param)
    yield made
    made.kernel.close()
    made.kernel.machine.close()


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_everything(refusing_programs: Refusing, cases: bytes, lasting: bool) -> None:
    """Each of the first requests, then every third."""
    after, failures = 0, 0
    while refusing_programs.run(cases, "everything", after=after, lasting=lasting):
        failures += 1
        after += 1 if after < 16 else 3
    assert failures > 20


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_who_waits_for_a_thread_does_not_wait_for_ever(refusing_programs: Refusing, cases: bytes,
                                                       lasting: bool) -> None:
    """The thread cannot say that it is over: the process is killed."""
    after = 0
    while refusing_programs.run(cases, "thread_ends", after=after, lasting=lasting):
        after += 1
    assert after > 10


def test_without_refusals(refusing_programs: Refusing, cases: bytes) -> None:
    assert not refusing_programs.run(cases, "everything", after=None)


def test_the_next_program_runs(refusing_programs: Refusing) -> None:
    """After all that, as if nothing had been."""
    assert refusing_programs.programs.run(program(call(94, 7))).code == 7
