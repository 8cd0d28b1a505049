"""Plain old data: values that may hold any bytes, so that they can be read from memory that anybody wrote (`ostd_pod`).

    class Header(Pod):
        magic = u32()
        flags = u32()
        sizes = Array(u64, 4)

    header = reader.read_val(Header)

Pod types are the Integer classes of fields.py, subclasses of `Pod`, and `Array`s of Pod types. A type
that has values which not every byte pattern is (bool), or bytes that belong to no field (padding: their
contents would leak to whoever reads the memory), is not Pod, and using it as one raises PodError.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Generic, Protocol, Self, TypeVar, cast, overload

from kernel.errors import KernelError
from kernel.mm.fields import Bytes, Field, Integer, Nested, Struct, Value, i8, i16, i32, i64, u8, u16, u32, u64, usize

V = TypeVar("V")


class PodError(KernelError):
    """A type is used as plain old data and is none, or not of a size or kind that the operation takes."""


class PodType(Protocol[V]):
    """A Pod type whose values are `V`; an Integer class, a Pod subclass, or an Array is one."""

    @property
    def SIZE(self) -> int:  # noqa: N802 - as the fields' classes have it
        """Bytes of a value."""

    def decode(self, data: bytes) -> V:
        """The value in SIZE bytes."""

    def encode(self, value: V) -> bytes:
        """The SIZE bytes of `value`."""


INTEGERS: Mapping[object, tuple[int, int]] = MappingProxyType({
    kind: (kind.SIZE, 1 << 8 * kind.SIZE - 1 if kind.SIGNED else 0)
    for kind in (u8, u16, u32, u64, usize, i8, i16, i32, i64)
})
"""The primitive types: size in bytes and, for a signed one, the weight of the sign bit (0 for others)."""

_FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def require_pod(kind: object) -> None:
    """Raise PodError unless `kind` is a Pod type."""
    if isinstance(kind, Array):
        return
    if isinstance(kind, type):
        if issubclass(kind, Integer) or issubclass(kind, Pod) and kind is not Pod:
            return
        raise PodError(f"{kind.__name__} is not Pod")
    raise PodError(f"{kind!r} is not a Pod type")


def pod_align(kind: object) -> int:
    """The alignment of a Pod type in bytes."""
    if isinstance(kind, Array):
        return kind.align
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind.ALIGN
    return cast(type[Integer], kind).SIZE


def decode_slice(kind: PodType[V], data: bytes, count: int) -> list[V]:
    """The `count` values that lie in `data`, one after the other."""
    size = kind.SIZE
    if kind in INTEGERS:
        code = _FORMATS[size]
        if INTEGERS[kind][1]:
            code = code.lower()
        return cast("list[V]", list(struct.unpack(f"<{count}{code}", data)))
    return [kind.decode(data[i * size:(i + 1) * size]) for i in range(count)]


def encode_slice(kind: PodType[V], values: Sequence[V]) -> bytes:
    """The bytes of `values`, one after the other; ValueError if one does not fit."""
    if isinstance(values, (bytes, bytearray)) and INTEGERS.get(kind) == (1, 0):
        return bytes(values)
    if kind in INTEGERS:
        size, signed = INTEGERS[kind]
        code = _FORMATS[size]
        try:
            return struct.pack(f"<{len(values)}{code.lower() if signed else code}", *values)
        except struct.error as error:
            raise ValueError(f"not all of the values fit a {cast(type, kind).__name__}: {error}") from None
    return b"".join(kind.encode(value) for value in values)


class Pod(Struct):
    """A struct of Pod fields without bytes that belong to none (`#[repr(C)] #[derive(Pod)]`).

        class Entry(Pod): ...                   # PodError if alignment leaves gaps
        class Entry(Pod, padding=True): ...     # the gaps become fields _pad1, _pad2, … (`#[padding_struct]`)

    Fields: integers, Bytes, Array, and Nested of another Pod. Anything else (a type in a field's
    place, `flag: bool`, a Field that does not take every byte pattern) raises PodError when the class is made.
    """

    __slots__ = ()

    def __init_subclass__(cls, padding: bool = False, **options: object) -> None:
        super().__init_subclass__(**options)
        for name, kind in cls.__dict__.get("__annotations__", {}).items():
            if name not in vars(cls) and "ClassVar" not in str(kind):
                raise PodError(f"{cls.__name__}.{name}: {kind} is an annotation, not a field of a Pod type")
        for name, value in vars(cls).items():
            if isinstance(value, type) and not name.startswith("__"):
                raise PodError(f"{cls.__name__}.{name}: {value.__name__} is a type, not a field of a Pod type")
        for field in cls.FIELDS:
            if isinstance(field, Nested) and not issubclass(field.kind, Pod):
                raise PodError(f"{cls.__name__}.{field.name}: {field.kind.__name__} is not Pod")
            if not isinstance(field, (Integer, Bytes, Array, Nested)):
                raise PodError(f"{cls.__name__}.{field.name}: {field.describe()} is not Pod")
        if cls.PADDED:
            cls._pad(padding)

    @classmethod
    def _pad(cls, allowed: bool) -> None:
        """Turn the gaps into fields, or refuse the first one."""
        fields: list[Field] = []
        end = 0
        for field in (*cls.FIELDS, None):
            start = cls.SIZE if field is None else field.offset
            if start > end:
                if not allowed:
                    raise PodError(f"{cls.__name__}: bytes {end} to {start - 1} belong to no field; "
                                   "declare them, or give the class padding=True")
                gap = Bytes(start - end)
                gap.offset, gap.name = end, f"_pad{sum(isinstance(f, Bytes) for f in fields) + 1}"
                setattr(cls, gap.name, gap)
                fields.append(gap)
            if field is not None:
                fields.append(field)
                end = field.offset + field.size
        cls.FIELDS, cls.PADDED = tuple(fields), False

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A value from its SIZE bytes; ValueError for another number of bytes."""
        if len(data) != cls.SIZE:
            raise ValueError(f"{cls.__name__}: {len(data)} bytes given, expected {cls.SIZE}")
        return cls.at(Value(bytearray(data)), 0)

    @classmethod
    def encode(cls, value: Struct) -> bytes:
        """The bytes of `value`, which must be of this very type (PodError)."""
        if type(value) is not cls:
            raise PodError(f"{type(value).__name__} given, expected {cls.__name__}")
        return value.to_bytes()


class Array(Field, Generic[V]):
    """`length` values of the Pod type `kind` (`[T; N]`): a field, and itself a Pod type. Its value is a tuple.

    PodError for a `kind` that is not Pod or a negative length.
    """

    def __init__(self, kind: PodType[V], length: int) -> None:
        require_pod(kind)
        if length < 0:
            raise PodError(f"an array of {length} values")
        self.kind, self.length = kind, length
        self.size, self.align = kind.SIZE * length, pod_align(kind)

    @property
    def SIZE(self) -> int:  # noqa: N802 - as the fields' classes have it
        """Bytes of a value."""
        return self.size

    def decode(self, data: bytes) -> tuple[V, ...]:
        """The values in SIZE bytes."""
        return tuple(decode_slice(self.kind, data, self.length))

    def encode(self, value: Sequence[V]) -> bytes:
        """The bytes of `length` values; ValueError for another number of them, or one that does not fit."""
        if len(value) != self.length:
            raise ValueError(f"{len(value)} values given, expected {self.length}")
        return encode_slice(self.kind, value)

    @overload
    def __get__(self, struct: None, owner: type) -> Self: ...

    @overload
    def __get__(self, struct: Struct, owner: type) -> tuple[V, ...]: ...

    def __get__(self, struct: Struct | None, owner: type) -> Self | tuple[V, ...]:
        return self if struct is None else self.decode(struct.memory.read(struct.address + self.offset, self.size))

    def __set__(self, struct: Struct, value: Sequence[V]) -> None:
        struct.memory.write(struct.address + self.offset, self.encode(value))

    def describe(self) -> str:
        """The type, as a type table shows it: `u32[4]`."""
        kind: object = self.kind
        name = kind.describe() if isinstance(kind, Array) else cast(type, kind).__name__
        return f"{name}[{self.length}]"
