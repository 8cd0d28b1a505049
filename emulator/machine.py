"""The machine: a board come to life.

    machine = Machine(Board(harts=2))
    machine.boot(kernel=load_image(data, "hello.elf", 0x8020_0000), firmware=sbi)
    stop = machine.run()
    assert stop.ok and machine.console.endswith(b"bye\\n")

A machine is deterministic: what it does depends on its board, what was loaded, and what is fed to
its console, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np

from . import bootrom
from .board import Board
from .bus import Bus
from .devices import NATIVE
from .devices.device import Device
from .devices.plic import Plic
from .devices.uart16550 import Uart16550
from .engine import layout, points
from .engine.engine import Engine
from .engine.watch import LOADS, STORES
from .errors import BoardError
from .eventqueue import EventQueue
from .hart import Hart
from .loader.model import Image
from .loader.placement import Plan
from .ram import Ram
from .runloop import Poll, RunLoop
from .stop import Mark, Matched, Stop, Watch
from .transcript import Transcript
from .wiring import wire

if TYPE_CHECKING:
    from .guard import Guard
    from .snapshot import Snapshot
    from .solo import Solo
    from .timing.profile import Profile
    from .timing.timing import Timing

Runner = Callable[[int | None, float | None, Poll | None], Stop]
"""What `Machine.run` does, in its place."""


class TraceReader(Protocol):
    """Somebody who takes what the engine has recorded (`trace.Tracer`, `timeline.Timeline`)."""

    def drain(self) -> None:
        """The machine has stopped for a moment: take it."""


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
        self.tracers: list[TraceReader] = []
        """Who drains the engine's trace ring when the machine stops; one at a time, which adds and removes itself."""
        self.runner: Runner | None = None
        """Who runs the machine in `run`'s place, if anybody: a debugger between a program and its machine."""
        self.on_mark: Callable[[Mark], None] | None = None
        """Called with every Mark that software on the host sets."""
        self.interrupted = False
        """Set it, in a signal handler for instance, to have the machine stop (Interrupted) as soon as it can."""
        self.guard: Guard | None = None
        """Who judges accesses to memory that is handed out in blocks; it adds and removes itself."""
        self.transcript = Transcript()
        """What the guest has printed."""
        self._plan: Plan | None = None
        self.ram = Ram(self.board.rom, self.board.banks)
        self.engine = Engine(self.board.harts, NATIVE, notice)
        self._loop = RunLoop(self)
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
        return self.transcript.text

    @property
    def clock(self) -> int:
        """The running hart's clock, in cycles since reset."""
        return self.engine.now()

    @property
    def steps(self) -> int:
        """Steps that all harts have made since reset: the machine's place in its run (`engine.steps`)."""
        return sum(hart.steps for hart in self.harts)

    @property
    def steps_left(self) -> int:
        """Steps that the last `proceed` did not come to make."""
        return max(self.engine.word(layout.M_STEP_LEFT), 0)

    @property
    def disturbed(self) -> bool:
        """Whether a watchpoint cost a timing model cycles in the last `proceed`: those since then are not exact."""
        return self.timing is not None and self.engine.word(layout.M_WATCH_CUTS) != 0

    @property
    def instructions(self) -> int:
        """Instructions retired by all harts since reset."""
        return self.engine.instructions

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
        return take(self, HostState(self.transcript.text, self.transcript.searched, self._loop.asked,
                                    self._events.save(self.devices), self._plan))

    def restore(self, snapshot: Snapshot) -> None:
        """Be again what the machine of `snapshot` was: this one or another on such a board. Tells `on_reset`.

        SnapshotError if it is of another board, or a disk's file has changed; nothing happens then.
        """
        self.revisit(snapshot, self._tell_reset)

    def revisit(self, snapshot: Snapshot, tell: Callable[[], None] = lambda: None) -> None:
        """`restore`, for debuggers that will come back: nobody is told, so that kernels outlive the visit."""
        from .snapshot import put_back

        put_back(self, snapshot, tell)
        host = snapshot.host
        self.transcript.restore(host.console, host.searched)
        self._loop.restore(host.stop)
        self._plan = host.plan
        self._events.load(self.devices, host.events)

    # --- running --------------------------------------------------------------------------------------

    def run(self, max_insns: int | None = None, timeout: float | None = None, poll: Poll | None = None) -> Stop:
        """Run until the guest ends, `max_insns` instructions (and traps) or `timeout` seconds have passed.

        `poll(cycles)` is asked for console input now and then, with 0, and when every hart waits, with
        the cycles until something happens by itself (-1: nothing ever will); it may wait that long,
        and gives the input, b"" for none yet, or None when there will never be more.
        Raises DeviceFailedError when a Python device raised, EngineError when the engine failed.
        """
        if max_insns is not None and max_insns < 0 or timeout is not None and timeout < 0:
            raise ValueError(f"run: {max_insns} instructions, {timeout} seconds: expected no negative limits")
        if self.runner is not None:
            return self.runner(max_insns, timeout, poll)
        return self._loop.proceed(max_insns, timeout, poll, self.engine.current_pc)

    def proceed(self, max_insns: int | None = None, timeout: float | None = None, poll: Poll | None = None, *,
                passing: int | None = None, steps: int | None = None, hart: int | None = None) -> Stop:
        """`run`, for debuggers: without the `runner`, past the breakpoint at `passing` once, at most `steps` steps.

        A step is an instruction that retires or traps, or an interrupt that is taken (`engine.steps`); only those
        of `hart` count, if it is given. Stepped says that all were made.
        """
        if steps is not None:
            self.engine.set_word(layout.M_STEP_LEFT, steps)
            self.engine.set_word(layout.M_STEP_HART, 0 if hart is None else self.engine.hart_block[hart])
            self.engine.set_word(layout.M_STEP, 1)
        try:
            return self._loop.proceed(max_insns, timeout, poll, passing)
        finally:
            if steps is not None:
                self.engine.set_word(layout.M_STEP, 0)

    def step(self) -> Stop:
        """Make one step: an instruction of the hart whose turn it is, which may trap, or an interrupt that is taken."""
        return self.proceed(1 << 20, passing=self.harts[self.engine.current_hart].pc, steps=1)

    def expect(self, pattern: bytes, max_insns: int | None = None, timeout: float | None = None) -> Stop:
        """Run until `pattern` appears in console output not seen by an earlier `expect`; Matched, or why not.

        The machine stops right behind the pattern's last byte, so that input fed then arrives at the
        same instruction in every run.
        """
        if not pattern:
            raise ValueError("expect: an empty pattern, which is everywhere; expected at least one byte")
        self.transcript.pattern = pattern
        self.uart.watch(True)
        try:
            return Matched() if self.transcript.matched() else self.run(max_insns, timeout)
        finally:
            self.transcript.pattern = b""
            self.uart.watch(False)

    def set_breakpoints(self, addresses: Collection[int]) -> None:
        """Stop before the instructions at these virtual addresses (replaces those set before).

        Memory is not touched. A run that starts at a breakpoint passes it. At most 256.
        """
        points.set_breakpoints(self.engine, addresses)

    def set_watchpoints(self, watches: Collection[Watch]) -> None:
        """Stop behind accesses of the harts to these addresses (replaces those set before). At most 32.

        Costs nothing but at accesses to the pages that they are in. With a timing model, the cycles from a hit on
        are not exact.
        """
        points.set_watchpoints(self.engine, [
            (watch.first, watch.last, watch.loads * LOADS | watch.stores * STORES, watch.virtual) for watch in watches])
        self._loop.watches = tuple(watches)

    @contextmanager
    def passing_points(self) -> Iterator[None]:
        """No breakpoint and no watchpoint stops the machine in a `with` block. Costs nothing."""
        before = self.engine.word(layout.M_POINTS)
        self.engine.set_word(layout.M_POINTS, layout.POINTS_PASS)
        try:
            yield
        finally:
            self.engine.set_word(layout.M_POINTS, before)

    def solo(self, watches: Collection[Watch] = ()) -> Solo:
        """Have the harts run one at a time, by hand, up to their next access to what is watched; see `solo`.

        Its watchpoints replace those set before, until it is closed.
        """
        from .solo import Solo

        return Solo(self, self._loop, watches)

    def last_hit(self, steps: int) -> tuple[Stop, int | None]:
        """Make `steps` steps past all breakpoints and watchpoints: the Stop, and how many came before the last hit.

        None if there was no hit.
        """
        self.engine.set_word(layout.M_POINTS, layout.POINTS_NOTE)
        self.engine.set_word(layout.M_LAST_HIT, -1)
        try:
            stop = self.proceed(steps=steps)
        finally:
            self.engine.set_word(layout.M_POINTS, layout.POINTS_STOP)
        left = self.engine.word(layout.M_LAST_HIT)
        return stop, None if left < 0 else steps - left

    @property
    def glance(self) -> Callable[[], bool] | None:
        """Asked about every 50 ms of a run, and after waiting for input, whether the user wants it to stop."""
        return self._loop.glance

    @glance.setter
    def glance(self, glance: Callable[[], bool] | None) -> None:
        self._loop.glance = glance

    def mark(self, name: str, detail: object = None) -> None:
        """Tell whoever wants to know (`on_mark`) that software on the host has come to a place that has a name."""
        if self.on_mark is not None:
            self.on_mark(Mark(name, detail))

    def answer_host_calls(self, on: bool) -> None:
        """Whether custom-0 instructions stop the machine (HostCall, pc on them), or are illegal, as at first."""
        self.engine.set_word(layout.M_HOSTCALLS, int(on))

    def feed(self, data: bytes) -> None:
        """Type `data` at the console."""
        self.uart.feed(data)

    def device_failed(self, device: Device, what: str, why: BaseException) -> None:
        """Remember a device's exception, and stop at the next block: it cannot pass through the engine."""
        self._loop.device_failed(device, what, why)

    def request_stop(self, stop: Stop) -> None:
        """Make `run` return `stop` before the next block; for devices."""
        self._loop.ask(stop)

    def schedule(self, device: Device, clock: int, action: Callable[[], None]) -> None:
        """Call `action` when the machine's clock reaches `clock`, instead of what `device` scheduled before.

        It should be a method of the device: a snapshot of the machine cannot keep another.
        """
        self._events.schedule(device, clock, action)

    def cancel(self, device: Device) -> None:
        """Forget what `device` scheduled."""
        self._events.cancel(device)

    def run_due(self, clock: int) -> None:
        """Do what devices scheduled up to `clock`, or now; for the run loop."""
        self._events.run_due(max(clock, self.clock))

    def drain_console(self) -> None:
        """Take what the UART has sent into `console`; done by itself whenever the machine stops."""
        data = self._uart.take_output() if self._uart is not None else b""
        if data:
            self.transcript.add(data)
            if self.on_output is not None:
                self.on_output(data)

    def close(self) -> None:
        """Free the engine; the machine cannot run afterwards."""
        self.engine.close()
