"""What devices have scheduled: one action for each, at a clock of the machine's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .engine.layout import INFINITE
from .errors import SnapshotError

if TYPE_CHECKING:
    from .devices.device import Device


class Scheduled(NamedTuple):
    """An entry as a snapshot keeps it: number of the device, clock, name of the device's method."""

    device: int
    clock: int
    action: str


class EventQueue:
    """The machine's pending events; `changed` is called with the clock of the next (INFINITE for none)."""

    def __init__(self, changed: Callable[[int], None]) -> None:
        self._changed = changed
        self._events: dict[Device, tuple[int, Callable[[], None]]] = {}

    def schedule(self, device: Device, clock: int, action: Callable[[], None]) -> None:
        """Call `action` at `clock`, instead of what `device` scheduled before."""
        self._events[device] = (min(clock, INFINITE), action)
        self._tell()

    def cancel(self, device: Device) -> None:
        """Forget what `device` scheduled."""
        self._events.pop(device, None)
        self._tell()

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()
        self._tell()

    def run_due(self, now: int) -> None:
        """Do all that is scheduled for `now` or earlier."""
        for device in [device for device, (when, _) in self._events.items() if when <= now]:
            when, action = self._events.get(device, (INFINITE, None))
            if action is not None and when <= now:  # no action before it has moved or cancelled it
                del self._events[device]
                action()
        self._tell()

    def save(self, devices: Sequence[Device]) -> tuple[Scheduled, ...]:
        """The events, for a snapshot. SnapshotError for an action that is none of its device's own methods."""
        return tuple(self._named(device, devices) for device in self._events)

    def _named(self, device: Device, devices: Sequence[Device]) -> Scheduled:
        clock, action = self._events[device]
        name = getattr(action, "__name__", repr(action))
        if device not in devices or action != getattr(device, name, None):
            raise SnapshotError(f"device {device.name} has scheduled {name}, which a snapshot cannot keep: expected "
                                "one of its own methods")
        return Scheduled(devices.index(device), clock, name)

    def load(self, devices: Sequence[Device], saved: Sequence[Scheduled]) -> None:
        """Take over what `save` gave, after `check`; whoever keeps the next event's clock has it from elsewhere."""
        self._events = {devices[number]: (clock, getattr(devices[number], name)) for number, clock, name in saved}

    @staticmethod
    def check(devices: Sequence[Device], saved: Sequence[Scheduled]) -> None:
        """SnapshotError if these devices have not what is scheduled."""
        for number, _, name in saved:
            if not 0 <= number < len(devices) or not callable(getattr(type(devices[number]), name, None)):
                raise SnapshotError(f"the snapshot has {name} of device {number} scheduled: expected a method of one "
                                    f"of the {len(devices)} devices")

    def _tell(self) -> None:
        self._changed(min((when for when, _ in self._events.values()), default=INFINITE))
