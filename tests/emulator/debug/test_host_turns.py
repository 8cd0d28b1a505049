"""What the host's software does to a held machine: its marks, its writes, its wish to stop."""

from __future__ import annotations

from emulator.debug import Target
from emulator.machine import Machine
from tests.helpers.assembler import assemble
from tests.helpers.machines import flat


def test_a_write_by_the_host_is_the_last_marks_before_it() -> None:
    machine = Machine()
    machine.boot(kernel=flat(assemble("1: j 1b")))
    address = machine.board.banks[0].base + 0x10_0000

    def program(machine: Machine) -> None:
        machine.mark("one")
        machine.bus.write(address, b"1")
        machine.mark("two")
        machine.run(max_insns=10)
        machine.mark("three")

    with Target(machine, program) as target:
        target.resume()
        write = target.last_write(address, 1)
        assert write is not None and write.stop.mark.name == "one"
    machine.close()


def test_whoever_sets_interrupted_stops_the_run() -> None:
    machine = Machine()
    machine.boot(kernel=flat(assemble("1: j 1b")))
    asked = 0

    def poll(cycles: int) -> bytes:
        nonlocal asked
        asked += 1
        machine.interrupted = True
        return b""

    assert type(machine.run(max_insns=1 << 40, poll=poll)).__name__ == "Interrupted"
    assert not machine.interrupted
    assert asked <= 2
    machine.close()
