"""/proc as a process sees it: the system's own figures, and a directory for each process.

Source: proc(5); what of a file's fields nobody here keeps is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from kernel.errno import Errno, SysError
from kernel.fs.proc_text import add_memory_files
from kernel.fs.procfs import ProcDirectory, ProcEntry, ProcFs, ProcLink, ProcText
from kernel.mm.page_table.pte import PageFlags
from kernel.mm.paging import PAGE_SIZE
from kernel.picture.page_tables import read_mappings

from .task import Process, State

if TYPE_CHECKING:
    from .system import System

HZ: Final = 100
"""Ticks of the times in /proc (USER_HZ)."""
STAT_FIELDS: Final = 52


def proc_file_system(system: System) -> ProcFs:
    """The file system to be mounted at /proc."""
    proc = ProcFs(system.mm, system.wall_clock)
    add_memory_files(proc, system.files)
    texts = {b"uptime": _uptime, b"loadavg": _loadavg, b"stat": _stat, b"version": _version, b"cpuinfo": _cpuinfo}
    for name, make in texts.items():
        proc.add(name, ProcText(partial(make, system)))
    proc.add(b"self", ProcLink(lambda: str(_current(system).pid).encode()))
    proc.add_all(partial(_processes, system))
    return proc


def _current(system: System) -> Process:
    task = system.current
    if task is None:
        raise SysError(Errno.ENOENT, "nobody asks")
    return task.process


def _processes(system: System) -> Mapping[bytes, ProcEntry]:
    return {str(pid).encode(): _directory(system, process) for pid, process in sorted(system.processes.items())}


def _directory(system: System, process: Process) -> ProcDirectory:
    return ProcDirectory({
        b"cmdline": ProcText(lambda: b"".join(word + b"\0" for word in process.arguments)),
        b"comm": ProcText(lambda: process.name.encode() + b"\n"),
        b"cwd": ProcLink(lambda: system.files.path_of(process.files.cwd)),
        b"exe": ProcLink(lambda: process.executable.encode("utf-8", "surrogateescape")),
        b"maps": ProcText(lambda: _maps(process)),
        b"stat": ProcText(lambda: _process_stat(system, process)),
        b"statm": ProcText(lambda: _statm(system, process)),
        b"status": ProcText(lambda: _status(system, process)),
    })


def _maps(process: Process) -> bytes:
    """The areas, one a line."""
    lines = []
    for area in process.space.areas if not process.is_zombie else ():
        rights = "".join(letter if area.prot & bit else "-" for letter, bit in (
            ("r", PageFlags.R), ("w", PageFlags.W), ("x", PageFlags.X)))
        line = (f"{area.start:08x}-{area.end:08x} {rights}{'s' if area.shared else 'p'} {area.offset:08x} 00:00 "
                f"{0:<10} {area.name}")
        lines.append(line.rstrip() + "\n")
    return "".join(lines).encode()


def _sizes(system: System, process: Process) -> tuple[int, int]:
    """Bytes of addresses, and of pages that are there."""
    if process.is_zombie:
        return 0, 0
    size = sum(area.size for area in process.space.areas)
    mapped = sum(mapping.size for mapping in read_mappings(system.mm, process.space.space.root_paddr))
    return size, mapped


def _state(process: Process) -> str:
    if process.is_zombie:
        return "Z"
    states = [task.state for task in process.tasks.values()]
    return next((state.value for state in (State.RUNNABLE, State.BLOCKED) if state in states), "S")


def _process_stat(system: System, process: Process) -> bytes:
    """/proc/PID/stat: 52 fields."""
    size, mapped = _sizes(system, process)
    used = sum(task.time for task in process.tasks.values()) * HZ // system.kernel.machine.board.timebase_hz
    fields: list[object] = [0] * STAT_FIELDS
    fields[:8] = (process.pid, f"({process.name})", _state(process), process.parent.pid if process.parent else 0,
                  process.pgid, process.sid, 0, -1)
    fields[13], fields[17], fields[19] = used, 20, max(len(process.tasks), 1)
    fields[22], fields[23] = size, mapped // PAGE_SIZE
    return (" ".join(map(str, fields)) + "\n").encode()


def _statm(system: System, process: Process) -> bytes:
    size, mapped = _sizes(system, process)
    return f"{size // PAGE_SIZE} {mapped // PAGE_SIZE} 0 0 0 0 0\n".encode()


def _status(system: System, process: Process) -> bytes:
    size, mapped = _sizes(system, process)
    rows = (("Name", process.name), ("State", _state(process)), ("Tgid", process.pid), ("Pid", process.pid),
            ("PPid", process.parent.pid if process.parent else 0), ("Uid", "0\t0\t0\t0"), ("Gid", "0\t0\t0\t0"),
            ("VmSize", f"{size // 1024:8} kB"), ("VmRSS", f"{mapped // 1024:8} kB"), ("Threads", len(process.tasks)))
    return "".join(f"{name}:\t{value}\n" for name, value in rows).encode()


def _uptime(system: System) -> bytes:
    hundredths = system.wall_clock() // 10**7
    return f"{hundredths // 100}.{hundredths % 100:02} 0.00\n".encode()


def _loadavg(system: System) -> bytes:
    tasks = [task for process in system.processes.values() for task in process.tasks.values()]
    running = sum(task.state is State.RUNNABLE for task in tasks)
    return f"0.00 0.00 0.00 {running}/{len(tasks)} {max(system.processes, default=0)}\n".encode()


def _stat(system: System) -> bytes:
    lines = ["cpu  0 0 0 0 0 0 0 0 0 0\n"]
    lines += [f"cpu{cpu} 0 0 0 0 0 0 0 0 0 0\n" for cpu in system.kernel.service.online]
    return "".join([*lines, "btime 0\n", f"processes {system.made}\n"]).encode()


def _version(system: System) -> bytes:
    from kernel.syscall.info import RELEASE

    return f"Linux version {RELEASE} (hartwell)\n".encode()


def _cpuinfo(system: System) -> bytes:
    return "".join(f"processor\t: {cpu}\nhart\t\t: {system.kernel.service.hart(cpu).id}\nisa\t\t: rv64imafdc\n"
                   f"mmu\t\t: {system.mm.paging.name}\n\n" for cpu in system.kernel.service.online).encode()
