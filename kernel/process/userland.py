"""Userland: what a kernel needs before the first program can run.

    /            RamFS, filled from the initramfs that the device tree announces
    /dev         null, zero, full, console, tty
    /proc        memory, processes
    /tmp         a directory

    kernel = Kernel.boot(initrd=archive)
    system = Userland(Storage.FRAMES, console).start(kernel)
    status = system.run("/bin/sh", [b"sh"], [], system.first_files())
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from kernel.errno import Errno, SysError
from kernel.fs.console import Console
from kernel.fs.device import CONSOLE, FULL, NULL, TTY, ZERO
from kernel.fs.initramfs import unpack_initramfs
from kernel.fs.open_file import Flags
from kernel.fs.ramfs.ramfs import RamFs, Storage
from kernel.fs.stat import FileType
from kernel.fs.vfs import Vfs
from kernel.syscall.table import SystemCalls

from .files import Files
from .proc import proc_file_system
from .signals import Info
from .system import System

if TYPE_CHECKING:
    from kernel.kernel import Kernel

    from .task import Process

DIRECTORIES: Final = ((b"/dev", 0o755), (b"/proc", 0o555), (b"/tmp", 0o1777))
SI_KERNEL: Final = 128
NODES: Final = ((b"/dev/null", NULL), (b"/dev/zero", ZERO), (b"/dev/full", FULL), (b"/dev/console", CONSOLE),
                (b"/dev/tty", TTY))


@dataclass(frozen=True)
class Userland:
    """How it is to be: where files' contents are kept, the console, who hears of system calls and of deaths."""

    storage: Storage
    console: Console
    calls: SystemCalls
    on_death: Callable[[Process, str], None] | None = None

    def start(self, kernel: Kernel) -> System:
        """Make the tree of files; no program runs yet. ArchiveError for a damaged initramfs, SysError without room.

        Nothing is kept then.
        """
        root = RamFs.create(kernel.mm, self.storage)
        try:
            return self._start(kernel, Vfs(kernel.mm, root))
        except BaseException:
            root.drop()
            raise

    def _start(self, kernel: Kernel, files: Vfs) -> System:
        unpack_initramfs(kernel.mm, kernel.early_info.initramfs, files)
        place = files.place
        for path, mode in DIRECTORIES:
            _unless_there(lambda path=path, mode=mode: files.mkdir(place, path, mode))  # type: ignore[misc]
        for path, device in NODES:
            _unless_there(lambda path=path, device=device: files.mknod(  # type: ignore[misc]
                place, path, FileType.CHARACTER.mode | 0o666, device))
        for device in (CONSOLE, TTY):
            files.devices.register(device, self.console.open)
        system = System(kernel, files, self.calls, self.on_death)
        files.mount(files.resolve(place, b"/proc"), proc_file_system(system))
        self.console.signal = partial(_signal_group, system)
        return system


def first_files(system: System) -> Files:
    """The open files of the first process: the console, three times."""
    files = Files(system.files.root)
    files.add(system.files.open(system.files.place, b"/dev/console", Flags.RDWR))
    files.duplicate(0)
    files.duplicate(0)
    return files


def _signal_group(system: System, group: int, number: int) -> None:
    """A key at the console is a signal for the process group in the foreground."""
    for process in sorted(system.processes.values(), key=lambda process: process.pid):
        if process.pgid == group:
            system.signal(process, Info(number, SI_KERNEL))


def _unless_there(make: Callable[[], object]) -> None:
    try:
        make()
    except SysError as why:
        if why.errno is not Errno.EEXIST:
            raise
