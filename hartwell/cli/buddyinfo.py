"""`hartwell buddyinfo`: free memory by order, as /proc/buddyinfo shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .kernels import STATE, AsJson, RamFile, opened
from .options import Harts, Memory, Mmu
from .status import CommandError

if TYPE_CHECKING:
    from kernel.picture import BuddyPicture

FEWEST = 11
"""Orders that are always shown: those that Linux has."""


def buddyinfo(
    indices: Annotated[bool, typer.Option(
        "--indices", rich_help_panel=STATE, help="Also, how fragmented the free memory is, for each order.")] = False,
    ram: RamFile = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    as_json: AsJson = False,
) -> None:
    """Show how many free chunks of each order every pool has; a chunk of order n is 2^n frames.

    \b
    [b]Examples[/b]
      hartwell buddyinfo                 pools and caches of a kernel that has just booted
      hartwell buddyinfo --smp 4         … with four CPUs
      hartwell buddyinfo --indices       with Linux's fragmentation indices (extfrag in debugfs)
      hartwell buddyinfo --ram after.ram

    Freed memory is in the caches first (up to four frames), then in the CPU's pool, then in the global one.
    Indices are for the global pool: unusable is the share of its memory that is in chunks too small; extfrag
    says why an allocation fails, 0 for lack of memory, 1 for fragmentation, -1 that it does not.
    """
    from hartwell.views.table import print_json, print_table
    from kernel.boot.figures import amount
    from kernel.picture import extfrag_index, read_buddy, unusable_index

    with opened(ram, memory, smp, mmu) as kernel:
        picture = read_buddy(kernel.mm)
    if not picture.pools:
        raise CommandError(f"the frames are {picture.name}'s, whose books this command does not know")
    if as_json:
        print_json(as_dict(picture))
        return
    shown = max([FEWEST, *(order + 1 for order, count in enumerate(picture.counts) if count)])
    orders = [str(order) for order in range(shown)]
    print_table(("pool", "free", *orders), [
        (pool.name, amount(pool.total_size),
         *(str(pool.counts[k]) if k < len(pool.counts) else "-" for k in range(shown)))
        for pool in picture.pools])
    shapes = sorted({cache.pages for cache in picture.caches})
    cpus = sorted({cache.cpu for cache in picture.caches})
    print()
    print_table(("cache", "free", *(f"{pages} page{'s' * (pages > 1)}" for pages in shapes)), [
        (f"CPU {cpu}", amount(sum(cache.total_size for cache in picture.caches if cache.cpu == cpu)),
         *(str(len(cache.entries)) for cache in picture.caches if cache.cpu == cpu)) for cpu in cpus])
    if indices:
        counts = picture.pools[0].counts
        print()
        print_table(("index", *orders), [
            ("unusable", *(f"{unusable_index(counts, order):.3f}" for order in range(shown))),
            ("extfrag", *(f"{extfrag_index(counts, order):.3f}" for order in range(shown)))])
    print(f"\n{picture.free:,} bytes free ({amount(picture.free)})")


def as_dict(picture: BuddyPicture) -> dict[str, Any]:
    """The view for programs; chunks by address, the next to be allocated first."""
    from hartwell.views.table import hexes
    from kernel.picture import extfrag_index, unusable_index

    return {
        "allocator": picture.name, "free": picture.free,
        "pools": [
            {"name": pool.name, "cpu": pool.cpu, "free": pool.total_size, "counts": list(pool.counts),
             "chunks": [hexes(*chunks) for chunks in pool.chunks],
             "unusable": [round(unusable_index(pool.counts, order), 3) for order in range(len(pool.counts))],
             "extfrag": [round(extfrag_index(pool.counts, order), 3) for order in range(len(pool.counts))]}
            for pool in picture.pools],
        "caches": [{"cpu": cache.cpu, "pages": cache.pages, "entries": hexes(*cache.entries)}
                   for cache in picture.caches],
    }
