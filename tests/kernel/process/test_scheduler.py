"""What the scheduler owes whoever called it: an end, and CPUs at rest."""

from __future__ import annotations

import pytest

from kernel.cpu.errors import CpuDeadlock
from kernel.mm.check import check
from kernel.process.userland import first_files
from tests.helpers.kernels import boot

from .guest import DATA, Programs, Ran, call, program

WAITS_FOR_ITSELF = f"""
        {call(59, DATA, 0)}                 # a pipe; its write end stays open
        {call(220, 17, 0, 0, 0, 0)}         # two processes that both read
        li      t0, {DATA}
        lw      s0, 0(t0)
        {call(63, "s0", DATA + 64, 1)}
        {call(94, 0)}
"""


@pytest.mark.parametrize("cpus", ["programs", "programs_smp"])
def test_when_everybody_waits_for_ever_all_are_ended(request: pytest.FixtureRequest, cpus: str) -> None:
    programs: Programs = request.getfixturevalue(cpus)
    free = programs.free
    system = programs.start({"/program": program(WAITS_FOR_ITSELF)}, ran=Ran(0, b""))
    with pytest.raises(CpuDeadlock, match="every task waits"):
        system.run("/program", [b"program"], [], first_files(system))
    programs.at_rest(system)
    system.close()
    check(programs.kernel.mm, [], objects=[])
    assert programs.free == free


@pytest.mark.cross
def test_what_is_taken_away_is_flushed_on_the_other_cpus(programs_smp: Programs, cases: bytes,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """Harts share their TLB here, so that no program could tell: the fences must have been asked for."""
    fences: list[tuple[int, int]] = []
    tlb = programs_smp.kernel.mm.tlb
    ask = tlb.remote_sfence
    monkeypatch.setattr(tlb, "remote_sfence", lambda vaddr, size: (fences.append((vaddr, size)), ask(vaddr, size)))
    assert programs_smp.run(cases, "taken_by_munmap").code == 0
    assert (one := [fence for fence in fences if fence[1] == 4096])
    for name in ("taken_by_none", "taken_by_read"):
        fences.clear()
        assert programs_smp.run(cases, name).code == 0
        assert (one[0][0], 4096) in fences or (0, 0) in fences, name


@pytest.mark.cross
def test_a_run_is_always_the_same(cases: bytes) -> None:
    """Three CPUs, threads that fight for a lock: twice the same calls in the same order, to the same instruction."""
    seen = []
    for _ in range(2):
        kernel = boot(memory=16 << 20, harts=3)
        ran = Programs(kernel).run(cases, "fork_while_threads_write")
        seen.append((ran.calls, kernel.machine.instructions, [hart.cycles for hart in kernel.machine.harts]))
        kernel.close()
        kernel.machine.close()
    assert seen[0] == seen[1]
