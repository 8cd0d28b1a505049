"""Clients: guest code that uses an allocator, run scenario by scenario with every access judged.

    client = Client(subject, data, "client-bugs.elf")
    for name in client.scenarios:
        outcome = run_client(client, name)
        print(outcome.finding.report if outcome.finding else "clean")

The client's side is allocators/include/hartwell/client.h: a scenario is a function called scenario_NAME without
arguments. Each is run from a pristine allocator, on CPU 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hartwell.lab.errors import SpecError
from hartwell.lab.finding import Finding
from hartwell.lab.subject import text
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.subject import SubjectKind
from kernel.cpu.errors import CpuError, CpuHung, UnhandledTrap

from .sanitizer import Sanitizer

PREFIX: Final = "scenario_"
TABLE: Final = "hartwell_client_allocator"
MARGIN: Final = 16
"""Bytes that lie behind each heap block of a client: so an overflow of one block never lands in the next one."""
BUDGETS: Final = 100
"""A scenario may take so many times the instructions that a call of an allocator may."""


class Client:
    """The client in the ELF `data`, in the machine of `subject`, which must be pristine, and is pristine with it.

    SpecError if it is no client: not linked where clients are, no scenarios, or made without client.h.
    """

    def __init__(self, subject: GuestSubject, data: bytes, name: str) -> None:
        image = text.read_text(data, name, text.CLIENT_TEXT)
        self.subject, self.name = subject, name
        self.scenarios = tuple(sorted(symbol.name.removeprefix(PREFIX) for symbol in image.symbols
                                      if symbol.name.startswith(PREFIX)))
        """What it can be run as, by name."""
        if not self.scenarios:
            raise SpecError(f"{name}: has no scenarios: expected functions HARTWELL_SCENARIO(name) (hartwell/client.h)")
        self.text = text.map_text(subject.kernel, image)
        heap = subject.kind is SubjectKind.HEAP
        prefix = f"hartwell_{subject.kind.value}_"
        functions = [subject.text.address(prefix + name) for name in ("alloc", "dealloc")]
        table = self.text.address(TABLE)
        for number, word in enumerate((int(heap), *functions)):
            paddr = subject.machine.harts[0].translate(table + 8 * number)
            assert paddr is not None  # it has just been mapped
            subject.machine.bus.write(paddr, word.to_bytes(8, "little"))
        subject.clients.append(self.text)
        subject.keep()


@dataclass(frozen=True)
class ClientOutcome:
    """What came of a scenario: what it returned, or what was wrong; `calls` is how often it called the allocator."""

    scenario: str
    value: int | None
    finding: Finding | None
    calls: int


def run_client(client: Client, scenario: str, *, loads: bool = True, margin: int = MARGIN,
               explain: bool = True) -> ClientOutcome:
    """Run a scenario up to its end, or to the first thing that is wrong: its Finding, with a report (`explain`).

    `loads`, `margin`: see Sanitizer. SpecError for a scenario that the client has not.
    """
    subject = client.subject
    if scenario not in client.scenarios:
        raise SpecError(f"{client.name}: has no scenario {scenario}: expected one of {', '.join(client.scenarios)}")
    function = client.text.address(PREFIX + scenario)
    subject.reset()
    with Sanitizer(subject, loads=loads, margin=margin) as sanitizer:
        value, finding = None, None
        try:
            value = _call(subject, function)
        except (CpuError, UnhandledTrap) as why:
            calls = sanitizer.guard.calls
            finding = subject.failure(why, 0, "")
            if explain:
                finding = sanitizer.explain(finding)
            return ClientOutcome(scenario, None, finding, calls)
        return ClientOutcome(scenario, value, finding, sanitizer.guard.calls)


def _call(subject: GuestSubject, function: int) -> int:
    """Call a function that may take much longer than an allocator."""
    try:
        return subject.call(0, function)
    except CpuHung as why:
        hung = why
    for _ in range(BUDGETS):
        try:
            return subject.kernel.service.wait(0)[0]
        except CpuHung as why:
            hung = why
    raise hung
