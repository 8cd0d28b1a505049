"""Allocation records: who allocated and freed each frame and heap slot, mapped each page, and when.

    tracker = Tracker(machine)
    kernel = Kernel.boot(machine, Choices(operations=tracker))
    for record in tracker.frame(0x8040_0000):
        print(record, *record.stack)

The records are Python's own: emulated memory is the same with and without them.
"""

from .record import Place, Point, Record
from .tracker import Tracker

__all__ = ["Place", "Point", "Record", "Tracker"]
