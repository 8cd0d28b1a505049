"""Goldfish RTC: nanoseconds since 1970, and an alarm.

        0x00 TIME_LOW   reading it latches TIME_HIGH   0x10 IRQ_ENABLED
        0x04 TIME_HIGH                                 0x14 CLEAR_ALARM
        0x08 ALARM_LOW  writing it sets the alarm      0x18 ALARM_STATUS    1 while one is set
        0x0c ALARM_HIGH                                0x1c CLEAR_INTERRUPT

The clock starts at `start` and follows the machine's own, so a run sees the same dates every time.

Source: Android's goldfish virtual platform documentation; as on QEMU's virt board.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .device import Device

if TYPE_CHECKING:
    from ..devicetree import Node

TIME_LOW, TIME_HIGH, ALARM_LOW, ALARM_HIGH, IRQ_ENABLED, CLEAR_ALARM, ALARM_STATUS, CLEAR_INTERRUPT = range(0, 32, 4)
DEFAULT_START = 1_767_225_600
"""2026-01-01 00:00:00 UTC."""


class GoldfishRtc(Device):
    """The real-time clock at 0x0010_1000, source 11, on the virt board; `start` in Unix seconds."""

    name = "rtc"

    def __init__(self, base: int = 0x0010_1000, irq: int = 11, start: int = DEFAULT_START) -> None:
        super().__init__(base, 0x1000, irq)
        self.start = start
        self._clear()

    def reset(self) -> None:
        self._clear()
        self._drive()

    def _clear(self) -> None:
        self._shift = 0
        self._high = 0
        self._alarm_high = 0
        self._alarm: int | None = None
        self._enabled = False
        self._pending = False

    def time(self) -> int:
        """Nanoseconds since 1970, now."""
        assert self.machine is not None
        running = self.machine.clock * 1_000_000_000 // self.machine.board.clock_hz
        return self.start * 1_000_000_000 + self._shift + running

    def read(self, offset: int, size: int) -> int:
        if offset == TIME_LOW:
            now = self.time()
            self._high = now >> 32
            return now & 0xFFFFFFFF
        if offset == TIME_HIGH:
            return self._high
        if offset == ALARM_LOW:
            return (self._alarm or 0) & 0xFFFFFFFF
        if offset == ALARM_HIGH:
            return (self._alarm or 0) >> 32
        if offset == IRQ_ENABLED:
            return int(self._enabled)
        return int(self._alarm is not None) if offset == ALARM_STATUS else 0

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == TIME_LOW:  # sets the clock: the latched high half and this low half become now
            self._shift += (self._high << 32 | value) - self.time()
        elif offset == TIME_HIGH:
            self._high = value
        elif offset == ALARM_HIGH:
            self._alarm_high = value
        elif offset == ALARM_LOW:
            self._set_alarm(self._alarm_high << 32 | value)
        elif offset == IRQ_ENABLED:
            self._enabled = bool(value & 1)
            self._drive()
        elif offset == CLEAR_ALARM:
            self._forget_alarm()
        elif offset == CLEAR_INTERRUPT:
            self._pending = False
            self._drive()

    def _set_alarm(self, when: int) -> None:
        assert self.machine is not None
        self._alarm = when
        wait = max(0, when - self.time())
        cycles = -(-wait * self.machine.board.clock_hz // 1_000_000_000)
        self.machine.schedule(self, self.machine.clock + cycles, self._ring)

    def _forget_alarm(self) -> None:
        assert self.machine is not None
        self._alarm = None
        self.machine.cancel(self)

    def _ring(self) -> None:
        self._alarm = None
        self._pending = True
        self._drive()

    def _drive(self) -> None:
        assert self.machine is not None
        self.machine.set_irq(self.irq, self._pending and self._enabled)

    def state(self) -> dict[str, Any]:
        return {"start": self.start, "shift": self._shift, "high": self._high, "alarm_high": self._alarm_high,
                "alarm": self._alarm, "enabled": self._enabled, "pending": self._pending}

    def restore(self, state: dict[str, Any]) -> None:
        self.start, self._shift, self._high = state["start"], state["shift"], state["high"]
        self._alarm_high, self._alarm = state["alarm_high"], state["alarm"]
        self._enabled, self._pending = state["enabled"], state["pending"]

    def node(self, harts: int) -> Node:
        from ..devicetree import Node, Ref, reg

        return Node(f"rtc@{self.base:x}", {
            "compatible": "google,goldfish-rtc", "reg": reg((self.base, self.size)),
            "interrupts": self.irq, "interrupt-parent": Ref("plic")})
