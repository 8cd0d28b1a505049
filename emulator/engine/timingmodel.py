"""What the engine asks of a timing model; `emulator.timing.model` is one."""

from __future__ import annotations

from typing import Protocol


class TimingModel(Protocol):
    """Counts cycles: entries that the engine calls natively, and what Python tells it between two runs."""

    on_block: int
    """Address of its UC_HOOK_BLOCK."""
    on_code: int
    """Address of its UC_HOOK_CODE."""
    entries: dict[int, int]
    """Addresses of its other entries, by the M_ word that holds each."""

    def reset(self) -> None:
        """The harts were put into their reset state; set H_TIMING and M_TIMING."""

    def drop_blocks(self) -> None:
        """Translations were dropped, and everything known of them with them."""

    def save(self) -> None:
        """The state is about to be saved: bring all of it into `Engine.state_arrays`."""

    def load(self) -> None:
        """Other state was put into them: forget everything that was made of the state before."""
