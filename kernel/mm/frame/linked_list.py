"""Intrusive lists of unique frames: the links are in the metadata slots (OSTD `mm/frame/linked_list.rs`).

        head (32 bytes)                    slot of a frame in the list
        +0  front   ──────────────────►    +0  next   the following slot
        +8  back                           +8  prev   the one before
        +16 size                           +56 in_list = id
        +24 id      given on first use

Links are kernel virtual addresses of slots, 0 for none. Because every slot tells which list it is in,
`contains`, and a cursor at a frame's address, cost the same however long the list is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from kernel.errors import CorruptionError, FrameMisuse, GetFrameError, MetaTypeError, UseAfterMove
from kernel.mm.layout import Layout
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.port import MemoryPort

from .handle import Handle
from .meta import IN_LIST, REF_COUNT, UNIQUE, MetaSlots
from .meta_type import Link
from .unique import UniqueFrame

if TYPE_CHECKING:
    from kernel.mm.context import Mm

M = TypeVar("M", bound=Link)

HEAD_SIZE = 32
FRONT, BACK, SIZE, ID = 0, 8, 16, 24
NEXT, PREV = 0, 8
_HEAD_LAYOUT = Layout(HEAD_SIZE, 8)


class FrameChain:
    """The list at physical `head`, by addresses: for allocators, which keep their frames without handles.

    The frames are unique; who pushes one gives it up. Callers hold the lock that guards the list.
    """

    __slots__ = ("_ids", "_port", "_slots", "_virtual", "head")

    def __init__(self, mm: Mm, head: int) -> None:
        self.head = head
        self._port: MemoryPort = mm.port
        self._slots: MetaSlots = mm.slots
        self._virtual = mm.slots.to_virtual(0)
        self._ids = mm.statics.area("list_ids", 8)

    def __len__(self) -> int:
        return self._port.load(self.head + SIZE)

    def id(self) -> int:
        """The list's id, given now if it has none."""
        known = self._port.load(self.head + ID)
        if not known:
            known = self._port.fetch_add(self._ids, 1) + 1
            self._port.store(self.head + ID, known)
        return known

    def contains_slot(self, slot: int) -> bool:
        """Whether the frame whose slot is at physical `slot` is in this list."""
        in_list = self._port.load(slot + IN_LIST)
        return in_list != 0 and in_list == self._port.load(self.head + ID)

    def front(self) -> int:
        """Physical address of the first slot, 0 in an empty list."""
        return self._physical(self._port.load(self.head + FRONT))

    def back(self) -> int:
        """Physical address of the last slot, 0 in an empty list."""
        return self._physical(self._port.load(self.head + BACK))

    def next(self, slot: int) -> int:
        """The slot behind `slot`, 0 at the end."""
        return self._physical(self._port.load(slot + NEXT))

    def prev(self, slot: int) -> int:
        """The slot before `slot`, 0 at the front."""
        return self._physical(self._port.load(slot + PREV))

    def insert(self, slot: int, before: int) -> None:
        """Put the unique frame at `slot` in front of the slot `before`; at the end if that is 0."""
        port, head, here = self._port, self.head, slot + self._virtual
        if port.load(slot + IN_LIST):
            raise CorruptionError(f"frame {self._slots.frame_of(slot):#x} is in list {port.load(slot + IN_LIST)} "
                                  "already")
        after = port.load(before + PREV) if before else port.load(head + BACK)
        after_word = self._physical(after) + NEXT if after else head + FRONT
        size = port.load(head + SIZE) + 1
        if size > self._slots.max_paddr:
            raise CorruptionError(f"list {port.load(head + ID)} has {size - 1} frames by its own count")
        port.store(slot + NEXT, before + self._virtual if before else 0)
        port.store(slot + PREV, after)
        port.store(slot + IN_LIST, port.load(head + ID) or self.id())
        port.store(after_word, here)
        port.store(before + PREV if before else head + BACK, here)
        port.store(head + SIZE, size)

    def push_front(self, slot: int) -> None:
        """Put the unique frame at `slot` first."""
        self.insert(slot, self.front())

    def push_back(self, slot: int) -> None:
        """Put the unique frame at `slot` last."""
        self.insert(slot, 0)

    def remove(self, slot: int) -> None:
        """Take the frame at `slot` out; CorruptionError if it is not in this list, or its links are not a list's."""
        port, head = self._port, self.head
        if not self.contains_slot(slot):
            raise CorruptionError(f"frame {self._slots.frame_of(slot):#x} is not in list {port.load(head + ID)}")
        following, before = port.load(slot + NEXT), port.load(slot + PREV)
        here = slot + self._virtual
        before_word = self._physical(before) + NEXT if before else head + FRONT
        following_word = self._physical(following) + PREV if following else head + BACK
        if port.load(before_word) != here or port.load(following_word) != here:
            raise CorruptionError(f"list {port.load(head + ID)} is broken at frame {self._slots.frame_of(slot):#x}: "
                                  "its neighbours do not link back")
        size = port.load(head + SIZE)
        if not size:
            raise CorruptionError(f"list {port.load(head + ID)} has frames, but none by its own count")
        port.store(before_word, following)
        port.store(following_word, before)
        port.store(slot + NEXT, 0)
        port.store(slot + PREV, 0)
        port.store(slot + IN_LIST, 0)
        port.store(head + SIZE, size - 1)

    def pop_front(self) -> int:
        """Take the first frame out; its slot, 0 if the list is empty."""
        slot = self.front()
        if slot:
            self.remove(slot)
        return slot

    def pop_back(self) -> int:
        """Take the last frame out; its slot, 0 if the list is empty."""
        slot = self.back()
        if slot:
            self.remove(slot)
        return slot

    def __iter__(self) -> Iterator[int]:
        """The slots from front to back; CorruptionError instead of an endless walk."""
        slot, before, left = self.front(), 0, len(self)
        while slot:
            if left == 0 or not self.contains_slot(slot) or self.prev(slot) != before:
                raise CorruptionError(f"list {self._port.load(self.head + ID)} is broken at frame "
                                      f"{self._slots.frame_of(slot):#x}")
            yield slot
            before, slot, left = slot, self.next(slot), left - 1
        if left or self.back() != before:
            raise CorruptionError(f"list {self._port.load(self.head + ID)} ends {left} frames before its size says")

    def _physical(self, link: int) -> int:
        if not link:
            return 0
        slot = link - self._virtual
        slots = self._slots
        if slot & 63 or not slots.first_paddr >> 6 <= slot - slots.base < slots.max_paddr >> 6:
            raise CorruptionError(f"list head {self.head:#x}: link {link:#x} is not the address of a metadata slot")
        return slot


class LinkedList(Handle, Generic[M]):
    """A list that owns UniqueFrames with metadata of type `M`, a Link; dropping it drops its frames.

    The head is a heap slot of its own, or the 32 bytes at physical `head`.
    """

    __slots__ = ("_chain", "_own_head", "_type")

    def __init__(self, mm: Mm, kind: type[M], head: int | None = None) -> None:
        if not issubclass(kind, Link):
            raise MetaTypeError(f"{kind.__name__} has no links: metadata of frames in lists derives from Link")
        self._held = False
        self._mm, self._type = mm, kind
        self._own_head = head is None
        if head is None:
            address = mm.heap.alloc(_HEAD_LAYOUT)
            head = mm.vaddr_to_paddr(address)
            mm.port.fill(head, HEAD_SIZE)
        self._chain = FrameChain(mm, head)
        self._held = True

    def __repr__(self) -> str:
        return f"<LinkedList of {self._type.type_name()} at {self._chain.head:#x}{'' if self._held else ', gone'}>"

    def _release(self) -> None:
        while (frame := self.pop_front()) is not None:
            frame.drop()
        if self._own_head:
            self._mm.heap.dealloc(self._mm.paddr_to_vaddr(self._chain.head), _HEAD_LAYOUT)

    @property
    def size(self) -> int:
        """Frames in the list."""
        self._check()
        return len(self._chain)

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return self.size == 0

    def push_front(self, frame: UniqueFrame[M]) -> None:
        """Put a frame first; it moves into the list."""
        self.cursor_front_mut().insert_before(frame)

    def push_back(self, frame: UniqueFrame[M]) -> None:
        """Put a frame last; it moves into the list."""
        CursorMut(self, 0).insert_before(frame)

    def pop_front(self) -> UniqueFrame[M] | None:
        """Take the first frame out; None from an empty list."""
        return self.cursor_front_mut().take_current()

    def pop_back(self) -> UniqueFrame[M] | None:
        """Take the last frame out; None from an empty list."""
        return self.cursor_back_mut().take_current()

    def contains(self, paddr: int) -> bool:
        """Whether the frame at `paddr` is in this list; False for addresses without a frame."""
        self._check()
        try:
            return self._chain.contains_slot(self._mm.slots.slot(paddr))
        except GetFrameError:
            return False

    def cursor_mut_at(self, paddr: int) -> CursorMut[M] | None:
        """A cursor at the frame at `paddr`, None if it is not in this list."""
        return CursorMut(self, self._mm.slots.slot(paddr)) if self.contains(paddr) else None

    def cursor_front_mut(self) -> CursorMut[M]:
        """A cursor at the first frame; at the ghost in an empty list."""
        self._check()
        return CursorMut(self, self._chain.front())

    def cursor_back_mut(self) -> CursorMut[M]:
        """A cursor at the last frame; at the ghost in an empty list."""
        self._check()
        return CursorMut(self, self._chain.back())


class CursorMut(Generic[M]):
    """A place in a list: at a frame, or at the ghost between the last frame and the first."""

    __slots__ = ("_list", "_slot")

    def __init__(self, owner: LinkedList[M], slot: int) -> None:
        self._list, self._slot = owner, slot

    def as_list(self) -> LinkedList[M]:
        """The list."""
        return self._list

    def move_next(self) -> None:
        """Go to the next frame, from the last one to the ghost, from the ghost to the first."""
        chain = self._chain()
        self._slot = chain.next(self._slot) if self._slot else chain.front()

    def move_prev(self) -> None:
        """Go to the frame before, from the first one to the ghost, from the ghost to the last."""
        chain = self._chain()
        self._slot = chain.prev(self._slot) if self._slot else chain.back()

    def current_meta(self) -> M | None:
        """The metadata of the frame under the cursor, None at the ghost."""
        self._chain()
        return self._list._type.at(self._list._mm.port, self._slot) if self._slot else None

    def take_current(self) -> UniqueFrame[M] | None:
        """Take the frame under the cursor out, and go to the next one; None at the ghost."""
        chain, slot = self._chain(), self._slot
        if not slot:
            return None
        following = chain.next(slot)
        mm = self._list._mm
        if mm.port.load(slot + REF_COUNT) != UNIQUE:
            paddr = mm.slots.frame_of(slot)
            raise CorruptionError(f"frame {paddr:#x} in a list is {mm.slots.state(paddr)}; expected a unique one")
        chain.remove(slot)
        self._slot = following
        return UniqueFrame._adopt(mm, mm.slots.frame_of(slot), self._list._type)

    def insert_before(self, frame: UniqueFrame[M]) -> None:
        """Put a frame in front of the cursor's; at the ghost, at the end. The frame moves into the list.

        MetaTypeError for a frame of another type, FrameMisuse for another kernel's: the handle is still good.
        """
        chain, mm = self._chain(), self._list._mm
        if not isinstance(frame, UniqueFrame) or frame._type is not self._list._type:
            raise MetaTypeError(f"a list of {self._list._type.type_name()} cannot take {frame!r}")
        frame._check()
        if frame._mm is not mm:
            raise FrameMisuse("insert_before", frame.paddr, PAGE_SIZE, "a frame of another kernel",
                              "one of this kernel")
        chain.insert(mm.slots.slot(frame.paddr), self._slot)
        frame.into_raw()

    def _chain(self) -> FrameChain:
        if not self._list.held:
            _list_gone()
        if self._slot and not self._list._chain.contains_slot(self._slot):
            raise UseAfterMove("the cursor's frame has left the list")
        return self._list._chain


def _list_gone() -> NoReturn:
    raise UseAfterMove("the list of this cursor was dropped")
