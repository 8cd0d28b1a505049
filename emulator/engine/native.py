"""Native functions: hooks written in Python, compiled once per machine, loaded in milliseconds.

A *native function* is a module-level Python function over signed 64-bit integers that uses only
arithmetic, comparisons, loops, the primitives of `prims` and other native functions. Three decorators
mark them:

    @inline                        called by other native functions only
    @outline                       likewise, but never inlined: a slow path that shall not burden its caller
    @entry("i64(i64, i64, i32)")   also callable from C: gets an address (`Code.address`)

`load` compiles all functions of the given modules as one LLVM module through numba, and keeps the
object code in the user's cache directory under a key made of the sources, the compiler's versions
and the host CPU. A later start only maps that object code: neither numba nor LLVM's optimiser runs.

C signatures name `i64`, `i32`, `i8` and, as a result, `void`; pointers are `i64`.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import llvmlite.binding as llvm

from ..errors import NativeCodeError
F = TypeVar("F", bound=Callable[..., Any])

SHARED_WORDS = 4096 * 4 + 16
"""Size of the process-wide table (`prims.shared`): four words for each CSR number, and spare."""

_KINDS = ("i64", "i32", "i8")
FORMAT = 6
"""Version of the cache file's contents; raise it when this module changes what it emits."""


def inline(fn: F) -> F:
    """Mark `fn` as a native function that only native functions call."""
    fn.__hartwell_native__ = ""  # type: ignore[attr-defined]
    return fn


def outline(fn: F) -> F:
    """Mark `fn` as a native function that native functions call, and that stays a function of its own."""
    fn.__hartwell_outline__ = True  # type: ignore[attr-defined]
    return inline(fn)


def entry(signature: str) -> Callable[[F], F]:
    """Mark a native function as callable from C with `signature`, e.g. ``"i64(i64, i32)"``."""

    def mark(fn: F) -> F:
        fn.__hartwell_native__ = signature  # type: ignore[attr-defined]
        return fn

    return mark


class Code:
    """Loaded native code: the C address of every entry of the modules it was built from."""

    def __init__(self, machine_code: bytes, names: Sequence[str]) -> None:
        target = _target_machine()
        empty = llvm.parse_assembly(f'target triple = "{llvm.get_process_triple()}"')
        self._jit = llvm.create_mcjit_compiler(empty, target)
        self._jit.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
        self._jit.finalize_object()
        self._address = {n: self._jit.get_function_address(_symbol(n)) for n in names}
        self.shared: int = self._jit.get_global_value_address("hartwell_shared")

    def address(self, fn: Callable[..., Any]) -> int:
        """The C address of entry `fn`; KeyError if its module was not among those loaded."""
        address: int = self._address[f"{fn.__module__}.{fn.__name__}"]
        return address


def load(modules: Sequence[types.ModuleType], notice: Callable[[str], None] | None = None, *,
         support: Sequence[types.ModuleType] = (), constants: Sequence[types.ModuleType] = ()) -> Code:
    """The native code of `modules`, from the cache if it is there, otherwise compiled (seconds).

    Functions of `support` may be called, too, but have no addresses in this code; `constants` are
    further modules whose values are compiled in. `notice` is called with one line of text before a
    compilation starts. Raises NativeCodeError when the functions cannot be compiled; a cache that
    cannot be written is not an error.
    """
    names = [f"{fn.__module__}.{fn.__name__}" for fn in _entries(modules)]
    path = cache_directory() / f"native-{_key([*modules, *support, *constants])}.o"
    try:
        return Code(path.read_bytes(), names)
    except (OSError, RuntimeError, ValueError):
        pass
    if notice is not None:
        notice("compiling native hooks (first run on this machine, a few seconds)")
    try:
        machine_code = _compile([*support, *modules], modules)
    except Exception as why:
        raise NativeCodeError(f"native hooks do not compile: {type(why).__name__}: {why}") from why
    _write(path, machine_code)
    return Code(machine_code, names)


def cache_directory() -> Path:
    """Where object code is kept: $HARTWELL_CACHE, else $XDG_CACHE_HOME/hartwell, else ~/.cache/hartwell."""
    own = os.environ.get("HARTWELL_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hartwell"


def _target_machine() -> Any:
    if hasattr(llvm, "initialize_native_target"):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(),
        opt=3, reloc="default", codemodel="jitdefault", jit=True)


def _natives(modules: Iterable[types.ModuleType]) -> list[Callable[..., Any]]:
    return [value for module in modules for value in vars(module).values()
            if hasattr(value, "__hartwell_native__") and value.__module__ == module.__name__]


def _entries(modules: Iterable[types.ModuleType]) -> list[Callable[..., Any]]:
    return [fn for fn in _natives(modules) if fn.__hartwell_native__]  # type: ignore[attr-defined]


def _symbol(name: str) -> str:
    return "hartwell." + name


def _key(modules: Iterable[types.ModuleType]) -> str:
    """Hash of all that the object code depends on."""
    digest = hashlib.sha256(repr((FORMAT, sys.version_info[:2], llvmlite.__version__, llvm.llvm_version_info,
                                  llvm.get_host_cpu_name(),
                                  llvm.get_host_cpu_features().flatten())).encode())
    for source in sorted({str(inspect.getsourcefile(m)) for m in [*modules, *_constants(modules)]}):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()[:24]


def _constants(modules: Iterable[types.ModuleType]) -> list[types.ModuleType]:
    """The modules whose sources decide the code besides `modules`: what they take constants from."""
    package = __name__.rpartition(".")[0]
    return [sys.modules[f"{package}.{name}"] for name in ("prims", "native", "layout", "abi", "riscv")
            if f"{package}.{name}" in sys.modules]


def _write(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step, so that processes starting together do not read halves."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as out:
            out.write(data)
        os.replace(out.name, path)
    except OSError:
        pass  # an unwritable cache only costs time


def _compile(modules: Sequence[types.ModuleType], exported: Sequence[types.ModuleType]) -> bytes:
    """Object code of all native functions of `modules`, each entry of the `exported` ones under its C signature."""
    import numba
    from numba.core import config

    from . import intrinsics
    from .lean import LeanCompiler

    # LLVM optimises once, over everything, below; numba's own rounds would cost seconds.
    config.OPT = type(config.OPT)("0")
    config.LOOP_VECTORIZE = config.SLP_VECTORIZE = 0

    # numba also links what it compiles into its own engine, which must find the symbol somewhere.
    stand_in = ctypes.create_string_buffer(8 * SHARED_WORDS)
    llvm.add_symbol("hartwell_shared", ctypes.addressof(stand_in))
    compiled: dict[int, Any] = intrinsics.make()
    spaces: list[dict[str, Any]] = []
    dispatchers: dict[Callable[..., Any], Any] = {}
    for module in modules:
        space = dict(vars(module))
        spaces.append(space)
        for fn in _natives([module]):
            copy = types.FunctionType(fn.__code__, space, fn.__name__, fn.__defaults__)
            copy.__module__ = fn.__module__
            copy.__qualname__ = fn.__qualname__
            dispatchers[fn] = compiled[id(fn)] = numba.njit(
                copy, error_model="numpy", boundscheck=False, _nrt=False, pipeline_class=LeanCompiler,
                no_cpython_wrapper=True, no_cfunc_wrapper=True)
    for space in spaces:
        for name, value in list(space.items()):
            if id(value) in compiled:
                space[name] = compiled[id(value)]
    reached = set(_callees_first(exported))
    for fn in _callees_first(modules):
        if not fn.__hartwell_native__ and fn in reached:  # type: ignore[attr-defined]
            # One version of each, for 64-bit integers; left to itself numba makes one per constant argument.
            dispatchers[fn].compile((numba.int64,) * fn.__code__.co_argcount)
            dispatchers[fn].disable_compile()

    whole: Any = None
    wrappers = [f"@hartwell_shared = global [{SHARED_WORDS} x i64] zeroinitializer"]
    keep = {"hartwell_shared"}
    for fn in _entries(exported):
        result, arguments = _parse(fn.__hartwell_native__)  # type: ignore[attr-defined]
        numba_result = numba.void if result == "void" else numba.int64
        compiled_fn = numba.cfunc(numba_result(*[numba.int64] * len(arguments)),
                                  error_model="numpy", _nrt=False, pipeline_class=LeanCompiler)(dispatchers[fn].py_func)
        part = llvm.parse_assembly(str(compiled_fn._library._final_module))
        inner = compiled_fn._wrapper_name.removeprefix("cfunc.")
        name = f"{fn.__module__}.{fn.__name__}"
        wrappers.append(_wrapper(_symbol(name), inner, result, arguments))
        keep.add(_symbol(name))
        if whole is None:
            whole = part
        else:
            whole.link_in(part)
    module = llvm.parse_assembly("\n".join(wrappers))
    module.link_in(whole)
    module.verify()
    for fn in reached:
        if hasattr(fn, "__hartwell_outline__"):
            for overload in dispatchers[fn].overloads.values():
                module.get_function(overload.fndesc.mangled_name).add_function_attribute("noinline")
    _internalize(module, keep)
    return _optimise(module)


def _callees_first(modules: Sequence[types.ModuleType]) -> list[Callable[..., Any]]:
    """The native functions of `modules`, each after those that it calls."""
    order: list[Callable[..., Any]] = []

    def visit(fn: Callable[..., Any]) -> None:
        if fn in order:
            return
        for name in fn.__code__.co_names:
            callee = fn.__globals__.get(name)
            if callee is not None and callee is not fn and hasattr(callee, "__hartwell_native__"):
                visit(callee)
        order.append(fn)

    for fn in _natives(modules):
        visit(fn)
    return order


def _wrapper(symbol: str, inner: str, result: str, arguments: Sequence[str]) -> str:
    """LLVM text of the C function `symbol` around numba's `inner` (status result, value by pointer).

    Inside, every argument is an i64: one signature, so that numba compiles each function once.
    """
    taken = ", ".join(f"{kind} %a{i}" for i, kind in enumerate(arguments))
    widened = "".join(f"  %w{i} = {'sext ' + kind if kind != 'i64' else 'add i64'} %a{i}"
                      f"{' to i64' if kind != 'i64' else ', 0'}\n" for i, kind in enumerate(arguments))
    passed = "".join(f", i64 %w{i}" for i in range(len(arguments)))
    if result == "void":
        end = "  ret void"
    elif result == "i64":
        end = "  %v = load i64, ptr %out\n  ret i64 %v"
    else:
        end = f"  %v = load i64, ptr %out\n  %t = trunc i64 %v to {result}\n  ret {result} %t"
    return (f'declare i32 @{inner}(ptr, ptr{", i64" * len(arguments)})\n'
            f'define {result} @"{symbol}"({taken}) {{\n  %out = alloca i64\n  %exc = alloca ptr\n{widened}'
            f'  %s = call i32 @{inner}(ptr %out, ptr %exc{passed})\n{end}\n}}\n')


def _internalize(module: Any, keep: set[str]) -> None:
    """Hide everything but `keep`, so that the optimiser drops numba's own wrappers."""
    for function in module.functions:
        if not function.is_declaration and function.name not in keep:
            function.linkage = "internal"
    for variable in module.global_variables:
        if variable.name.startswith("_ZN08NumbaEnv"):
            variable.linkage = "internal"


def _optimise(module: Any) -> bytes:
    target = _target_machine()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = target.emit_object(module)
    return code


def _parse(signature: str) -> tuple[str, list[str]]:
    """``"i64(i32, i64)"`` as ``("i64", ["i32", "i64"])``."""
    result, _, rest = signature.partition("(")
    arguments = [a.strip() for a in rest.rstrip(")").split(",") if a.strip()]
    if result.strip() not in (*_KINDS, "void") or any(a not in _KINDS for a in arguments):
        raise NativeCodeError(f"C signature {signature!r}: expected i64, i32, i8 (or void as result)")
    return result.strip(), arguments


def function(code: Code, fn: Callable[..., Any]) -> Callable[..., int]:
    """Entry `fn` as a ctypes function; the GIL is released while it runs."""
    result, arguments = _parse(fn.__hartwell_native__)  # type: ignore[attr-defined]
    kinds: dict[str, Any] = {"i64": ctypes.c_int64, "i32": ctypes.c_int32, "i8": ctypes.c_int8, "void": None}
    proto: Any = ctypes.CFUNCTYPE(kinds[result], *[kinds[a] for a in arguments])
    made: Callable[..., int] = proto(code.address(fn))
    return made
