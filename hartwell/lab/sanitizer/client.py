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
from kernel.errors import KernelError

from .sanitizer import Sanitizer

PREFIX: Final = "scenario_"
TABLE: Final = "hartwell_client_allocator"
MARGIN: Final = 16
"""Bytes that lie behind each heap block of a client: so an overflow of one block never lands in the next one."""
BUDGETS: Final = 20
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

    def function(self, scenario: str) -> int:
        """The address of a scenario's function. SpecError if there is none of that name."""
        if scenario not in self.scenarios:
            raise SpecError(f"{self.name}: has no scenario {scenario}: expected one of {', '.join(self.scenarios)}")
        return self.text.address(PREFIX + scenario)


@dataclass(frozen=True)
class ClientOutcome:
    """What came of a scenario: what it returned, or what was wrong; `calls` is how often it called the allocator, if
    that was judged."""

    scenario: str
    value: int | None
    finding: Finding | None
    calls: int


def run_client(client: Client, scenario: str, *, loads: bool = True, margin: int = MARGIN,
               explain: bool = True, judge: bool = True) -> ClientOutcome:
    """Run a scenario up to its end, or to the first thing that is wrong: its Finding, with a report (`explain`).

    `loads`, `margin`: see Sanitizer. Without `judge` nothing is judged, and what the client does takes its course.
    SpecError for a scenario that the client has not.
    """
    subject = client.subject
    function = client.function(scenario)
    subject.reset()
    words = f"scenario {scenario}"
    if not judge:
        try:
            return ClientOutcome(scenario, call_client(subject, function), None, 0)
        except KernelError as why:
            return ClientOutcome(scenario, None, subject.failure(why, 0, words), 0)
    with Sanitizer(subject, loads=loads, margin=margin) as sanitizer:
        try:
            value = call_client(subject, function)
        except KernelError as why:
            calls, finding = sanitizer.guard.calls, subject.failure(why, 0, words)
            return ClientOutcome(scenario, None, sanitizer.explain(finding) if explain else finding, calls)
        return ClientOutcome(scenario, value, None, sanitizer.guard.calls)


def call_client(subject: GuestSubject, function: int) -> int:
    """Call a function that may take much longer than an allocator does; what it returns. KernelError."""
    subject.kernel.service.budget = BUDGETS * subject.setting.budget
    return subject.call(0, function)
