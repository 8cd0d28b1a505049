"""What changed in a kernel's memory: frames by runs, address spaces, the heap, KVirtAreas, free memory.

        frames: 1 allocated

        frames                 was   is                 count
        0x80315000-0x80315fff  free  in use by 1 as ()      1

Each part is there if anything in it changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from kernel.boot.figures import amount
from kernel.picture.diff import FrameChangeKind

from .pagetable import pages
from .table import table_lines

if TYPE_CHECKING:
    from kernel.picture import Change, Difference, FrameChange, MappingChange, SizeClass, SlabChange, SpaceChange

T = TypeVar("T")

MOST = 40
"""Lines of a table of frames, mappings or slabs that are shown; `as_dict` has all."""
COUNTED = ("active", "cached", "free", "moving", "full slabs", "partial slabs", "empty slabs")
"""What is counted of each slot size."""


def lines(found: Difference, *, plain: bool = False) -> list[str]:
    """The whole view; one line if nothing changed. With `plain` without escape sequences."""
    if found.empty:
        return ["nothing changed"]
    parts: list[list[str]] = [[_summary(found)]] if found.frames else []

    def table(headings: Sequence[str], rows: Iterable[Sequence[str]], left: int, most: int = 1 << 60) -> None:
        kept = list(rows)
        if kept:
            more = [f"and {len(kept) - most:,} more"] if len(kept) > most else []
            parts.append(table_lines(headings, kept[:most], left=left, plain=plain) + more)

    table(("frames", "was", "is", "count"), [
        (_range(change.start, change.end), str(change.before), str(change.after), f"{change.frames:,}")
        for change in found.frames], 3, MOST)
    for space in found.spaces:
        parts.append(_space_lines(space))
        table((f"in {space.thing.root:#x}", "was", "is", "size"), [
            (_range(change.start, change.end), _target(change, 0), _target(change, 1), amount(change.size))
            for change in space.mappings], 3, MOST)
    table(("heap", "change"), [
        (f"slots of {size} bytes", ", ".join(f"{name} {old:,} -> {new:,}" for name, old, new in counts))
        for size, counts in _class_changes(found)], 2)
    table(("slab", "slots of", "change"), [
        (f"{change.thing.paddr:#x}", f"{change.thing.slot_size} bytes", _slab(change))
        for change in found.slabs], 3, MOST)
    table(("large allocation", "size", "change"), [
        (f"{large.thing.paddr:#x}", amount(large.thing.size),
         _change(large, lambda each: "live" if each.live else "given back")) for large in found.large], 3, MOST)
    table(("KVirtArea", "size", "change"), [
        (_range(area.thing.start, area.thing.end), amount(area.thing.size),
         _change(area, lambda each: f"{amount(each.mapped)} mapped")) for area in found.areas], 3, MOST)
    free = [("in all", *found.free)] if found.free[0] != found.free[1] else []
    table(("free memory", "was", "is"), [
        (name, amount(old), amount(new)) for name, old, new in (*free, *found.pools, *found.caches)], 1)
    table(("free chunks", "was", "is"), [
        (f"order {order}", f"{old:,}", f"{new:,}") for order, old, new in found.orders], 1)
    return "\n\n".join("\n".join(part) for part in parts).split("\n")


def as_dict(found: Difference) -> dict[str, Any]:
    """The view for programs: sizes in bytes, `was` and `is` null for what is not there."""
    return {
        "frames": [{"start": f"{change.start:#x}", "end": f"{change.end:#x}", "frames": change.frames,
                    "kind": change.kind.name.lower(), "was": _state(change, 0), "is": _state(change, 1)}
                   for change in found.frames],
        "spaces": [{
            "root": f"{space.thing.root:#x}", "made": space.before is None, "gone": space.after is None,
            "tables": [None if side is None else list(side.nodes) for side in (space.before, space.after)],
            "cpus": [None if side is None else list(side.cpus) for side in (space.before, space.after)],
            "mappings": [{"start": f"{change.start:#x}", "end": f"{change.end:#x}", "kind": change.kind.name.lower(),
                          "was": _side(change, 0), "is": _side(change, 1)} for change in space.mappings]}
            for space in found.spaces],
        "classes": [{"slot_size": size, "what": name, "was": old, "is": new}
                    for size, counts in _class_changes(found) for name, old, new in counts],
        "slabs": [{"address": f"{change.thing.paddr:#x}", "slot_size": change.thing.slot_size,
                   "made": change.before is None, "gone": change.after is None, "taken": _bits(change.taken),
                   "given": _bits(change.given)} for change in found.slabs],
        "large": [{"address": f"{large.thing.paddr:#x}", "size": large.thing.size,
                   "was": None if large.before is None else large.before.live,
                   "is": None if large.after is None else large.after.live} for large in found.large],
        "areas": [{"start": f"{area.thing.start:#x}", "end": f"{area.thing.end:#x}",
                   "was": None if area.before is None else area.before.mapped,
                   "is": None if area.after is None else area.after.mapped} for area in found.areas],
        "free": {"was": found.free[0], "is": found.free[1]},
        "orders": [{"order": order, "was": old, "is": new} for order, old, new in found.orders],
        "pools": [{"name": name, "was": old, "is": new} for name, old, new in (*found.pools, *found.caches)],
    }


def _summary(found: Difference) -> str:
    """How many frames changed in which way."""
    counts = {kind: sum(change.frames for change in found.frames if change.kind is kind) for kind in FrameChangeKind}
    return "frames: " + ", ".join(f"{count:,} {kind.value}" for kind, count in counts.items() if count)


def _space_lines(space: SpaceChange) -> list[str]:
    """An address space in a line: that it is new, gone, or what changed besides its mappings."""
    thing = space.thing
    name = f"{thing.kind} address space {thing.root:#x}"
    if space.before is None or space.after is None:
        return [f"{name}: {'made' if space.before is None else 'gone'}, {sum(thing.nodes):,} tables, "
                f"pages {pages(thing.pages)}"]
    old, new = space.before, space.after
    told = []
    if old.nodes != new.nodes:
        told.append(f"tables {sum(old.nodes):,} -> {sum(new.nodes):,}")
    if old.pages != new.pages:
        told.append(f"pages {pages(old.pages)} -> {pages(new.pages)}")
    if old.cpus != new.cpus:
        told.append(f"CPUs {_cpus(old.cpus)} -> {_cpus(new.cpus)}")
    if old.iomems != new.iomems:
        told.append(f"pieces of I/O memory {len(old.iomems)} -> {len(new.iomems)}")
    return [f"{name}: " + ("; ".join(told) or "other entries")]


def _cpus(cpus: tuple[int, ...]) -> str:
    return ",".join(map(str, cpus)) or "none"


def _class_changes(found: Difference) -> list[tuple[int, list[tuple[str, int, int]]]]:
    """Of each slot size: what is counted, and the number before and after, where they differ."""
    rows = []
    for change in found.classes:
        sides = zip(_counts(change.before), _counts(change.after), strict=True)
        rows.append((change.thing.slot_size, [(name, old, new) for name, (old, new) in zip(COUNTED, sides, strict=True)
                                              if old != new]))
    return rows


def _counts(of: SizeClass | None) -> tuple[int, ...]:
    """What COUNTED names."""
    if of is None:
        return (0,) * len(COUNTED)
    return of.active, sum(of.cached), of.free, of.moving, of.full, of.partial, of.empty


def _slab(change: SlabChange) -> str:
    told = [word for word, side in (("made", change.before), ("gone", change.after)) if side is None]
    told += [f"{word} {_slots(bits)}" for word, bits in (("taken", change.taken), ("given back", change.given)) if bits]
    return "; ".join(told)


def _slots(bits: int) -> str:
    """Slots by number, those in a row together: `0-3, 7`."""
    runs: list[list[int]] = []
    for number in _bits(bits):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _bits(bits: int) -> list[int]:
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def _change(change: Change[T], say: Callable[[T], str]) -> str:
    if change.before is None:
        return f"made, {say(change.thing)}"
    return "gone" if change.after is None else f"{say(change.before)} -> {say(change.after)}"


def _range(start: int, end: int) -> str:
    return f"{start:#x}-{end - 1:#x}"


def _target(change: MappingChange, side: int) -> str:
    target = (change.before, change.after)[side]
    return "-" if target is None else f"{target[0]:#x} {change.rights()[side]}"


def _side(change: MappingChange, side: int) -> dict[str, Any] | None:
    target = (change.before, change.after)[side]
    return None if target is None else {"paddr": f"{target[0]:#x}", "rights": change.rights()[side],
                                        "tracked": target[2]}


def _state(change: FrameChange, side: int) -> dict[str, Any]:
    state = (change.before, change.after)[side]
    return {"state": state.kind.name.lower(), "type": state.type_name, "holders": state.count}
