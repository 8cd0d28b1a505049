"""Free memory by order, as /proc/buddyinfo shows it: a line for each pool and for each CPU's caches.

        pool                      free  0  1  2  3
        global frame pool    22.82 MiB  2  2  1  1

        cache    free  1 page  2 pages
        CPU 0  44 KiB      11        0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernel.boot.figures import amount
from kernel.picture import extfrag_index, unusable_index

from .table import hexes, table_lines

if TYPE_CHECKING:
    from kernel.picture import BuddyPicture

FEWEST = 11
"""Orders that are always shown: those that Linux has."""


def lines(picture: BuddyPicture, *, indices: bool = False, plain: bool = False) -> list[str]:
    """The view; with `indices` also how fragmented the global pool is, with `plain` without escape sequences."""
    fewest = max([FEWEST, *(order + 1 for order, count in enumerate(picture.counts) if count)])
    orders = [str(order) for order in range(fewest)]
    shown = table_lines(("pool", "free", *orders), [
        (pool.name, amount(pool.total_size),
         *(str(pool.counts[k]) if k < len(pool.counts) else "-" for k in range(fewest)))
        for pool in picture.pools], plain=plain)
    shapes = sorted({cache.pages for cache in picture.caches})
    cpus = sorted({cache.cpu for cache in picture.caches})
    shown += ["", *table_lines(("cache", "free", *(f"{pages} page{'s' * (pages > 1)}" for pages in shapes)), [
        (f"CPU {cpu}", amount(sum(cache.total_size for cache in picture.caches if cache.cpu == cpu)),
         *(str(len(cache.entries)) for cache in picture.caches if cache.cpu == cpu)) for cpu in cpus], plain=plain)]
    if indices:
        counts = picture.pools[0].counts
        shown += ["", *table_lines(("index", *orders), [
            ("unusable", *(f"{unusable_index(counts, order):.3f}" for order in range(fewest))),
            ("extfrag", *(f"{extfrag_index(counts, order):.3f}" for order in range(fewest)))], plain=plain)]
    return [*shown, "", f"{picture.free:,} bytes free ({amount(picture.free)})"]


def as_dict(picture: BuddyPicture) -> dict[str, Any]:
    """The view for programs; chunks by address, the next to be allocated first."""
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
