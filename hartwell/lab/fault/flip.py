"""Flipped bits: where there are words worth flipping, and what one of them is.

        data    a word of the allocator's own data: heads of lists, counters, maps
        link    a word in memory that nobody has, which holds an address: what free blocks are linked by
        free    any other word in memory that nobody has: sizes, marks, what former owners left
        pte     an entry of the kernel's page table, on the way to the allocator's text, data or memory
        slot    a word of a frame's metadata slot (allocators in Python: the kernel's own keep their lists there)

Words that are 0 are left out of the first three, and of the last: most of memory is, and nobody looks at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from hartwell.lab.operation import describe
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.subject import SubjectKind
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SIZE
from kernel.picture.walk import walk

from .golden import Golden
from .verdict import Injection

if TYPE_CHECKING:
    from hartwell.lab.oracle.shadow import Shadow
    from hartwell.lab.subject.subject import Subject

Words = npt.NDArray[np.uint64]
KIND: Final = "flip"
GUEST_TARGETS: Final = ("data", "link", "free", "pte")
PYTHON_TARGETS: Final = ("slot", "link", "free")


def targets(subject: Subject) -> tuple[str, ...]:
    """What there is to be flipped in a subject."""
    if isinstance(subject, GuestSubject):
        return GUEST_TARGETS
    return PYTHON_TARGETS[:1] if subject.kind is SubjectKind.FRAME else PYTHON_TARGETS


def flip(golden: Golden, number: int, target: str, random: np.random.Generator) -> Injection | None:
    """Flip a bit of `target` somewhere in the golden run, and see; None where there is nothing to be flipped."""
    operation = int(random.integers(len(golden.operations)))
    shadow = golden.at(operation)
    subject = golden.subject
    if target == "pte":
        assert isinstance(subject, GuestSubject)
        paddr, place = _entry(subject, random)
    else:
        words = _places(golden, shadow, target)
        if not len(words):
            return None
        paddr = int(words[random.integers(len(words))])
        place = _name(golden, target, paddr)
    bit = int(random.integers(64))
    bus = subject.machine.bus
    before = int.from_bytes(bus.read(paddr, 8), "little")
    bus.write(paddr, (before ^ 1 << bit).to_bytes(8, "little"))
    if target == "pte":
        subject.machine.engine.flush_tlb()
    verdict, said = golden.verdict(operation, shadow, changed=(paddr,))
    what = f"bit {bit} of {place} ({before:#x}), before {describe(golden.operations[operation])}"
    return Injection(number, KIND, target, operation, what, verdict, said)


def _places(golden: Golden, shadow: Shadow, target: str) -> Words:
    """The physical addresses of the words of a target."""
    subject = golden.subject
    if target == "data":
        return np.concatenate([_filled(subject, paddr, PAGE_SIZE) for _, paddr in golden.data] or [_none()])
    if target == "slot":
        slots = subject.kernel.mm.slots
        base, frames = slots.base + slots.first_paddr // 64, (slots.max_paddr - slots.first_paddr) // PAGE_SIZE
        return _filled(subject, base, frames * META_SLOT_SIZE)
    memory = subject.memory
    words = _view(subject, memory.paddr, memory.size)
    filled = words != 0
    for _, address, size in shadow.blocks():
        begin = address - memory.start
        filled[begin >> 3:(begin + size + 7) >> 3] = False
    numbers = np.flatnonzero(filled)
    addresses = _is_address(golden, words[numbers])
    numbers = numbers[addresses if target == "link" else ~addresses]
    return np.uint64(memory.paddr) + numbers.astype(np.uint64) * np.uint64(8)


def _view(subject: Subject, paddr: int, size: int) -> Words:
    return subject.machine.bus.memory(paddr, size).view(np.uint64)


def _filled(subject: Subject, paddr: int, size: int) -> Words:
    """The addresses of the words that are not 0."""
    return np.uint64(paddr) + np.flatnonzero(_view(subject, paddr, size)).astype(np.uint64) * np.uint64(8)


def _none() -> Words:
    return np.zeros(0, dtype=np.uint64)


def _is_address(golden: Golden, words: Words) -> npt.NDArray[np.bool_]:
    """Which words are addresses in the allocator's memory, physical or virtual, or in its data."""
    subject = golden.subject
    memory = subject.memory
    starts = [(memory.paddr, memory.size), (subject.kernel.mm.paddr_to_vaddr(memory.paddr), memory.size)]
    if golden.data:
        starts.append((golden.data[0][0], golden.data[-1][0] + PAGE_SIZE - golden.data[0][0]))
    found = np.zeros(len(words), dtype=np.bool_)
    for start, size in starts:
        found |= words - np.uint64(start) < np.uint64(size)
    return found


def _name(golden: Golden, target: str, paddr: int) -> str:
    """A word in words."""
    subject = golden.subject
    if isinstance(subject, GuestSubject) and target == "data":
        page = next(virtual for virtual, physical in golden.data if physical == paddr & -PAGE_SIZE)
        return subject.where(page + paddr % PAGE_SIZE)
    if target == "slot":
        slots = subject.kernel.mm.slots
        frame = (paddr - slots.base) // META_SLOT_SIZE * PAGE_SIZE
        return f"byte {paddr % META_SLOT_SIZE} of the slot of frame {frame:#x}"
    return f"the word at {paddr:#x}"


def _entry(subject: GuestSubject, random: np.random.Generator) -> tuple[int, str]:
    """An entry of the page table on the way to one of the allocator's pages; its physical address, and a name."""
    mm, memory = subject.kernel.mm, subject.memory
    linear = mm.paddr_to_vaddr(memory.paddr)
    pages = [*subject.text.addresses[::PAGE_SIZE], *range(linear, linear + memory.size, PAGE_SIZE)]
    text = len(subject.text.addresses[::PAGE_SIZE])
    index = int(random.integers(text) if random.integers(2) else text + random.integers(len(pages) - text))
    steps = walk(mm, pages[index]).steps
    step = steps[int(random.integers(len(steps)))]
    return step.entry, f"the level {step.level} entry for {pages[index]:#x}"
