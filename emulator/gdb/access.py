"""Packets about registers and memory: g G p P m M X, and searches and checksums."""

from __future__ import annotations

from . import registers
from .framing import PACKET_SIZE
from .session import Handler, Session
from .wire import Code, PacketError, data, number, numbers, tohex

LONGEST_READ = PACKET_SIZE // 2


def read_all(session: Session, _rest: bytes) -> bytes:
    """g: the general registers."""
    return tohex(b"".join(registers.read(session.machine, session.hart, one) for one in registers.GENERAL))


def write_all(session: Session, rest: bytes) -> bytes:
    """G: the general registers; all of them are checked before the first is set."""
    values, size = data(rest, "registers"), registers.SIZE
    if len(values) != size * len(registers.GENERAL):
        raise PacketError(Code.MALFORMED, f"{len(values)} bytes of registers: expected "
                                          f"{size * len(registers.GENERAL)}")
    new = {one: values[size * one.number:size * (one.number + 1)] for one in registers.GENERAL}
    for one, value in new.items():
        registers.check(one, value)
    session.target.changing()
    for one, value in new.items():
        registers.write(session.machine, session.hart, one, value)
    return b"OK"


def read_one(session: Session, rest: bytes) -> bytes:
    """p N: a register."""
    return tohex(registers.read(session.machine, session.hart, registers.register(number(rest, "register"))))


def write_one(session: Session, rest: bytes) -> bytes:
    """P N=VALUE: set a register."""
    which, _, digits = rest.partition(b"=")
    one, value = registers.register(number(which, "register")), data(digits, "value")
    registers.check(one, value)
    session.target.changing()
    registers.write(session.machine, session.hart, one, value)
    return b"OK"


def read_memory(session: Session, rest: bytes) -> bytes:
    """m ADDRESS,LENGTH: memory, as far as there is any."""
    address, size = numbers(rest, "address", "length")
    return tohex(session.memory.read(session.looked_at, address, min(size, LONGEST_READ)))


def write_memory(session: Session, rest: bytes) -> bytes:
    """M ADDRESS,LENGTH:DATA: set memory."""
    where, _, digits = rest.partition(b":")
    return _write(session, where, data(digits, "data"))


def write_binary(session: Session, rest: bytes) -> bytes:
    """X ADDRESS,LENGTH:DATA: the same, with bytes as they are."""
    where, _, contents = rest.partition(b":")
    return _write(session, where, contents)


def _write(session: Session, where: bytes, contents: bytes) -> bytes:
    address, size = numbers(where, "address", "length")
    if size != len(contents):
        raise PacketError(Code.MALFORMED, f"{len(contents)} bytes of data: expected {size}")
    if contents:
        session.memory.check(session.looked_at, address, size)
        session.target.changing()
        session.memory.write(session.looked_at, address, contents)
    return b"OK"


def search(session: Session, rest: bytes) -> bytes:
    """qSearch:memory:ADDRESS;LENGTH;PATTERN: 1,ADDRESS where the pattern is, or 0."""
    kind, _, what = rest.removeprefix(b":").partition(b":")
    parts = what.split(b";", 2)
    if kind != b"memory" or len(parts) != 3 or not parts[2]:
        raise PacketError(Code.MALFORMED, "a search: expected memory:ADDRESS;LENGTH;PATTERN")
    found = session.memory.search(session.looked_at, number(parts[0], "address"), number(parts[1], "length"), parts[2])
    return b"0" if found is None else b"1,%x" % found


def checksum(session: Session, rest: bytes) -> bytes:
    """qCRC:ADDRESS,LENGTH: C and the checksum of memory."""
    address, size = numbers(rest.removeprefix(b":"), "address", "length")
    return b"C%08x" % session.memory.crc(session.looked_at, address, size)


def physical(session: Session, rest: bytes) -> bytes:
    """Qqemu.PhyMemMode:0|1: whether addresses are physical (QEMU's packet)."""
    if rest not in (b":0", b":1"):
        raise PacketError(Code.MALFORMED, "PhyMemMode: expected 0 or 1")
    session.memory.physical = rest == b":1"
    return b"OK"


def is_physical(session: Session, _rest: bytes) -> bytes:
    """qqemu.PhyMemMode: whether they are."""
    return b"%d" % session.memory.physical


HANDLERS: dict[bytes, Handler] = {
    b"g": read_all, b"G": write_all, b"p": read_one, b"P": write_one,
    b"m": read_memory, b"M": write_memory, b"X": write_binary,
    b"qSearch": search, b"qCRC": checksum, b"Qqemu.PhyMemMode": physical, b"qqemu.PhyMemMode": is_physical,
}
