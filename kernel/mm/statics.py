"""The kernel's static variables: areas in the kernel image's .bss, and one per CPU, by name.

        statics (in the image)                        CPU-local storage (8 KiB for each CPU)
        +0x0000  directory: magic, used, areas        CPU 0: an area of the statics
        +0x1000  the areas, in order of request       CPU n: early-allocated when CPU n is set up

Upstream, the linker places statics and `cpu_local!` variables. Here a component asks for its area by
name; the directory is itself in emulated memory, so that a kernel that is attached to the memory later
finds every area where it was.

    directory entry (32 bytes): name [16] | offset u64 | size u32 | kind u32 (0 static, 1 CPU-local)
"""

from __future__ import annotations

from kernel.errors import BootError, CorruptionError

from .port import MemoryPort

MAGIC = 0x5343_4954_4154_5348  # "HSTATICS"
ENTRY, FIRST_ENTRY, CAPACITY = 32, 64, 120
AREAS = 0x1000
CPU_LOCAL_SIZE = 8192
MAX_CPUS = 64
STATIC, LOCAL = 0, 1


class Statics:
    """The static areas in `size` bytes at physical `base`, page-aligned; `create` for the first time."""

    def __init__(self, port: MemoryPort, base: int, size: int) -> None:
        self.port, self.base, self.size = port, base, size
        self.sealed = False
        """Whether areas that are not there yet are refused, instead of made: while a kernel is attached to."""
        self._found: dict[tuple[str, int], int] = {}
        if port.load(base) != MAGIC:
            raise CorruptionError(f"no kernel statics at {base:#x}: {port.load(base):#x} is not the magic {MAGIC:#x}")

    @classmethod
    def create(cls, port: MemoryPort, base: int, size: int) -> Statics:
        """Statics with no area in them yet; all of the memory is zeroed, as .bss is."""
        port.fill(base, size)
        port.store(base, MAGIC)
        port.store(base + 16, AREAS)
        return cls(port, base, size)

    def area(self, name: str, size: int) -> int:
        """Physical address of the static area `name` of `size` bytes, zeroed when it is first asked for."""
        return self.base + self._area(name, size, STATIC)

    def local_area(self, name: str, size: int) -> int:
        """Offset of the area `name` of `size` bytes in every CPU's local storage."""
        found = self._found.get((name, LOCAL))
        return found if found is not None else self._area(name, size, LOCAL)

    def name_of(self, address: int) -> str:
        """The static area that physical `address` is in, and the offset in it: `list_ids + 0`."""
        port = self.port
        for i in range(min(port.load(self.base + 8), CAPACITY)):
            entry = self.base + FIRST_ENTRY + i * ENTRY
            start = self.base + port.load(entry + 16)
            if port.load_sized(entry + 28, 4) == STATIC and start <= address < start + port.load_sized(entry + 24, 4):
                return f"{port.read(entry, 16).rstrip(bytes(1)).decode(errors='replace')} + {address - start}"
        return f"+ {address - self.base:#x}"

    def _area(self, name: str, size: int, kind: int) -> int:
        found = self._found.get((name, kind))
        if found is not None:
            return found
        raw = name.encode()
        if len(raw) > 16 or not raw:
            raise BootError(f"a static area's name has 1 to 16 bytes, not {name!r}")
        raw = raw.ljust(16, b"\0")
        port = self.port
        count = port.load(self.base + 8)
        if count > CAPACITY:
            raise CorruptionError(f"the statics' directory at {self.base:#x} claims {count} areas of {CAPACITY}")
        for i in range(count):
            entry = self.base + FIRST_ENTRY + i * ENTRY
            if port.read(entry, 16) == raw and port.load_sized(entry + 28, 4) == kind:
                had, offset = port.load_sized(entry + 24, 4), port.load(entry + 16)
                limit = self.size if kind == STATIC else CPU_LOCAL_SIZE
                if had != size or offset % 64 or offset + size > limit:
                    raise CorruptionError(f"static area {name} at {offset:#x} has {had} bytes, expected {size}")
                self._found[name, kind] = offset
                return offset
        return self._new(raw, name, size, kind, count)

    def _new(self, raw: bytes, name: str, size: int, kind: int, count: int) -> int:
        if self.sealed:
            raise CorruptionError(f"static area {name} is not in the directory at {self.base:#x}")
        port = self.port
        used_word = self.base + (16 if kind == STATIC else 24)
        offset = port.load(used_word)
        limit = self.size if kind == STATIC else CPU_LOCAL_SIZE
        if count == CAPACITY or offset + size > limit:
            raise BootError(f"no room for {size} bytes of static area {name}: {offset} of {limit} are used")
        entry = self.base + FIRST_ENTRY + count * ENTRY
        port.write(entry, raw)
        port.store(entry + 16, offset)
        port.store_sized(entry + 24, 4, size)
        port.store_sized(entry + 28, 4, kind)
        port.store(used_word, offset + -(-size // 64) * 64)
        port.store(self.base + 8, count + 1)
        self._found[name, kind] = offset
        return offset


class CpuLocals:
    """Where each CPU's local storage is: a table of MAX_CPUS addresses in the statics."""

    def __init__(self, statics: Statics) -> None:
        self.statics = statics
        self._table = statics.area("cpu_local", 8 * MAX_CPUS)
        self._boot = statics.area("cpu_local.0", CPU_LOCAL_SIZE)
        statics.port.store(self._table, self._boot)

    def set_base(self, cpu: int, base: int) -> None:
        """Tell that CPU `cpu`'s storage, zeroed, is at physical `base`."""
        self.statics.port.store(self._table + 8 * cpu, base)

    def base(self, cpu: int) -> int:
        """Physical address of CPU `cpu`'s storage; BootError if it has none yet."""
        base = self.statics.port.load(self._table + 8 * cpu) if 0 <= cpu < MAX_CPUS else 0
        if not base:
            raise BootError(f"CPU {cpu} has no local storage")
        return base

    @property
    def count(self) -> int:
        """CPUs that have local storage."""
        return sum(1 for cpu in range(MAX_CPUS) if self.statics.port.load(self._table + 8 * cpu))
