"""Delivering signals: the default, or a handler's frame on the user's stack (Linux's `rt_sigframe`).

        siginfo     128 bytes: signal, errno, code, and what belongs to it
        ucontext    flags, link, alternate stack, mask (128 bytes of room), x-registers with pc first, FP registers

A handler returns to the trampoline, a page of the kernel's in each program (Linux's vDSO), which makes the
system call rt_sigreturn.

Sources: Linux, include/uapi/asm-generic/siginfo.h, arch/riscv/include/uapi/asm/ucontext.h and sigcontext.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from kernel.cpu.abi import TrapFrame
from kernel.errno import Errno, SysError
from kernel.errors import NoMemory
from kernel.mm.page_table.pte import PageFlags
from kernel.mm.paging import PAGE_SIZE

from .address_space import STACK_SIZE, AddressSpace
from .area import Area
from .memory import read_user, write_user
from .signals import (
    SA_NODEFER, SA_ONSTACK, SA_RESETHAND, SA_RESTART, UNSTOPPABLE, Action, Default, Info, Signal,
)
from .task import FP_SIZE, State, Task

if TYPE_CHECKING:
    from .system import System

REGISTERS: Final = [field.name for field in TrapFrame.FIELDS][1:32]
INFO_SIZE, MASK_AT, CONTEXT_AT, FP_AT = 128, 40, 176, 432
UCONTEXT_SIZE: Final = CONTEXT_AT + 256 + 528
FRAME_SIZE: Final = INFO_SIZE + UCONTEXT_SIZE
OF_FAULTS: Final = frozenset({Signal.SEGV, Signal.BUS, Signal.ILL, Signal.TRAP, Signal.FPE})
"""Signals whose siginfo has an address."""
NEVER_RESTARTED: Final = frozenset({72, 73, 101, 115, 133})
"""pselect6, ppoll, nanosleep, clock_nanosleep, rt_sigsuspend: a handler ends them with EINTR (signal(7))."""
TRAMPOLINE_CODE: Final = struct.pack("<II", 0x08B00893, 0x00000073)
"""li a7, 139; ecall"""


class _Trampoline:
    """The page's contents, as a backing."""

    def read(self, offset: int, size: int) -> bytes:
        return TRAMPOLINE_CODE[offset:offset + size]

    def frame(self, offset: int) -> None:
        return None

    def hold_frames(self, offset: int, count: int) -> list[int]:
        return []

    def hold(self) -> None:
        pass

    def release(self) -> None:
        pass


_TRAMPOLINE = _Trampoline()


def trampoline_of(space: AddressSpace) -> int:
    """Where the trampoline is: below the room that the stack may need, and a page that is never there."""
    return space.top - STACK_SIZE - 2 * PAGE_SIZE


def map_trampoline(space: AddressSpace) -> None:
    """Give an address space its trampoline."""
    at = trampoline_of(space)
    space.map(Area(at, at + PAGE_SIZE, PageFlags.RX, _TRAMPOLINE, 0, len(TRAMPOLINE_CODE), name="[vdso]"))


def deliver(system: System, task: Task) -> None:
    """Deliver what waits for the task, until a handler is to run, or nothing is left."""
    if not (task.pending.waiting or task.process.pending.waiting or task.interrupted or task.restore_mask is not None):
        return
    while task.state is State.RUNNABLE:
        if task.has_signal(deadly=True):
            system.kill(task.process, Signal.KILL, "SIGKILL")
            return
        info = task.pending.take(task.blocked) or task.process.pending.take(task.blocked)
        if info is None:
            if task.restore_mask is not None:
                task.blocked, task.restore_mask = task.restore_mask, None
            _end_call(task, restart=True)
            return
        default = task.process.actions.default(info.signal)
        if default is None:
            action = task.process.actions[info.signal]
            _end_call(task, restart=bool(action.flags & SA_RESTART) and task.number not in NEVER_RESTARTED)
            try:
                _enter_handler(system, task, info, action)
            except NoMemory:
                system.kill_by_oom(task.process)
            except SysError:
                system.kill(task.process, Signal.SEGV, f"no stack for the handler of signal {info.signal}")
            return
        if default is Default.STOP:
            system.stop(task.process, info.signal)
        elif default in (Default.TERMINATE, Default.CORE):
            system.kill(task.process, info.signal, describe(task, info))  # no core is ever dumped


def describe(task: Task, info: Info) -> str:
    """A signal that kills, in words."""
    try:
        name = f"SIG{Signal(info.signal).name}"
    except ValueError:
        name = f"signal {info.signal}"
    if info.signal in (Signal.SEGV, Signal.BUS, Signal.ILL):
        what = "no memory is mapped there" if info.code == 1 and info.signal == Signal.SEGV else "not allowed"
        return f"{name} at {task.frame.sepc:#x}, address {info.address:#x}: {what}"
    return name


def _enter_handler(system: System, task: Task, info: Info, action: Action) -> None:
    """Have the task's handler run next. SysError if there is no room for its frame."""
    frame, process = task.frame, task.process
    sp = frame.sp
    base, size = task.alt_stack
    if action.flags & SA_ONSTACK and size and not base <= sp < base + size:
        sp = base + size
    sp = sp - FRAME_SIZE & -16
    mask = task.blocked if task.restore_mask is None else task.restore_mask
    task.restore_mask = None
    siginfo = struct.pack("<iiii", info.signal, 0, info.code, 0)
    siginfo += (struct.pack("<Q", info.address) if info.signal in OF_FAULTS
                else struct.pack("<iii", info.pid, 0, info.status))
    context = struct.pack("<QQQiiQQ", 0, 0, base, 0 if size else 2, 0, size, mask).ljust(CONTEXT_AT, b"\0")
    context += struct.pack("<32Q", frame.sepc, *(getattr(frame, name) for name in REGISTERS))
    if task.fp_used:
        system.scheduler.save_fp(task)
        context += system.mm.port.read(task.fp_paddr, FP_SIZE)
    data = siginfo.ljust(INFO_SIZE, b"\0") + context.ljust(UCONTEXT_SIZE, b"\0")
    write_user(process.space, sp, data)
    frame.sp, frame.sepc = sp, action.handler
    frame.a0, frame.a1, frame.a2 = info.signal, sp, sp + INFO_SIZE
    frame.ra = trampoline_of(process.space)
    task.blocked |= action.mask | (0 if action.flags & SA_NODEFER else 1 << info.signal - 1)
    task.blocked &= ~UNSTOPPABLE
    if action.flags & SA_RESETHAND:
        process.actions.set(info.signal, Action())


def leave_handler(system: System, task: Task) -> None:
    """rt_sigreturn: put back what the handler's frame has saved: registers of the user's alone. EFAULT."""
    frame = task.frame
    data = read_user(task.process.space, frame.sp + INFO_SIZE, FP_AT + FP_SIZE)
    task.blocked = int.from_bytes(data[MASK_AT:MASK_AT + 8], "little") & ~UNSTOPPABLE
    pc, *values = struct.unpack_from("<32Q", data, CONTEXT_AT)
    if pc >= 1 << 63:
        raise SysError(Errno.EFAULT, f"return to {pc:#x}")
    frame.sepc = pc
    for name, value in zip(REGISTERS, values, strict=True):
        setattr(frame, name, value)
    registers = data[FP_AT:]
    if task.fp_used or any(registers):
        system.scheduler.load_fp(task, registers)


def _end_call(task: Task, *, restart: bool) -> None:
    """What becomes of the system call that a signal has interrupted."""
    if not task.interrupted:
        return
    task.interrupted = False
    if restart:
        task.frame.sepc -= 4  # its arguments are still in the registers
    else:
        task.frame.a0 = (1 << 64) - Errno.EINTR
