"""The engine's shared library: found, checked, its functions resolved, our CSRs installed.

Everything here happens once per process, because the engine's CSR table is one per process.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import EngineError
from ..timing import events
from . import (
    abi, block, clock, codehook, counters, csr, effective, fpsingle, guard, interrupt, mmu, native, pmp, schedule,
    steps, tracing, trap, watch,
)

MODULES = (
    clock, interrupt, pmp, watch, guard, mmu, effective, fpsingle, tracing, codehook, steps, trap, block, counters, csr,
    schedule,
)
"""The engine's modules with native functions."""


class CsrOps(ctypes.Structure):
    """riscv_csr_operations: an entry of the engine's CSR table."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("predicate", "read", "write", "op")]


class Library:
    """The loaded engine library and the native code that goes with it."""

    def __init__(self, devices: Sequence[ModuleType], notice: Callable[[str], None] | None) -> None:
        self.path = _find()
        self.lib = ctypes.CDLL(str(self.path))
        _check_version(self.lib)
        self.functions = {name: self._resolve(name) for name in abi.FUNCTIONS + abi.CHECKED}
        self.code = native.load([*MODULES, *devices], notice, constants=(events,))
        self._install_csrs()

    def _resolve(self, name: str) -> int:
        try:
            address = ctypes.cast(getattr(self.lib, name), ctypes.c_void_p).value
        except AttributeError:
            raise EngineError(f"{self.path}: symbol {name} is missing; Hartwell needs the PyPI wheel of "
                              f"unicorn=={abi.UNICORN_VERSION}") from None
        assert address is not None
        return address

    def _install_csrs(self) -> None:
        """Put our operations into the CSR table, the originals into the shared table."""
        get, put = self.lib.riscv_get_csr_ops_riscv64, self.lib.riscv_set_csr_ops_riscv64
        saved = (CsrOps * 4096).from_address(self.code.shared)
        ours = CsrOps(self.code.address(csr.allowed), None, None, self.code.address(csr.access))
        for number in csr.OURS:
            get(number, ctypes.byref(saved[number]))
            put(number, ctypes.byref(ours))
        identify = CsrOps(self.code.address(csr.always), None, None, self.code.address(csr.identify))
        put(csr.IDENTIFY, ctypes.byref(identify))


class _Notice:
    """Where to send news of a compilation; all alike to the cache, as there is one library per process."""

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self.tell = tell

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Notice)

    def __hash__(self) -> int:
        return 0


_LOADING = threading.Lock()


@functools.cache
def _load(devices: tuple[ModuleType, ...], notice: _Notice) -> Library:
    return Library(devices, notice.tell)


def library(devices: tuple[ModuleType, ...], notice: Callable[[str], None] | None = None) -> Library:
    """The process's engine library, with the native functions of the modules `devices`.

    The first call loads it (and compiles native code if need be). Raises EngineError if the installed
    unicorn is not the one whose insides are known.
    """
    with _LOADING:
        return _load(devices, _Notice(notice))


def _find() -> Path:
    if platform.machine() not in ("x86_64", "aarch64") or sys.platform != "linux":
        raise EngineError(f"Hartwell runs on Linux on x86_64 (aarch64 untested); this is {sys.platform} on "
                          f"{platform.machine()}")
    spec = importlib.util.find_spec("unicorn")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(f"the package unicorn=={abi.UNICORN_VERSION} is not installed")
    path = Path(spec.submodule_search_locations[0]) / "lib" / "libunicorn.so.2"
    if not path.exists():
        raise EngineError(f"{path} does not exist; install the wheel of unicorn=={abi.UNICORN_VERSION} from PyPI")
    return path


def _check_version(lib: Any) -> None:
    word = lib.uc_version(None, None)
    version = f"{word >> 24 & 255}.{word >> 16 & 255}.{word >> 8 & 255}"
    if version != abi.UNICORN_VERSION:
        raise EngineError(f"unicorn is version {version}; Hartwell knows the insides of {abi.UNICORN_VERSION} only "
                          f"(pip install unicorn=={abi.UNICORN_VERSION})")
