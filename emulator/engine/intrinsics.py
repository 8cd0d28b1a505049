"""The primitives as LLVM instructions: what `native` compiles in place of `prims`.

Imported only when native code has to be compiled (numba costs half a second to import).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import prims

I1, I8, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(64)
SHARED_SYMBOL = "hartwell_shared"
"""LLVM global that holds the process-wide table (`prims.shared`)."""


def _load(bits: int) -> Any:
    def primitive(typingctx: Any, addr: Any) -> Any:
        def emit(context: Any, b: Any, sig: Any, args: Any) -> Any:
            value = b.load(b.inttoptr(args[0], ir.IntType(bits).as_pointer()), align=1)
            return value if bits == 64 else b.zext(value, I64)

        return types.int64(types.int64), emit

    return intrinsic(primitive)


def _store(bits: int) -> Any:
    def primitive(typingctx: Any, addr: Any, value: Any) -> Any:
        def emit(context: Any, b: Any, sig: Any, args: Any) -> Any:
            value = args[1] if bits == 64 else b.trunc(args[1], ir.IntType(bits))
            b.store(value, b.inttoptr(args[0], ir.IntType(bits).as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), emit

    return intrinsic(primitive)


def _binary(build: Any, result: Any) -> Any:
    def primitive(typingctx: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return build(builder, args[0], args[1])

        return result(types.int64, types.int64), emit

    return intrinsic(primitive)


def _ctz(typingctx: Any, value: Any) -> Any:
    def emit(context: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.cttz(args[0], ir.Constant(I1, 0))

    return types.int64(types.int64), emit


def _shared(typingctx: Any) -> Any:
    def emit(context: Any, b: Any, sig: Any, args: Any) -> Any:
        module = b.module
        table = module.globals.get(SHARED_SYMBOL)
        if table is None:
            table = ir.GlobalVariable(module, I64, SHARED_SYMBOL)
        return b.ptrtoint(table, I64)

    return types.int64(), emit


def _emit_call(count: int) -> Any:
    """Signature and code of a call through a pointer with `count` 64-bit arguments."""

    def emit(context: Any, b: Any, sig: Any, values: Any) -> Any:
        proto = ir.FunctionType(I64, [I64] * count)
        return b.call(b.inttoptr(values[0], proto.as_pointer()), list(values[1:]))

    return types.int64(*[types.int64] * (count + 1)), emit


# numba reads an intrinsic's arity off the Python signature, so each arity is spelled out.
_CALLS = {
    prims.call1: lambda typingctx, fn, a: _emit_call(1),
    prims.call2: lambda typingctx, fn, a, b: _emit_call(2),
    prims.call3: lambda typingctx, fn, a, b, c: _emit_call(3),
    prims.call4: lambda typingctx, fn, a, b, c, d: _emit_call(4),
    prims.call5: lambda typingctx, fn, a, b, c, d, e: _emit_call(5),
    prims.call6: lambda typingctx, fn, a, b, c, d, e, f: _emit_call(6),
}


def make() -> dict[int, Any]:
    """The LLVM form of every primitive, keyed by `id` of its Python form in `prims`."""
    forms = {
        prims.ld8: _load(8), prims.ld16: _load(16), prims.ld32: _load(32), prims.ld64: _load(64),
        prims.st8: _store(8), prims.st16: _store(16), prims.st32: _store(32), prims.st64: _store(64),
        prims.lshr: _binary(lambda b, x, n: b.lshr(x, n), types.int64),
        prims.ult: _binary(lambda b, x, y: b.icmp_unsigned("<", x, y), types.boolean),
        prims.udiv: _binary(lambda b, x, y: b.udiv(x, y), types.int64),
        prims.ctz: intrinsic(_ctz), prims.shared: intrinsic(_shared),
    }
    forms |= {python: intrinsic(form) for python, form in _CALLS.items()}
    assert set(forms) == set(prims.PRIMITIVES)
    return {id(python): llvm for python, llvm in forms.items()}
