"""The machine: a board come to life.

    machine = Machine(Board(harts=2))
    machine.boot(kernel=load_image(data, "hello.elf", 0x8020_0000), firmware=sbi)
    stop = machine.run()
    assert stop.ok and machine.console.endswith(b"bye\\n")

A machine is deterministic: what it does depends on its board, what was loaded, and what is fed to
its console, and on nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from . import bootrom
from .board import Board
from .bus import Bus
from .devices import NATIVE
from .devices.device import Device
from .devices.plic import Plic
from .devices.uart16550 import Uart16550
from .engine import layout
from .engine.block import STEP_WANTED
from .engine.engine import Engine
from .errors import BoardError, DeviceFailedError, EngineError
from .eventqueue import EventQueue
from .hart import Hart
from .loader.model import Image
from .loader.placement import Plan
from .ram import Ram
from .stop import (
    Breakpoint, Deadlock, HostCall, Interrupted, Matched, ResetRequested, Stepped, Stop, TrapLoop, Watchdog,
)
from .wiring import wire

if TYPE_CHECKING:
    from .snapshot import Snapshot
    from .timing.profile import Profile
    from .timing.timing import Timing
    from .trace import Tracer

FIRST_SLICE, SHORTEST_SLICE, LONGEST_SLICE = 1_000_000, 1_000, 200_000_000
SLICE_SECONDS = 0.05
"""The machine looks at the host (keyboard, clock) about this often; slices of instructions adapt to it."""


class Machine:
    """A machine built from `board` (by default one hart and 128 MiB).

    `timing` is the core whose cycles are counted (`emulator.timing.load_profile`); without it a cycle is an
    instruction.
    `notice` is called with a line of text when the first start on a host compiles native code.
    `on_output` is called with every piece of console output as it appears; `console` keeps it all.
    Raises BoardError or EngineError.
    """

    def __init__(self, board: Board | None = None, timing: Profile | None = None, *,
                 notice: Callable[[str], None] | None = None,
                 on_output: Callable[[bytes], None] | None = None) -> None:
        self.board = board or Board()
        self.on_output = on_output
        self.reboot = True
        """Whether a guest's reset request restarts the machine, or stops it (ResetRequested)."""
        self.on_reset: list[Callable[[], None]] = []
        """Called once, at the next reset or `restore`: for whoever keeps addresses that mean nothing after it."""
        self.tracers: list[Tracer] = []
        """Tracers that drain the engine's trace ring; `Tracer` adds and removes itself."""
        self._console = bytearray()
        self._pattern = b""
        self._searched = 0
        self._stop: Stop | None = None
        self._failure: BaseException | None = None
        self._plan: Plan | None = None
        self.ram = Ram(self.board.rom, self.board.banks)
        self.engine = Engine(self.board.harts, NATIVE, notice)
        self._events = EventQueue(self.engine.set_next_event)
        self.devices: tuple[Device, ...] = tuple(make() for make in self.board.devices)
        self._uart = next((device for device in self.devices if isinstance(device, Uart16550)), None)
        self.bus = Bus(self.ram, self.devices, self.engine)
        self.harts = tuple(Hart(self, number) for number in range(self.board.harts))
        wire(self)
        self.timing: Timing | None = None
        """What the machine's cycles are counted with, and what they went to; None without a profile."""
        if timing is not None:
            from .timing.timing import Timing

            self.timing = Timing(self, timing, notice)
        self.reset()

    # --- what the machine is made of ----------------------------------------------------------------

    @property
    def uart(self) -> Uart16550:
        """The console's UART; BoardError on a board without one."""
        if self._uart is None:
            raise BoardError("this board has no UART")
        return self._uart

    @property
    def console(self) -> bytes:
        """Everything the guest has sent to the console so far."""
        return bytes(self._console)

    @property
    def clock(self) -> int:
        """The running hart's clock, in cycles since reset."""
        return self.engine.now()

    @property
    def instructions(self) -> int:
        """Instructions retired by all harts since reset."""
        return sum(hart.instructions for hart in self.harts)

    def set_irq(self, source: int, level: bool) -> None:
        """Drive an interrupt line into the PLIC; nothing for line 0, or on a board without a PLIC."""
        if source == 0:
            return
        for device in self.devices:
            if isinstance(device, Plic):
                device.set_irq(source, level)

    # --- booting --------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Power on: harts at the boot ROM in M-mode, devices reset, what `boot` loaded loaded again.

        RAM keeps what nothing was loaded over, as on a warm reset.
        """
        self._tell_reset()
        self._events.clear()
        self.engine.reset(self.board.rom.base)
        for device in self.devices:
            device.reset()
        if self._plan is not None:
            self._write(self._plan)

    def _tell_reset(self) -> None:
        tell, self.on_reset = self.on_reset, []
        for callback in tell:
            callback()

    def boot(self, *, kernel: Image | None = None, firmware: Image | None = None, initrd: bytes | None = None,
             bootargs: str = "", device_tree: bytes | None = None) -> Plan:
        """Load everything where QEMU's virt board would, and reset; what went where.

        Without `firmware` harts start in the kernel, in M-mode, as with QEMU's `-bios none`.
        `device_tree` replaces the board's own. Raises PlacementError or DeviceTreeError.
        """
        from .booting import plan

        self._plan = plan(self.board, self.devices, kernel=kernel, firmware=firmware, initrd=initrd,
                          bootargs=bootargs, device_tree=device_tree)
        self.reset()
        return self._plan

    def _write(self, plan: Plan) -> None:
        for part in plan.placed:
            view = self.bus.memory(part.address, part.size)
            view[:len(part.data)] = np.frombuffer(part.data, dtype=np.uint8)
            view[len(part.data):] = 0
            self.bus.discard_code(part.address, part.size)
        self.bus.write(self.board.rom.base, bootrom.contents(plan.entry, plan.device_tree, plan.next_address or 0))

    # --- snapshots ------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """All that the machine is now, to go on from again (`restore`); between two runs only.

        Costs what was written since the last one. SnapshotError if the host has no room for it, or if a
        device has scheduled what is no method of its own.
        """
        from .snapshot import HostState, take

        self.drain_console()
        return take(self, HostState(bytes(self._console), self._searched, self._stop, self._events.save(self.devices),
                                    self._plan))

    def restore(self, snapshot: Snapshot) -> None:
        """Be again what the machine of `snapshot` was: this one or another on such a board. Tells `on_reset`.

        SnapshotError if it is of another board, or a disk's file has changed; nothing happens then.
        """
        from .snapshot import put_back

        put_back(self, snapshot, self._tell_reset)
        host = snapshot.host
        self._console[:] = host.console
        self._searched, self._stop, self._failure, self._plan = host.searched, host.stop, None, host.plan
        self._events.load(self.devices, host.events)

    # --- running --------------------------------------------------------------------------------------

    def run(self, max_insns: int | None = None, timeout: float | None = None,
            poll: Callable[[int], bytes | None] | None = None) -> Stop:
        """Run until the guest ends, `max_insns` instructions (and traps) or `timeout` seconds have passed.

        `poll(cycles)` is asked for console input now and then, with 0, and when every hart waits, with
        the cycles until something happens by itself (-1: nothing ever will); it may wait that long,
        and gives the input, b"" for none yet, or None when there will never be more.
        Raises DeviceFailedError when a Python device raised, EngineError when the engine failed.
        """
        if max_insns is not None and max_insns < 0 or timeout is not None and timeout < 0:
            raise ValueError(f"run: {max_insns} instructions, {timeout} seconds: expected no negative limits")
        left = max_insns if max_insns is not None else layout.INFINITE
        ends = time.monotonic() + timeout if timeout is not None else None
        slice_length = FIRST_SLICE
        stop = self._asked_to_stop()
        if stop is not None:
            return stop
        self.engine.set_word(layout.M_PACED, 1 if poll is not None else 0)
        self.engine.set_word(layout.M_BREAK_SKIP, _signed(self.harts[self.engine.current_hart].pc))
        while True:
            chunk = min(left, slice_length)
            began = time.monotonic()
            self.engine.set_word(layout.M_RUN_LIMIT, chunk)
            try:
                reason = self.engine.run()
            except KeyboardInterrupt:
                return Interrupted()
            done = chunk - self.engine.word(layout.M_RUN_LIMIT)
            left -= done
            if reason == layout.STOP_LIMIT:  # how slices are cut changes nothing that the guest can see
                pace = SLICE_SECONDS / max(time.monotonic() - began, 1e-6)
                slice_length = int(min(max(done * min(pace, 8.0), SHORTEST_SLICE), LONGEST_SLICE))
            self.drain_console()
            for tracer in self.tracers:
                tracer.drain()
            stop = self._handle(reason, poll)
            if stop is None and left <= 0:
                stop = Watchdog("instructions", max_insns or 0, self.harts[0].pc)
            if stop is None and ends is not None and time.monotonic() >= ends:
                assert timeout is not None
                stop = Watchdog("seconds", timeout, self.harts[0].pc)
            if stop is not None:
                return stop

    def step(self) -> Stop:
        """Run one instruction on the hart whose turn it is (an instruction that traps counts)."""
        self.engine.set_word(layout.M_STEP, STEP_WANTED)
        try:
            return self.run(max_insns=1 << 20)
        finally:
            self.engine.set_word(layout.M_STEP, 0)

    def expect(self, pattern: bytes, max_insns: int | None = None, timeout: float | None = None) -> Stop:
        """Run until `pattern` appears in console output not seen by an earlier `expect`; Matched, or why not.

        The machine stops right behind the pattern's last byte, so that input fed then arrives at the
        same instruction in every run.
        """
        if not pattern:
            raise ValueError("expect: an empty pattern, which is everywhere; expected at least one byte")
        self._pattern = pattern
        self.uart.watch(True)
        try:
            return Matched() if self._matched() else self.run(max_insns, timeout)
        finally:
            self._pattern = b""
            self.uart.watch(False)

    def set_breakpoints(self, addresses: Collection[int]) -> None:
        """Stop before the instructions at these virtual addresses (replaces those set before).

        Memory is not touched. A run that starts at a breakpoint passes it. At most 256.
        """
        self.engine.set_breakpoints(addresses)

    def answer_host_calls(self, on: bool) -> None:
        """Whether custom-0 instructions stop the machine (HostCall, pc on them), or are illegal, as at first."""
        self.engine.set_word(layout.M_HOSTCALLS, int(on))

    def feed(self, data: bytes) -> None:
        """Type `data` at the console."""
        self.uart.feed(data)

    def device_failed(self, device: Device, what: str, why: BaseException) -> None:
        """Remember a device's exception, and stop at the next block: it cannot pass through the engine."""
        if isinstance(why, KeyboardInterrupt):
            self._stop = Interrupted()
        elif self._failure is None and isinstance(why, Exception):
            failure = DeviceFailedError(f"device {device.name}: {what} raised {type(why).__name__}: {why}")
            failure.__cause__ = why
            self._failure = failure
        elif self._failure is None:
            self._failure = why
        self.engine.request_stop()

    def request_stop(self, stop: Stop) -> None:
        """Make `run` return `stop` before the next block; for devices."""
        if self._stop is None:
            self._stop = stop
        self.engine.request_stop()

    def schedule(self, device: Device, clock: int, action: Callable[[], None]) -> None:
        """Call `action` when the machine's clock reaches `clock`, instead of what `device` scheduled before.

        It should be a method of the device: a snapshot of the machine cannot keep another.
        """
        self._events.schedule(device, clock, action)

    def cancel(self, device: Device) -> None:
        """Forget what `device` scheduled."""
        self._events.cancel(device)

    def _handle(self, reason: int, poll: Callable[[int], bytes | None] | None) -> Stop | None:
        """What the run loop's reason means to us: a Stop, or None to go on."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._pattern and self._matched():
            return Matched()
        if self._stop is not None:
            return self._asked_to_stop()
        arg = self.engine.word(layout.M_STOP_ARG)
        hart = self.engine.current_hart
        if reason == layout.STOP_EVENT:
            self._events.run_due(max(arg, self.clock))
        elif reason == layout.STOP_IDLE:
            if poll is None or not self._wait_for_input(poll, -1):
                return Deadlock(tuple(h.pc for h in self.harts))
        elif reason == layout.STOP_PACE:
            if poll is not None:
                self._wait_for_input(poll, arg)
            self.engine.set_word(layout.M_PACED, 2)
        elif reason == layout.STOP_TRAP_LOOP:
            state = self.harts[hart]
            side = "s" if state.priv == 1 else "m"
            return TrapLoop(hart, *(state.read_csr(side + name) for name in ("epc", "cause", "tval")))
        elif reason == layout.STOP_HOSTCALL:
            return HostCall(hart, arg)
        elif reason == layout.STOP_STEP:
            return Stepped()
        elif reason == layout.STOP_BREAK:
            return Breakpoint(hart, self.harts[hart].pc)
        elif reason == layout.STOP_ENGINE:
            raise EngineError(f"the engine stopped with error {arg} on hart {hart} at {self.harts[hart].pc:#x}; "
                              "this is a defect of Hartwell, please report it")
        if poll is not None and reason == layout.STOP_LIMIT:
            self._wait_for_input(poll, 0)
        return None

    def _asked_to_stop(self) -> Stop | None:
        """What a device asked for; a reset is done here and now, if that is how resets are to be answered."""
        stop, self._stop = self._stop, None
        if isinstance(stop, ResetRequested) and self.reboot:
            self.reset()
            return None
        return stop

    def _wait_for_input(self, poll: Callable[[int], bytes | None], cycles: int) -> bool:
        """Ask for console input; False when there will never be more."""
        data = poll(cycles)
        if data:
            self.uart.feed(data)
        return data is not None

    def drain_console(self) -> None:
        """Take what the UART has sent into `console`; done by itself whenever the machine stops."""
        data = self._uart.take_output() if self._uart is not None else b""
        if data:
            self._console += data
            if self.on_output is not None:
                self.on_output(data)

    def _matched(self) -> bool:
        at = self._console.find(self._pattern, self._searched)
        if at < 0:
            self._searched = max(self._searched, len(self._console) - len(self._pattern) + 1)
            return False
        self._searched = at + len(self._pattern)
        return True

    def close(self) -> None:
        """Free the engine; the machine cannot run afterwards."""
        self.engine.close()



def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
