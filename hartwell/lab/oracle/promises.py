"""Promises: what an allocator says that it does beyond the ABI (docs/lab-abi.md), tried.

    findings = misuse(subject)      # "refuses-misuse": a free that is none panics
    findings = zeroed(subject)      # memory of hartwell_…_alloc_zeroed is zero

An allocator that makes no such promise is not asked; then there are no findings. All are asked in guest code: the
kernel's own dispatch, which is before each Python class, refuses misuse for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.subject.guest import PREFIXES, GuestSubject
from hartwell.lab.subject.subject import SubjectKind
from kernel.errors import KernelError

if TYPE_CHECKING:
    from hartwell.lab.subject.subject import Subject

DIRT: Final = 0xA5
"""What memory is filled with that comes back zeroed, or not."""
PIECES: Final = (1, 2, 3, 8)
"""Blocks are of so many granules (frames), or so many times 72 bytes (heap)."""


def misuse(subject: Subject, cpu: int = 0) -> list[Finding]:
    """Whether a subject that promises to refuses wrong frees. It is pristine afterwards."""
    if not isinstance(subject, GuestSubject) or "refuses-misuse" not in subject.promises:
        return []
    size, align = _size(subject, 2), subject.kind.granule
    aside = 8 if subject.kind is SubjectKind.FRAME else 4
    findings: list[Finding] = []
    try:
        for what, gone, offset in (("a block is freed a second time", (1,), 0),
                                   ("a block is freed a second time, behind its neighbours", (1, 0, 2), 0),
                                   ("what does not begin where a block can is freed", (), aside)):
            blocks = _blocks(subject, cpu, size, gone)
            findings += _refused(subject, cpu, f"{what}: {size:,} bytes", blocks[1] + offset, size, align)
        for what, address in (("behind", subject.memory.end), ("before", subject.memory.start - size)):
            _blocks(subject, cpu, size, ())
            findings += _refused(subject, cpu, f"memory {what} all that was given is freed", address, size, align)
    except SubjectFailed as why:
        findings.append(why.finding)
    subject.reset()
    return findings


def zeroed(subject: Subject, cpu: int = 0) -> list[Finding]:
    """Whether zeroed memory is zero, of a subject that has it. It is pristine afterwards."""
    if not isinstance(subject, GuestSubject):
        return []
    name = PREFIXES[subject.kind] + "alloc_zeroed"
    function = subject.text.symbols.find(name)
    if function is None:
        return []
    findings: list[Finding] = []
    try:
        for count in PIECES:
            size = _size(subject, count)
            for address in _blocks(subject, cpu, size, ()):
                _bytes(subject, address, size)[:] = DIRT
            subject.run(_deallocations(3), cpu, contents=False)
            address = subject.call(cpu, function.address, size, subject.kind.granule)
            what = f"{name}({size:,}, {subject.kind.granule:,})"
            if address == 0:
                findings.append(Finding(FindingKind.EXHAUSTED, f"{what}: no memory, though nothing is allocated",
                                        size=size, expected="a block", actual="0"))
            elif not subject.memory.start <= address <= subject.memory.end - size:
                findings.append(Finding(FindingKind.OUT_OF_RANGE, f"{what}: {address:#x} is not in the memory that was "
                                        "given", None, address, size))
            elif (dirty := np.flatnonzero(_bytes(subject, address, size))).size:
                at = int(dirty[0])
                findings.append(Finding(FindingKind.NOT_ZEROED, f"{what}: byte {at:,} is not zero", None, address + at,
                                        1, "0", f"{int(_bytes(subject, address, size)[at]):#x}"))
    except SubjectFailed as why:
        findings.append(why.finding)
    except KernelError as why:
        findings.append(subject.failure(why, cpu, name))
    subject.reset()
    return findings


def _size(subject: Subject, count: int) -> int:
    return count * (subject.kind.granule if subject.kind is SubjectKind.FRAME else 72)


def _blocks(subject: Subject, cpu: int, size: int, gone: tuple[int, ...]) -> list[int]:
    """Three blocks of a pristine subject; those in `gone` are given back. All their addresses. SubjectFailed."""
    subject.reset()
    program = Program()
    for _ in range(3):
        program.alloc(size, subject.kind.granule)
    for handle in gone:
        program.dealloc(handle)
    results = subject.run(program.operations, cpu, contents=False)
    addresses = [int(value) for value in results["value"][:3]]
    if any(not subject.memory.start <= address <= subject.memory.end - size for address in addresses):
        raise SubjectFailed(Finding(FindingKind.EXHAUSTED, f"three blocks of {size:,} bytes were not to be had", None))
    return addresses


def _deallocations(count: int) -> np.ndarray:
    program = Program()
    for handle in range(count):
        program.dealloc(handle)
    return program.operations


def _bytes(subject: Subject, address: int, size: int) -> np.ndarray:
    """The bytes of a block."""
    return subject.machine.bus.memory(address - subject.memory.start + subject.memory.paddr, size)


def _refused(subject: GuestSubject, cpu: int, what: str, address: int, size: int, align: int) -> list[Finding]:
    """Free what must be refused; what is wrong if it is not, or otherwise than by a panic."""
    function = subject.text.address(PREFIXES[subject.kind] + "dealloc")
    try:
        subject.call(cpu, function, address, size, align)
    except KernelError as why:
        finding = subject.failure(why, cpu, what)
        return [] if "panic" in finding.details else [finding]
    return [Finding(FindingKind.ACCEPTED, f"{what}, and the allocator did not refuse", None, address, size,
                    "a panic", "a return")]
