"""SPECs: how people name an allocator.

    buddy                   one that comes along (`hartwell lab list`), buddy/missing-merge: with a planted bug
    ./mine.elf              guest code with the lab's C ABI
    ./mine.py:MyAllocator   a Python class, or package.module:MyAllocator
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from emulator.errors import EmulatorError
from emulator.loader import read_file
from hartwell.lab.errors import SpecError

from . import catalogue
from .guest import GuestSubject
from .python import Factory, PythonSubject, said
from .setting import Setting
from .subject import Subject, SubjectKind

if TYPE_CHECKING:
    from emulator import Machine


def load_subject(spec: str, setting: Setting | None = None, machine: Machine | None = None) -> Subject:
    """The allocator that `spec` names, pristine, in a machine as `setting` says. SpecError says what is wrong with it.

    `machine` is one on such a board that has the kernel loaded and has not run yet; by default a new one.
    SubjectFailed when the allocator does not survive the boot, or being given its memory.
    """
    data = elf_of(spec)
    if data is None:
        own = catalogue.OWN.get(spec, spec)
        return _python(own, setting, spec if spec in catalogue.OWN else own.rpartition(":")[2], machine)
    return GuestSubject(data, spec if catalogue.find(spec) is not None else Path(spec).name, setting, spec, machine)


def elf_of(spec: str) -> bytes | None:
    """The ELF that `spec` names; None if it names a Python class. SpecError if it names nothing."""
    if spec in catalogue.OWN or ":" in spec and not spec.endswith(".elf"):
        return None
    elf = catalogue.find(spec)
    if elf is not None:
        return elf.read_bytes()
    if not Path(spec).exists():
        raise SpecError(f"{spec}: no allocator comes along under that name, and there is no such file; expected one of "
                        f"{', '.join(catalogue.names())}, FILE.elf, FILE.py:Class or module:Class")
    if spec.endswith(".py"):
        raise SpecError(f"{spec}: expected the name of the class, too: {spec}:Class")
    try:
        return read_file(spec, "allocator")
    except EmulatorError as why:
        raise SpecError(str(why)) from None


def _python(spec: str, setting: Setting | None, name: str, machine: Machine | None) -> PythonSubject:
    found = load_class(spec)
    return PythonSubject(found, kind_of(found, spec), name, setting, spec, machine)


def load_class(spec: str) -> Factory:
    """The class or function that `spec` (FILE.py:Class, module:Class) names. SpecError."""
    where, _, attribute = spec.rpartition(":")
    module = _module(where, spec)
    found: object = module
    try:
        for part in attribute.split("."):
            found = getattr(found, part, None)
    except Exception as why:  # a module or class with a __getattr__ of its own
        raise SpecError(f"{spec}: {attribute} cannot be had: {type(why).__name__}: {said(why)}") from why
    if not callable(found):
        raise SpecError(f"{spec}: {where} has no class or function {attribute}{_its_allocators(module)}")
    return found


def _its_allocators(module: ModuleType) -> str:
    """The allocators that a module defines itself, for one who has not hit the name of one."""
    names = []
    for name, value in vars(module).items():
        with suppress(Exception):  # no allocator, or a class with a __getattribute__ of its own: no hint
            if isinstance(value, type) and value.__module__ == module.__name__:
                kind_of(value, name)
                names.append(name)
    return f"; expected one of {', '.join(names)}" if names else ""


def _module(where: str, spec: str) -> ModuleType:
    """The module called `where`, or in the file of that name; what it raises is said by name."""
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        path = Path(where)
        if not path.is_file():
            raise SpecError(f"{spec}: there is no file {where}")
        name = f"hartwell_lab_spec_{path.stem}"
        loader = SourceFileLoader(name, where)
        made = importlib.util.spec_from_loader(name, loader)
        assert made is not None
        module = importlib.util.module_from_spec(made)
        sys.modules[name] = module  # dataclasses look their module up there
        # Not exec_module: its cache of bytecode takes a file of the same second and size for the same file.
        exec(loader.source_to_code(path.read_bytes(), where), vars(module))
        return module
    except (SpecError, KeyboardInterrupt):
        raise
    except BaseException as why:  # a module may even call sys.exit
        raise SpecError(f"{spec}: cannot be imported: {type(why).__name__}: {said(why)}") from why


def kind_of(factory: Factory, spec: str) -> SubjectKind:
    """Whether a class is a frame or a heap allocator: by what it has."""
    def has(*names: str) -> bool:
        return all(callable(getattr(factory, name, None)) for name in names)

    try:
        if has("alloc", "dealloc", "add_free_memory"):
            return SubjectKind.FRAME
        if has("alloc", "dealloc", "slot_map"):
            return SubjectKind.HEAP
    except Exception as why:  # a class with a __getattr__ of its own
        raise SpecError(f"{spec}: its methods cannot be had: {type(why).__name__}: {said(why)}") from why
    raise SpecError(f"{spec}: is no allocator: expected methods alloc, dealloc and add_free_memory (frames) or "
                    "slot_map (heap)")
