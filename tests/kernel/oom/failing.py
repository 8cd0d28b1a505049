"""A frame allocator that can be told to refuse, and operations run against each of its refusals."""

from __future__ import annotations

from collections.abc import Callable

from kernel import Choices, Kernel
from kernel.errors import NoMemory
from kernel.mm import Layout, Mm
from kernel.mm.check import check
from kernel.mm.frame.handle import Handle
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from tests.helpers.kernels import boot


class Refusals:
    """Which requests are refused: the one after `after` more, or, if `lasting`, all from then on; None for none."""

    def __init__(self) -> None:
        self.after: int | None = None
        self.lasting = False
        self.requests = 0
        """How many there were at all."""

    def refuse(self) -> bool:
        """Whether this request is refused."""
        self.requests += 1
        if self.after is None:
            return False
        self.after -= 1
        return self.after < 0 if self.lasting else self.after == -1

    @property
    def met(self) -> bool:
        """Whether one was."""
        return self.after is not None and self.after < 0


class RefusingFrames(FrameAllocator):
    """The default frame allocator, which refuses what `refusals` say."""

    __slots__ = ("refusals",)

    def __init__(self, mm: Mm, refusals: Refusals) -> None:
        super().__init__(mm)
        self.refusals = refusals

    def alloc(self, layout: Layout) -> int | None:
        return None if self.refusals.refuse() else super().alloc(layout)


def refusing(refusals: Refusals) -> Choices:
    """The choices of a boot with such an allocator."""
    return Choices(frame_allocator=lambda mm: RefusingFrames(mm, refusals), watchdog_lines=None)


class Trial:
    """A kernel whose frame allocator refuses, and what the test holds in it."""

    def __init__(self, harts: int = 1) -> None:
        self.refusals = Refusals()
        self.kernel: Kernel = boot(refusing(self.refusals), memory=16 << 20, harts=harts)
        self.mm = self.kernel.mm
        self.held: list[Handle] = []
        self.objects: list[int] = []

    @property
    def free(self) -> int:
        """Bytes of free memory."""
        inner = self.mm.frame_allocator.inner
        assert isinstance(inner, RefusingFrames)
        return inner.load_total_free_size()

    def hold(self, *handles: Handle) -> None:
        """These are held from now on."""
        self.held += handles

    def check(self) -> None:
        """The whole state, with what the test holds."""
        check(self.mm, self.held, objects=self.objects)

    def fails_cleanly(self, act: Callable[[], object], *, undo: Callable[[], object] | None = None,
                      may_manage: bool = False) -> int:
        """Run `act` with its 1st, 2nd, … request for frames refused, once and for good, until none is met.

        Each refusal must give NoMemory, and leave all as it was. With `may_manage`, `act` may also go on
        without what it did not get; then `undo` takes it back. How many requests could fail.
        """
        most = 0
        for lasting in (False, True):
            failures = 0
            while True:
                self.check()
                free = self.free
                self.refusals.after, self.refusals.lasting = failures, lasting
                try:
                    act()
                except NoMemory:
                    assert self.refusals.met
                    self.refusals.after = None
                    assert self.free == free, f"refusal {failures + 1}: {free - self.free} bytes are gone"
                    self.check()
                    failures += 1
                    continue
                met = self.refusals.met
                self.refusals.after = None
                assert may_manage or not met, f"refusal {failures + 1} was not noticed"
                if undo is not None:
                    undo()
                self.check()
                if not met:
                    break
                failures += 1
            most = max(most, failures)
        return most
