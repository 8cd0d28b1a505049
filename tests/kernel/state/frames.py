"""Frames, unique frames, segments, lists, and everything that one can be turned into."""

from __future__ import annotations

from typing import Any, TypeAlias

from kernel import Kernel
from kernel.errors import (
    AccessDenied,
    Busy,
    FrameMisuse,
    GetFrameError,
    InUse,
    KernelPanic,
    MetaTypeError,
    NoMemory,
    NotAligned,
    OutOfBound,
    Unique,
    Unused,
    UseAfterMove,
)
from kernel.mm import (
    PAGE_SIZE,
    Accessible,
    AnyUFrameMeta,
    Frame,
    FrameAllocOptions,
    FrameMeta,
    FrameRef,
    LinkedList,
    Mm,
    Segment,
    UniqueFrame,
    Unit,
)
from kernel.mm.fields import u64
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.meta import Kind
from kernel.mm.frame.meta_type import Link

from tests.kernel.state.part import Draw, Operation, Part, refused


class CacheMeta(AnyUFrameMeta):
    """Of an untyped frame, with something to remember."""

    tag = u64()


class OwnedMeta(FrameMeta):
    """Of a typed frame."""

    tag = u64()


class OtherMeta(FrameMeta):
    """Of another typed frame, as large as can be."""

    tag = u64()
    more = u64()
    again = u64()
    still = u64()
    last = u64()


class OpenMeta(Accessible):
    """Of a frame that can be looked up."""

    tag = u64()


class PinnedMeta(FrameMeta):
    """Of a frame that cannot be dropped while it is pinned."""

    tag = u64()
    pinned = u64()

    def on_drop(self, mm: Mm, paddr: int) -> None:
        """Refuse."""
        if self.pinned:
            raise KernelPanic("pinned")


class ListedMeta(Link):
    """Of a frame that can be in a list."""

    tag = u64()


Tagged: TypeAlias = type[CacheMeta] | type[OwnedMeta] | type[OtherMeta] | type[OpenMeta] | type[ListedMeta]
KINDS: tuple[Tagged, ...] = (CacheMeta, OwnedMeta, OpenMeta)
ZEROES = bytes(PAGE_SIZE)
MOST = 160
"""Handles that the part has at most; above, operations that make more do nothing."""


class FramesPart(Part):
    """Handles in hand, and for every frame the tag in its metadata and the words that were written to it."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.frames: list[Frame[Any]] = []
        self.uniques: list[UniqueFrame[Any]] = []
        self.segments: list[Segment[Any]] = []
        self.lists: list[tuple[LinkedList[ListedMeta], list[int]]] = []
        self.tags: dict[int, int] = {}
        self.stamps: dict[int, int] = {}
        self.next_tag = 1

    def operations(self) -> list[Operation]:
        return [
            Operation(self.alloc_frame, 6), Operation(self.alloc_with, 4), Operation(self.alloc_unique, 4),
            Operation(self.alloc_segment, 3), Operation(self.alloc_segment_with, 2), Operation(self.alloc_many, 1),
            Operation(self.clone, 4), Operation(self.drop_frame, 10), Operation(self.drop_unique, 5),
            Operation(self.drop_segment, 5), Operation(self.split, 2), Operation(self.slice, 3),
            Operation(self.clone_segment, 2), Operation(self.next_frame, 3), Operation(self.into_segment, 1),
            Operation(self.dyn, 2), Operation(self.raw, 2), Operation(self.into_unique, 3),
            Operation(self.into_frame, 3), Operation(self.repurpose, 3), Operation(self.access, 3),
            Operation(self.make_inaccessible, 3), Operation(self.from_in_use, 3), Operation(self.contents, 4),
            Operation(self.borrow, 1), Operation(self.new_list, 1), Operation(self.push, 6),
            Operation(self.pop, 4), Operation(self.list_cursor, 4), Operation(self.drop_list, 1),
            Operation(self.misuse, 3), Operation(self.pinned, 1),
        ]

    def begin(self) -> None:
        self.lists.append((LinkedList(self.mm, ListedMeta), []))
        for _ in range(4):
            frame = FrameAllocOptions(self.mm).alloc_unique(ListedMeta(tag=self._tag()))
            self.tags[frame.paddr] = self.next_tag
            self.lists[0][1].append(frame.paddr)
            self.lists[0][0].push_back(frame)

    def holders(self) -> list[Handle]:
        return [*self.frames, *self.uniques, *self.segments, *(each for each, _ in self.lists)]

    def drop_all(self) -> None:
        for handle in self.holders():
            handle.drop()
        for things in (self.frames, self.uniques, self.segments, self.lists):
            things.clear()
        self.tags.clear()
        self.stamps.clear()

    # --- new ones -------------------------------------------------------------------------------------------------

    def _full(self) -> bool:
        return len(self.frames) + len(self.uniques) + len(self.segments) >= MOST

    def _tag(self) -> int:
        self.next_tag += 1
        return self.next_tag

    def _began(self, paddr: int, zeroed: bool = False) -> None:
        """A frame was allocated: what was known of the page is history."""
        assert paddr not in self._held_frames(), f"{paddr:#x} was handed out, and is somebody's"
        self.stamps.pop(paddr, None)
        self.tags.pop(paddr, None)
        if zeroed:
            assert self.mm.port.read(paddr, PAGE_SIZE) == ZEROES
            self.stamps[paddr] = 0

    def _held_frames(self) -> set[int]:
        held = {frame.paddr for frame in self.frames} | {frame.paddr for frame in self.uniques}
        return held.union(*(segment.paddr_range[::PAGE_SIZE] for segment in self.segments), *(m for _, m in self.lists))

    def alloc_frame(self, draw: Draw) -> None:
        if not self._full():
            zeroed = not draw.chance(3)
            frame = FrameAllocOptions(self.mm).zeroed(zeroed).alloc_frame()
            self._began(frame.paddr, zeroed)
            self.frames.append(frame)

    def alloc_with(self, draw: Draw) -> None:
        if not self._full():
            tag, kind = self._tag(), KINDS[draw.below(len(KINDS))]
            frame = FrameAllocOptions(self.mm).alloc_frame_with(kind(tag=tag))
            self._began(frame.paddr)
            self.tags[frame.paddr] = tag
            self.frames.append(frame)

    def alloc_unique(self, draw: Draw) -> None:
        if not self._full():
            tag, kind = self._tag(), draw.pick([ListedMeta, ListedMeta, OwnedMeta, CacheMeta, OpenMeta])
            if kind is OpenMeta:
                with refused(MetaTypeError):
                    FrameAllocOptions(self.mm).alloc_unique(kind(tag=tag))
                return
            frame: UniqueFrame[Any] = FrameAllocOptions(self.mm).alloc_unique(kind(tag=tag))
            self._began(frame.paddr)
            self.tags[frame.paddr] = tag
            self.uniques.append(frame)

    def alloc_segment(self, draw: Draw) -> None:
        if not self._full():
            pages = draw.pick([1, 2, 3, 4, 5, 7, 8, 16, 33, 64])
            try:
                segment = FrameAllocOptions(self.mm).zeroed(False).alloc_segment(pages)
            except NoMemory:
                return
            for paddr in segment.paddr_range[::PAGE_SIZE]:
                self._began(paddr)
            self.segments.append(segment)

    def alloc_segment_with(self, draw: Draw) -> None:
        if self._full():
            return
        pages, kind, fails = 1 + draw.below(6), draw.pick([CacheMeta, OwnedMeta, OpenMeta]), draw.below(12)
        tags: dict[int, int] = {}

        def meta(paddr: int) -> Any:
            if len(tags) == fails:
                raise InterruptedError
            tags[paddr] = self._tag()
            return kind(tag=tags[paddr])

        try:
            segment = FrameAllocOptions(self.mm).zeroed(False).alloc_segment_with(pages, meta)
        except InterruptedError:
            assert fails < pages
            return
        except NoMemory:
            return
        for paddr, tag in tags.items():
            self._began(paddr)
            self.tags[paddr] = tag
        self.segments.append(segment)

    def alloc_many(self, draw: Draw) -> None:
        """Far more than there is, or none at all."""
        with refused(NoMemory):
            FrameAllocOptions(self.mm).alloc_segment(draw.pick([1 << 20, 5000, 1 << 40]))

    # --- the same ones ----------------------------------------------------------------------------------------------

    def clone(self, draw: Draw) -> None:
        if self.frames and not self._full():
            self.frames.append(draw.pick(self.frames).clone())

    def drop_frame(self, draw: Draw) -> None:
        if self.frames:
            frame = draw.take(self.frames)
            frame.drop()
            with refused(UseAfterMove):
                frame.clone()

    def pinned(self, draw: Draw) -> None:
        """A frame or segment whose metadata refuses to be dropped stays as it is."""
        options = FrameAllocOptions(self.mm).zeroed(False)
        meta = PinnedMeta(tag=self._tag(), pinned=1)
        kind = draw.below(3)
        handle: Any = (options.alloc_frame_with(meta) if kind == 0 else options.alloc_unique(meta) if kind == 1
                       else options.alloc_segment_with(3, lambda _: meta))
        for paddr in range(handle.paddr, handle.paddr + handle.size, PAGE_SIZE):
            self._began(paddr)
        with refused(KernelPanic):
            handle.drop()
        if kind == 1:
            with refused(KernelPanic):
                handle.repurpose(OwnedMeta())
            with refused(FrameMisuse):
                handle.reset_as_unused()
        assert handle.held
        for paddr in range(handle.paddr, handle.paddr + handle.size, PAGE_SIZE):
            PinnedMeta.at(self.mm.port, self.mm.slots.slot(paddr)).pinned = 0
        handle.drop()

    def drop_unique(self, draw: Draw) -> None:
        if self.uniques:
            draw.take(self.uniques).drop()

    def drop_segment(self, draw: Draw) -> None:
        if self.segments:
            draw.take(self.segments).drop()

    def split(self, draw: Draw) -> None:
        if self.segments:
            segment = draw.take(self.segments)
            if segment.nframes == 1:
                with refused(KernelPanic):
                    segment.split(0)
                self.segments.append(segment)
                return
            at = (1 + draw.below(segment.nframes - 1)) * PAGE_SIZE
            self.segments += segment.split(at)

    def slice(self, draw: Draw) -> None:
        if self.segments and not self._full():
            segment = draw.pick(self.segments)
            first = draw.below(segment.nframes)
            last = first + 1 + draw.below(segment.nframes - first)
            self.segments.append(segment.slice(first * PAGE_SIZE, last * PAGE_SIZE))

    def clone_segment(self, draw: Draw) -> None:
        if self.segments and not self._full():
            self.segments.append(draw.pick(self.segments).clone())

    def next_frame(self, draw: Draw) -> None:
        if self.segments:
            index = draw.below(len(self.segments))
            self.frames.append(self.segments[index].next_frame())
            if not self.segments[index].held:
                del self.segments[index]

    def into_segment(self, draw: Draw) -> None:
        if self.frames:
            self.segments.append(draw.take(self.frames).into_segment())

    def dyn(self, draw: Draw) -> None:
        """Forget a type and find it again, or not the wrong one."""
        things: list[Any] = draw.pick([self.frames, self.segments])
        if things:
            thing = draw.take(things).into_dyn()
            kind = thing._type
            wrong = OtherMeta if kind is not OtherMeta else OwnedMeta
            with refused(MetaTypeError):
                thing.downcast(wrong)
            things.append(thing.downcast(kind))

    def raw(self, draw: Draw) -> None:
        kinds: list[tuple[list[Any], Any]] = [(self.frames, Frame), (self.segments, Segment),
                                              (self.uniques, UniqueFrame)]
        for things, kind in kinds:
            if things and draw.chance(2):
                things.append(kind.from_raw(self.mm, draw.take(things).into_raw()))

    def _count(self, paddr: int) -> int:
        return (sum(frame.paddr == paddr for frame in self.frames)
                + sum(paddr in segment.paddr_range for segment in self.segments))

    def into_unique(self, draw: Draw) -> None:
        if self.frames:
            frame = draw.take(self.frames)
            alone = self._count(frame.paddr) == 0
            if frame._type is OpenMeta:
                with refused(MetaTypeError):
                    frame.try_into_unique()
                self.frames.append(frame)
            elif (unique := frame.try_into_unique()) is not None:
                assert alone
                self.uniques.append(unique)
            else:
                assert not alone
                self.frames.append(frame)

    def into_frame(self, draw: Draw) -> None:
        if self.uniques:
            self.frames.append(draw.take(self.uniques).into_frame())

    def repurpose(self, draw: Draw) -> None:
        if self.uniques:
            kind, tag = draw.pick([OwnedMeta, OtherMeta, ListedMeta, CacheMeta]), self._tag()
            unique: UniqueFrame[Any] = draw.take(self.uniques).repurpose(kind(tag=tag))
            self.tags[unique.paddr] = tag
            assert unique.meta.tag == tag
            self.uniques.append(unique)

    # --- by address -------------------------------------------------------------------------------------------------

    def _address(self, draw: Draw) -> int:
        """Of a frame that the part has, or of any frame, or of none."""
        slots = self.mm.slots
        if self.frames and draw.chance(2):
            return draw.pick(self.frames).paddr
        if self.uniques and draw.chance(3):
            return draw.pick(self.uniques).paddr
        if draw.chance(8):
            return draw.pick([slots.max_paddr, slots.first_paddr - PAGE_SIZE, slots.first_paddr + 8, 1 << 62,
                              -PAGE_SIZE])
        return slots.first_paddr + draw.below((slots.max_paddr - slots.first_paddr) >> 12) * PAGE_SIZE

    def access(self, draw: Draw) -> None:
        paddr = self._address(draw)
        expected = {frame._type for frame in self.frames if frame.paddr == paddr}
        expected |= {segment._type for segment in self.segments if paddr in segment.paddr_range}
        found = Frame.access(self.mm, paddr, OpenMeta)
        assert (found is not None) == (expected == {OpenMeta}) or paddr & PAGE_SIZE - 1
        if found is not None:
            assert found.meta.tag == self.tags[paddr]
            self.frames.append(found)
        with refused(MetaTypeError):
            Frame.access(self.mm, paddr, OwnedMeta)

    def make_inaccessible(self, draw: Draw) -> None:
        if self.frames:
            frame = draw.take(self.frames)
            alone, tag, mode = self._count(frame.paddr) == 0, self._tag(), draw.below(3)

            def new(old: Any) -> Any:
                with refused(Busy):
                    Frame.from_in_use(self.mm, frame.paddr)
                if mode == 1:
                    raise InterruptedError
                return OpenMeta() if mode == 2 else OtherMeta(tag=tag, more=1, again=2, still=3, last=4)

            try:
                unique = frame.make_inaccessible(new)
            except (InterruptedError, MetaTypeError):
                assert alone and mode
                self.frames.append(frame)
                return
            if unique is None:
                assert not alone
                self.frames.append(frame)
            else:
                self.uniques.append(unique)
                self.tags[unique.paddr] = tag
                assert (unique.meta.tag, unique.meta.last) == (tag, 4)

    def from_in_use(self, draw: Draw) -> None:
        """A look-up by address says what the model says, for the part's own frames."""
        paddr = self._address(draw)
        count = self._count(paddr)
        unique = any(frame.paddr == paddr for frame in self.uniques) or any(paddr in m for _, m in self.lists)
        try:
            found = Frame.from_in_use(self.mm, paddr)
        except GetFrameError as error:
            assert not count
            if unique:
                assert type(error) is Unique
            elif paddr & PAGE_SIZE - 1:
                assert type(error) is NotAligned
            elif not self.mm.slots.first_paddr <= paddr < self.mm.slots.max_paddr:
                assert type(error) is OutOfBound
            else:
                assert type(error) in (Unused, Unique)
            return
        assert not unique
        if count:
            assert found.reference_count >= count + 1
        found.drop()

    def contents(self, draw: Draw) -> None:
        """Untyped frames keep what is written, typed ones show nothing; metadata keeps its tag."""
        frames: list[Any] = draw.pick([self.frames, self.uniques])
        if not frames:
            return
        frame = draw.pick(frames)
        if frame.paddr in self.tags and frame._type is not Unit:
            assert frame.meta.tag == self.tags[frame.paddr]
        if not issubclass(frame._type, AnyUFrameMeta):
            with refused(AccessDenied):
                frame.reader()
            with refused(AccessDenied):
                frame.writer()
            return
        known = self.stamps.get(frame.paddr)
        if known is not None and isinstance(frame, Frame):
            assert frame.read_bytes(0, 8) == frame.read_bytes(PAGE_SIZE - 8, 8) == known.to_bytes(8, "little")
        stamp = self._tag()
        frame.writer().write_bytes(stamp.to_bytes(8, "little") * (PAGE_SIZE // 8))
        self.stamps[frame.paddr] = stamp

    def borrow(self, draw: Draw) -> None:
        if self.frames:
            frame = draw.pick(self.frames)
            borrowed: FrameRef[Any] = frame.borrow()
            before = frame.reference_count
            assert borrowed.reference_count == before and borrowed.paddr == frame.paddr
            clone = borrowed.clone()
            assert frame.reference_count == before + 1
            clone.drop()

    # --- lists --------------------------------------------------------------------------------------------------------

    def new_list(self, draw: Draw) -> None:
        if len(self.lists) < 3:
            self.lists.append((LinkedList(self.mm, ListedMeta), []))

    def push(self, draw: Draw) -> None:
        if not self.lists or not self.uniques:
            return
        target, model = draw.pick(self.lists)
        frame = draw.take(self.uniques)
        if frame._type is not ListedMeta:
            with refused(MetaTypeError):
                target.push_back(frame)
            self.uniques.append(frame)
        elif draw.chance(2):
            model.append(frame.paddr)
            target.push_back(frame)
        else:
            model.insert(0, frame.paddr)
            target.push_front(frame)

    def pop(self, draw: Draw) -> None:
        if self.lists:
            target, model = draw.pick(self.lists)
            frame = target.pop_front() if draw.chance(2) else target.pop_back()
            if frame is None:
                assert not model
                return
            assert frame.paddr in (model[0], model[-1])
            model.remove(frame.paddr)
            assert frame.meta.tag == self.tags[frame.paddr]
            self.uniques.append(frame)

    def list_cursor(self, draw: Draw) -> None:
        """Walk a list, and take from or insert in its middle."""
        if not self.lists:
            return
        target, model = draw.pick(self.lists)
        paddr = draw.pick(model) if model and draw.chance(2) else self._address(draw)
        cursor = target.cursor_mut_at(paddr)
        assert (cursor is not None) == (paddr in model) == target.contains(paddr)
        assert target.size == len(model)
        if cursor is None:
            return
        meta = cursor.current_meta()
        assert meta is not None and meta.tag == self.tags[paddr]
        if draw.chance(2):
            cursor.move_next()
            index = model.index(paddr) + 1
        else:
            cursor.move_prev()
            index = model.index(paddr) - 1
        place = index % (len(model) + 1)  # the ghost is behind the last one
        if draw.chance(2) and self.uniques and self.uniques[-1]._type is ListedMeta:
            frame = self.uniques.pop()
            model.insert(place, frame.paddr)
            cursor.insert_before(frame)
        elif (taken := cursor.take_current()) is not None:
            assert taken.paddr == model.pop(place)
            self.uniques.append(taken)
            following = cursor.current_meta()
            assert (following.tag if following else 0) == (self.tags[model[place]] if place < len(model) else 0)
        else:
            assert place == len(model)

    def drop_list(self, draw: Draw) -> None:
        if self.lists and draw.chance(3):
            draw.take(self.lists)[0].drop()

    # --- against the rules ------------------------------------------------------------------------------------------

    def misuse(self, draw: Draw) -> None:
        """Frees and claims of what is not the caller's are refused by name."""
        paddr, slots = self._address(draw), self.mm.slots
        if (slots.first_paddr <= paddr < slots.max_paddr and not paddr % PAGE_SIZE
                and slots.state(paddr).kind is Kind.TAKEN):
            return  # another part's, which has not claimed it: that is allowed
        with refused(FrameMisuse):
            self.mm.frame_allocator.dealloc(paddr, draw.pick([PAGE_SIZE, 2 * PAGE_SIZE, 0, -PAGE_SIZE, 1 << 63]))
        with refused(FrameMisuse, InUse, Unique, OutOfBound, NotAligned):
            Segment.from_unused(self.mm, paddr, paddr + PAGE_SIZE, lambda _: Unit())
        with refused(FrameMisuse):
            self.mm.frame_allocator.add_free_memory(paddr, PAGE_SIZE)
