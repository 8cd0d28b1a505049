"""Declared layouts: structs whose fields lie where their declaration says, in bytes or in emulated memory.

    class Point(Struct):
        x = u32()
        y = u32()

    Point(x=1, y=2).to_bytes()          # a value of its own
    Point.at(port, 0x8040_0000).y = 7   # the struct that lies at this physical address

Fields are laid out as repr(C) does: in order, each aligned to its size. `Struct.SIZE` and `Struct.ALIGN`
are in bytes; `Point.y.offset` is a field's place.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, Self, TypeVar, overload

T = TypeVar("T", bound="Struct")


class Words(Protocol):
    """Something that words can be loaded from and stored to; a MemoryPort is one."""

    def load_sized(self, address: int, size: int) -> int: ...

    def store_sized(self, address: int, size: int, value: int) -> None: ...

    def read(self, address: int, size: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...


class Value:
    """The memory of a struct that is a value of its own."""

    __slots__ = ("data",)

    def __init__(self, data: bytearray) -> None:
        self.data = data

    def load_sized(self, address: int, size: int) -> int:
        return int.from_bytes(self.data[address:address + size], "little")

    def store_sized(self, address: int, size: int, value: int) -> None:
        self.data[address:address + size] = value.to_bytes(size, "little")

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.data[address:address + size])

    def write(self, address: int, data: bytes) -> None:
        self.data[address:address + len(data)] = data


class Field:
    """A field of a Struct: `offset`, `size` and `align` in bytes, and its `name`."""

    size: int = 0
    align: int = 1
    offset: int = 0
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def describe(self) -> str:
        """The field's type, as a type table shows it."""
        return type(self).__name__


class Integer(Field):
    """An integer of SIZE bytes; also usable as a type (`reader.read_val(u32)`)."""

    SIZE: ClassVar[int] = 8
    SIGNED: ClassVar[bool] = False

    def __init__(self) -> None:
        self.size = self.align = self.SIZE

    @overload
    def __get__(self, struct: None, owner: type) -> Self: ...

    @overload
    def __get__(self, struct: Struct, owner: type) -> int: ...

    def __get__(self, struct: Struct | None, owner: type) -> Self | int:
        if struct is None:
            return self
        value = struct.memory.load_sized(struct.address + self.offset, self.SIZE)
        return value - (1 << 8 * self.SIZE) if self.SIGNED and value >> (8 * self.SIZE - 1) else value

    def __set__(self, struct: Struct, value: int) -> None:
        low = -(1 << 8 * self.SIZE - 1) if self.SIGNED else 0
        if not low <= value < low + (1 << 8 * self.SIZE):
            raise ValueError(f"{self.name}: {value} does not fit a {type(self).__name__}")
        struct.memory.store_sized(struct.address + self.offset, self.SIZE, value & ((1 << 8 * self.SIZE) - 1))

    @classmethod
    def decode(cls, data: bytes) -> int:
        """The integer in SIZE bytes."""
        return int.from_bytes(data, "little", signed=cls.SIGNED)

    @classmethod
    def encode(cls, value: int) -> bytes:
        """The bytes of `value`; ValueError if it does not fit."""
        try:
            return value.to_bytes(cls.SIZE, "little", signed=cls.SIGNED)
        except OverflowError:
            raise ValueError(f"{value} does not fit a {cls.__name__}") from None


class u8(Integer):
    """An unsigned byte."""

    SIZE = 1


class u16(Integer):
    """An unsigned 16-bit integer."""

    SIZE = 2


class u32(Integer):
    """An unsigned 32-bit integer."""

    SIZE = 4


class u64(Integer):
    """An unsigned 64-bit integer."""


class i8(Integer):
    """A signed byte."""

    SIZE, SIGNED = 1, True


class i16(Integer):
    """A signed 16-bit integer."""

    SIZE, SIGNED = 2, True


class i32(Integer):
    """A signed 32-bit integer."""

    SIZE, SIGNED = 4, True


class i64(Integer):
    """A signed 64-bit integer."""

    SIGNED = True


class usize(Integer):
    """An unsigned word of the machine: 64 bits."""


class Bytes(Field):
    """An array of `length` bytes; the value is a `bytes` of that length."""

    def __init__(self, length: int) -> None:
        self.size = length

    @overload
    def __get__(self, struct: None, owner: type) -> Self: ...

    @overload
    def __get__(self, struct: Struct, owner: type) -> bytes: ...

    def __get__(self, struct: Struct | None, owner: type) -> Self | bytes:
        return self if struct is None else struct.memory.read(struct.address + self.offset, self.size)

    def __set__(self, struct: Struct, value: bytes) -> None:
        if len(value) != self.size:
            raise ValueError(f"{self.name}: {len(value)} bytes given, expected {self.size}")
        struct.memory.write(struct.address + self.offset, value)

    def describe(self) -> str:
        return f"u8[{self.size}]"


class Nested(Field):
    """A struct inside a struct; the value is a view of it."""

    def __init__(self, kind: type[Struct]) -> None:
        self.kind = kind
        self.size, self.align = kind.SIZE, kind.ALIGN

    @overload
    def __get__(self, struct: None, owner: type) -> Self: ...

    @overload
    def __get__(self, struct: Struct, owner: type) -> Struct: ...

    def __get__(self, struct: Struct | None, owner: type) -> Self | Struct:
        return self if struct is None else self.kind.at(struct.memory, struct.address + self.offset)

    def __set__(self, struct: Struct, value: Struct) -> None:
        if type(value) is not self.kind:
            raise ValueError(f"{self.name}: {type(value).__name__} given, expected {self.kind.__name__}")
        struct.memory.write(struct.address + self.offset, value.to_bytes())

    def describe(self) -> str:
        return self.kind.__name__


class Struct:
    """A struct of declared fields; fields not named at construction are 0. Subclasses append fields.

    TypeError for a field that would hide something else: `address`, an inherited field, a method.
    """

    SIZE: ClassVar[int] = 0
    ALIGN: ClassVar[int] = 1
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    PADDED: ClassVar[bool] = False
    """Whether alignment leaves bytes that belong to no field."""

    __slots__ = ("address", "memory")

    memory: Words
    address: int

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        fields = list(cls.FIELDS)
        end = fields[-1].offset + fields[-1].size if fields else 0
        align = cls.ALIGN
        for name, field in vars(cls).items():
            if isinstance(field, Field):
                if any(hasattr(base, name) for base in cls.__bases__):
                    raise TypeError(f"{cls.__name__}.{name}: the name is taken, by what every "
                                    f"{cls.__bases__[0].__name__} has")
                field.offset = -(-end // field.align) * field.align
                end = field.offset + field.size
                align = max(align, field.align)
                fields.append(field)
        cls.FIELDS, cls.ALIGN, cls.SIZE = tuple(fields), align, -(-end // align) * align
        cls.PADDED = sum(field.size for field in fields) != cls.SIZE

    def __init__(self, **values: object) -> None:
        self.memory = Value(bytearray(self.SIZE))
        self.address = 0
        for name, value in values.items():
            if not isinstance(getattr(type(self), name, None), Field):
                raise TypeError(f"{type(self).__name__} has no field {name}")
            setattr(self, name, value)

    @classmethod
    def at(cls, memory: Words, address: int) -> Self:
        """The struct that lies at `address` of `memory`: reading and setting fields goes there."""
        view = cls.__new__(cls)
        view.memory, view.address = memory, address
        return view

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A value from its SIZE bytes."""
        value = cls()
        value.memory = Value(bytearray(data))
        return value

    @classmethod
    def encode(cls, value: Struct) -> bytes:
        """The bytes of `value`."""
        return value.to_bytes()

    def to_bytes(self) -> bytes:
        """The struct's bytes."""
        return self.memory.read(self.address, self.SIZE)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Struct) and other.to_bytes() == self.to_bytes()

    def __hash__(self) -> int:
        return hash((type(self), self.to_bytes()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in self.FIELDS)
        return f"{type(self).__name__}({fields})"

    @classmethod
    def describe(cls) -> str:
        """The layout in words: `next:u64,prev:u64,order:u32`."""
        return ",".join(f"{field.name}:{field.describe()}" for field in cls.FIELDS)
