"""Where an engine stops for whoever looks at the machine: breakpoints, watchpoints, and a guard.

Each call replaces what there was. Translated blocks and cached address translations that do not know of the new
points are dropped; native code (`watch`, `guard`, `schedule`) does the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ..errors import EngineError
from . import layout, watch

if TYPE_CHECKING:
    from .engine import Engine


def set_breakpoints(engine: Engine, addresses: Collection[int]) -> None:
    """Stop (STOP_BREAK) before the instructions at these virtual addresses, at most 256."""
    if len(addresses) > layout.MAX_BREAKS:
        raise EngineError(f"{len(addresses)} breakpoints: expected at most {layout.MAX_BREAKS}")
    engine.set_words(layout.M_BREAKS, sorted(addresses))
    engine.set_word(layout.M_BREAK_COUNT, len(addresses))
    engine.set_word(layout.M_BREAK_SKIP, -1)
    engine.set_word(layout.M_BLOCK_CLOCK, -1)
    engine.flush_translations()


def set_watchpoints(engine: Engine, watches: Collection[tuple[int, int, int, bool]]) -> None:
    """Stop (STOP_WATCH) behind accesses to these: (first byte, last byte, `watch` kinds, virtual), at most 32."""
    if len(watches) > layout.MAX_WATCHES:
        raise EngineError(f"{len(watches)} watchpoints: expected at most {layout.MAX_WATCHES}")
    for number, entry in enumerate(watches):
        engine.set_words(layout.M_WATCHES + watch.ENTRY * number, entry)
    engine.set_word(layout.M_WATCH_COUNT, len(watches))
    engine.flush_tlb()


def set_guard(engine: Engine, words: int) -> None:
    """Have the guard whose words (`guard`) are at this host address judge accesses; 0 for none any more."""
    engine.set_word(layout.M_GUARD, words)
    engine.flush_translations()
    engine.flush_tlb()
