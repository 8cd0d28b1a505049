"""The sanitizer: a guard over the memory of an allocator in guest code, and what its findings are called.

        who                       may                                   else
        clients, the driver       access blocks that are allocated      use after free, out of bounds
        the allocator             store to memory that is not           write to live block
        who calls it              free blocks, each once, whole         double free, invalid free

A block is allocated from the return of the call that gives it to the call that frees it. Heap memory is judged to the
byte, frames by pages. The kernel, and Python code, are not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from emulator.guard import FREED, FREED_BEGIN, HEAP_GRANULE, Guard, Kept
from emulator.stop import Guarded, Wrong
from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Operations, describe
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.subject.subject import Subject, SubjectKind
from hartwell.lab.subject.text import ALLOCATOR_TEXT, CLIENT_TEXT, DRIVER_TEXT
from kernel.cpu.errors import CpuStopped
from kernel.mm.paging import PAGE_SIZE


USERS: Final = range(DRIVER_TEXT.start, CLIENT_TEXT.stop)
_FREES: Final = {Wrong.TAKE_FREED: FindingKind.DOUBLE_FREE, Wrong.TAKE_INSIDE: FindingKind.INVALID_FREE,
                 Wrong.TAKE_OUTSIDE: FindingKind.INVALID_FREE, Wrong.TAKE_SIZE: FindingKind.INVALID_FREE}


class Sanitizer:
    """Judges what guest code does with the memory of `subject`, from `with` on.

    A violation ends the call that it happens in, before the instruction: SubjectFailed, with a Finding. `loads`: loads
    of clients are judged, too. `margin`: heap blocks are allocated so many bytes larger, so that something is behind
    each.
    The subject must be pristine at first; its `reset` is told to the guard.
    """

    def __init__(self, subject: GuestSubject, *, loads: bool = False, margin: int = 0) -> None:
        self.subject = subject
        heap = subject.kind is SubjectKind.HEAP
        names = [f"hartwell_{subject.kind.value}_{name}" for name in ("alloc", "alloc_zeroed")]
        symbols = subject.text.symbols
        gives = tuple(found.address for name in names if (found := symbols.find(name)) is not None)
        memory = subject.memory
        self.base = subject.kernel.mm.paging.linear_base if heap else 0
        """What is subtracted from the allocator's addresses to get physical ones."""
        take = subject.text.address(f"hartwell_{subject.kind.value}_dealloc")
        kept = Kept(range(memory.paddr, memory.paddr + memory.size), HEAP_GRANULE if heap else PAGE_SIZE,
                    ALLOCATOR_TEXT, USERS, gives, take, self.base, heap)
        self.guard = Guard(subject.machine, kept, loads=loads, margin=margin if heap else 0)
        self.stop: Guarded | None = None
        """The last violation."""
        self._deeds: list[tuple[Callable[[], object], Operations | None]] = []
        self._again = False

    def __enter__(self) -> Self:
        self.guard.__enter__()
        self.subject.watcher = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.subject.watcher = None
        self.guard.__exit__(kind, error, trace)

    # --- as the subject's Watcher -----------------------------------------------------------------------------------

    def will(self, again: Callable[[], object], operations: Operations | None) -> None:
        """See Watcher."""
        if not self._again:
            self._deeds.append((again, operations))

    def forget(self) -> None:
        """See Watcher."""
        self.guard.clear()
        if not self._again:
            self._deeds.clear()

    def finding(self, stop: Guarded, cpu: int, words: str, number: int | None) -> Finding:
        """See Watcher."""
        self.stop = stop
        kind, title = self.name(stop)
        where = self.subject.where(stop.pc)
        expected = "a block that is allocated" if stop.what in _FREES else "memory of its own"
        return Finding(kind, f"{words}: {title}, at {where}" if words else f"{title}, at {where}", number,
                       self.address(stop), stop.size, expected, title,
                       {"cpu": cpu, "hart": stop.hart, "pc": stop.pc, "where": where, "call": stop.call})

    # --- explaining -------------------------------------------------------------------------------------------------

    def explain(self, finding: Finding) -> Finding:
        """`finding` with a report, if it is what the subject has stopped for last; else as it is.

        The subject does all again that it has done since it was pristine, up to three times; it is not pristine then.
        """
        from .explain import Explainer

        stop = self.stop
        if stop is None or finding.details.get("call") != stop.call or finding.details.get("pc") != stop.pc:
            return finding
        return Explainer(self).explain(finding, stop)

    def rerun(self, prepare: Callable[[], None]) -> int | None:
        """From a pristine subject, and after `prepare`, do all again up to a stop of the guard.

        The number of the operation that was under way then, None if there was none.
        """
        before = 0
        self._again, stop = True, self.stop
        try:
            self.subject.reset()
            prepare()
            for again, operations in self._deeds:
                try:
                    again()
                except SubjectFailed as why:
                    number = why.finding.operation
                    return None if number is None else before + number
                except CpuStopped:
                    return None
                before += 0 if operations is None else len(operations)
            return None
        finally:
            self._again, self.stop = False, stop

    def words(self, number: int) -> str:
        """The operation with this number, of all since the subject was pristine, in words."""
        for _, operations in self._deeds:
            if operations is None:
                continue
            if number < len(operations):
                return describe(operations[number])
            number -= len(operations)
        return ""

    # --- what a stop is called --------------------------------------------------------------------------------------

    def name(self, stop: Guarded) -> tuple[FindingKind, str]:
        """What kind of finding a stop is, and the first line of a report on it."""
        at = f"at {self.address(stop):#x} by hart {stop.hart}"
        size = f"{stop.size:,} byte{'s' * (stop.size != 1)}"
        what = stop.what
        if what in _FREES:
            kind = _FREES[what]
            why = {Wrong.TAKE_FREED: "", Wrong.TAKE_INSIDE: ", where no allocated block begins",
                   Wrong.TAKE_OUTSIDE: ", which is not the allocator's memory",
                   Wrong.TAKE_SIZE: f", but the block there has {stop.found:,}"}[what]
            return kind, f"{kind.value.replace(' ', '-')} of {size} {at}{why}"
        if what is Wrong.OVERLAP:
            return FindingKind.OVERLAP, f"overlap: {size} {at} are given out, and from {stop.found:,} on were before"
        if what is Wrong.KEEPER_STORE:
            return FindingKind.WRITE_TO_LIVE, f"store of {size} {at}, by the allocator, into a block that is allocated"
        state = self.guard.state(self.first_wrong(stop))
        kind = FindingKind.USE_AFTER_FREE if state in (FREED, FREED_BEGIN) else FindingKind.OUT_OF_BOUNDS
        access = "store" if what is Wrong.USER_STORE else "load"
        return kind, f"{kind.value.replace(' ', '-')} {access} of {size} {at}"

    def address(self, stop: Guarded) -> int:
        """Where it happened, as the allocator's own addresses have it."""
        return stop.paddr + self.base if stop.what is Wrong.KEEPER_STORE and self.base else stop.address

    def first_wrong(self, stop: Guarded) -> int:
        """The physical address of the first byte of an access by a client that is not allocated."""
        return next((at for at in range(stop.paddr, stop.paddr + stop.size) if not self.is_live(at)), stop.paddr)

    def is_live(self, paddr: int) -> bool:
        """Whether the byte at a physical address is allocated."""
        state = self.guard.state(paddr)
        return state < 0x18 and (not state & 7 or paddr % HEAP_GRANULE < state & 7)


@contextmanager
def sanitized(subject: Subject) -> Iterator[Sanitizer | None]:
    """A sanitizer of `subject` in a `with` block; None, and nothing, if its code is not a guest's."""
    if isinstance(subject, GuestSubject):
        with Sanitizer(subject) as sanitizer:
            yield sanitizer
    else:
        yield None
