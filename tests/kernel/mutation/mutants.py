"""The lines that are broken, one at a time, and the histories that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A change of a module: `old`, which is in it once, becomes `new`."""

    module: str
    old: str
    new: str

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.module.rpartition('.')[2]}: {' '.join(self.old.split())} -> {' '.join(self.new.split())}"


@dataclass(frozen=True)
class Group:
    """Mutants, and the parts of the state machine whose histories are run on them.

    Two histories of three begin with only `left` pages of free memory, or fewer.
    """

    parts: tuple[str, ...]
    mutants: tuple[Mutant, ...]
    left: int = 40
    histories: int = 9
    steps: int = 16


def _of(module: str, *changes: tuple[str, str]) -> tuple[Mutant, ...]:
    return tuple(Mutant(module, old, new) for old, new in changes)


BUDDY = (
    *_of("kernel.osdk.frame_allocator.buddy_set",
         ("store(right + ORDER, half)", "store(right + ORDER, half + 1)"),
         ("            while at < last:\n"
          "                buddy",
          "            while at < last and order < 3:\n"
          "                buddy"),
         ("head &= buddy", "head |= buddy"),
         ("store(its_list + SIZE, load(its_list + SIZE) - 1)", "pass"),
         ("            store(other + IN_LIST, 0)\n", ""),
         ("store(self._address, load(self._address) + (PAGE_SIZE << inserted))",
          "store(self._address, load(self._address) + (PAGE_SIZE << order))"),
         ("        store(following_word, 0)\n", ""),
         ("right = slot + (META_SLOT_SIZE << half)\n            store(right + VTABLE, self._vtable)",
          "right = slot + (META_SLOT_SIZE << half + 1)\n            store(right + VTABLE, self._vtable)"),
         ("if not in_list or in_list != load(at + ID):", "if not in_list:")),
    *_of("kernel.osdk.frame_allocator.pools",
         ("self._insert(local, paddr + size, rest)", "self._insert(local, paddr + size, rest - PAGE_SIZE)"),
         ("order = max(greater_order_of(size), greater_order_of(align))", "order = greater_order_of(size)"),
         ("        self._port.store(self._snapshot, self.global_set.total_size)", "        pass")),
    *_of("kernel.osdk.frame_allocator.balancing",
         ("target.insert_chunk(part, cut)", "target.insert_chunk(part, max(cut - 1, 0))"),
         ("paddr, order = smaller", "paddr, _ = smaller")),
    *_of("kernel.osdk.frame_allocator.cache",
         ("self._port.store(self._address, count - share)", "self._port.store(self._address, count - share + 1)"),
         ("self._port.store(self._address, len(rest))", "self._port.store(self._address, len(rest) - 1)")),
    *_of("kernel.osdk.frame_allocator.frame_allocator",
         ("                port.fetch_add(part.counter, -size)\n                return paddr\n        finally",
          "                return paddr\n        finally"),
         ("port.store(cache, count - 1)", "port.store(cache, count)"),
         ("                for cache in part.caches:\n                    cache.clear()", "                pass")),
)

SLAB = (
    *_of("kernel.mm.heap.slab",
         ("        port.store(meta + FREE_LIST, link)\n", ""),
         ("port.store(meta + COUNTS, counts + 1)", "port.store(meta + COUNTS, counts)"),
         ("        port.store(paddr, head)\n", ""),
         ("port.store(meta + COUNTS, counts - 1)\n", "port.store(meta + COUNTS, counts)\n"),
         ("        links[0] = 0\n", ""),
         ("        if self.slot_size < SMALL:\n            LiveMaps(mm).give(self.live)", "        pass"),
         ("                LiveMaps(mm).give(live)\n", "                pass\n"),
         ("        if self.nr_allocated:\n            raise", "        if False:\n            raise")),
    *_of("kernel.mm.heap.live_map",
         ("meta.used = used | free", "meta.used = used"),
         ("meta.used = used ^ bit", "meta.used = used"),
         ("mm.port.fill(unit, UNIT_SIZE)", "pass")),
    *_of("kernel.osdk.heap_allocator.slab_cache",
         ("                self.partial.remove(meta)\n"
          "                self.full.push_front(meta)",
          "                pass"),
         ("        if left:\n            if chain", "        if True:\n            if chain"),
         ("self._counter.add(-PAGE_SIZE)", "pass")),
    *_of("kernel.mm.heap.dispatch",
         ("size >= SMALL else port.load(word + LIVE) + (index >> 6 << 3)", "size >= SMALL else port.load(word + LIVE)"),
         ("min(layout.size, new_size))\n        self.dealloc(address, layout)", "min(layout.size, new_size))"),
         ("        if self._map(new_layout) == info:\n"
          "            return address",
          "        if new_size < layout.size:\n"
          "            return address"),
         ("min(layout.size, new_size)", "min(layout.size, new_size) // 2")),
    *_of("kernel.osdk.heap_allocator.cpu_cache",
         ("        port.store(self._bytes, left - size)\n", "")),
)

FRAME = (
    *_of("kernel.mm.frame.meta",
         ("        if was == 1:\n            self.drop_last", "        if was == 2:\n            self.drop_last"),
         ("        if (port.load(slot + VTABLE) == FREE) is not free:\n"
          "            port.store(slot + REF_COUNT, UNUSED)",
          "        if (port.load(slot + VTABLE) == FREE) is not free:"),
         ("was = port.compare_exchange(slot + REF_COUNT, count, count + 1)", "was = count"),
         ("            if count == BUSY:\n"
          "                raise Busy(f\"frame {paddr:#x} is busy\", paddr)\n"
          "            if count >=",
          "            if count >="),
         ("port.store_column(slot + REF_COUNT, 1, count, META_SLOT_SIZE)",
          "port.store_column(slot + REF_COUNT, 1, count - 1, META_SLOT_SIZE)"),
         ("            self._port.store(slot + REF_COUNT, restore)\n            raise",
          "            raise")),
    *_of("kernel.mm.frame.segment",
         ("counts[last] = UNUSED", "pass"),
         ("port.store_column(column, counts + np.uint64(1), len(counts), META_SLOT_SIZE)", "pass"),
         ("            for claimed in range(start, paddr, PAGE_SIZE):\n"
          "                mm.slots.drop_holder(claimed)",
          "            pass"),
         ("self._add_holders(self._start + start, self._start + end)", "self._add_holders(self._start, self._end)")),
    *_of("kernel.mm.frame.frame",
         ("        self._mm.slots.add_holder(self._paddr)\n", ""),
         ("        if mm.port.compare_exchange(slot + REF_COUNT, 1, BUSY) != 1:",
          "        if mm.port.compare_exchange(slot + REF_COUNT, 1, 1) != 1:"),
         ("            mm.port.store(slot + REF_COUNT, 1)\n            raise", "            raise"),
         ("        frame.drop()\n        return None", "        return None")),
    *_of("kernel.mm.frame.unique",
         ("+ REF_COUNT, 1)\n        return Frame._adopt", "+ REF_COUNT, 2)\n        return Frame._adopt")),
    *_of("kernel.mm.frame.allocator",
         ("                port.store(slot + VTABLE, TAKEN)\n", ""),
         ("            self._mm.port.fill(paddr, PAGE_SIZE)\n",
          "            self._mm.port.fill(paddr, PAGE_SIZE - 8)\n")),
    *_of("kernel.mm.frame.linked_list",
         ("port.store(before + PREV if before else head + BACK, here)", "port.store(head + BACK, here)"),
         ("        port.store(slot + IN_LIST, 0)\n", ""),
         ("        port.store(following_word, before)\n", ""),
         ("        self._slot = following\n"
          "        return UniqueFrame",
          "        self._slot = 0\n"
          "        return UniqueFrame")),
)

PAGE_TABLE = (
    *_of("kernel.mm.page_table.cursor_mut",
         ("port.store_sized(at, 2, port.load_sized(at, 2) + 1)", "pass"),
         ("port.store_sized(at, 2, port.load_sized(at, 2) - 1)", "pass"),
         ("node.add_children(mm, child, ENTRIES)", "pass"),
         ("port.store_column(child, parts + np.uint64(pte), ENTRIES)",
          "port.store_column(child, parts * np.uint64(2) + np.uint64(pte), ENTRIES)"),
         ("            fixed |= RSV1\n", "            pass\n"),
         ("        if not va & 0x1f_ffff:\n", "        if not va & 0x3f_ffff:\n"),
         ("        port, table = self._port, self._path[1]\n"
          "        at = table + (va >> 9 & 0xff8)\n"
          "        if port.load(at) & VALID:",
          "        port, table = self._port, self._path[1]\n"
          "        at = table + (va >> 9 & 0xff8)\n"
          "        if False:")),
    *_of("kernel.mm.page_table.cursor",
         ("while self._level < self._guard_level and (va ^ self._va) >> SHIFT[self._level] + 9:", "while False:"),
         ("fits = not va & SIZE[level] - 1 and va + SIZE[level] <= end", "fits = not va & SIZE[level] - 1")),
    *_of("kernel.mm.page_table.node",
         ("holding = config.tracked_in(column)", "holding = np.zeros(len(column), dtype=np.bool_)"),
         ("        port.store_sized(mm.slots.base + (nodes[i] >> 6) + NR_CHILDREN, 2, 1)\n", ""),
         ("        for node in nodes:\n            mm.slots.drop_holder(node)\n        raise", "        raise")),
    *_of("kernel.mm.page_table.locking",
         ("            for made in chain[:-1]:\n                node.unlock(mm, made)\n", ""),
         ("        for child, low, high in reversed(_children(mm, table, level, start, end)):\n"
          "            unlock_range(mm, child, level - 1, low, high)\n",
          "        pass\n")),
    *_of("kernel.mm.page_table.bulk",
         ("            node.add_children(self._mm, table, count)\n            self._runs", "            self._runs"),
         ("        except BaseException:\n"
          "            self._undo()\n"
          "            raise",
          "        except BaseException:\n"
          "            raise")),
    *_of("kernel.mm.tlb.flusher",
         ("                    tlb.sfence_page(page)\n", "                    pass\n"),
         ("                tlb.remote_sfence(start, pages * PAGE_SIZE)\n", "                pass\n"),
         ("            drop(flushed[-1])\n", "            pass\n")),
    *_of("kernel.mm.vm_space.vm_space",
         ("        cpus_of(mm, last).remove(cpu)\n", "        pass\n"),
         ("    mm.port.store(word, root)\n", "")),
    *_of("kernel.mm.kspace.range_allocator",
         ("            self._merge_next(block.address)\n            if before", "            if before"),
         ("            self._mm.heap.dealloc(following, BLOCK)\n", "")),
    *_of("kernel.mm.vm_space.iomem_list",
         ("            self._mm.heap.dealloc(record, RECORD)\n\n    def clear", "            pass\n\n    def clear")),
)

GROUPS = {
    "buddy": Group(("raw", "frames"), BUDDY),
    "slab": Group(("heap",), SLAB),
    "frame": Group(("frames", "raw"), FRAME, left=12),
    "page_table": Group(("tables",), PAGE_TABLE, left=16, histories=12),
}
