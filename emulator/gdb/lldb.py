"""Packets that only LLDB sends. Source: LLDB's documentation, "GDB Remote Protocol Extensions"."""

from __future__ import annotations

from .memory import PAGE
from .session import Handler, Session
from .wire import number, tohex

TRIPLE = tohex(b"riscv64-unknown-elf")


def host(_session: Session, _rest: bytes) -> bytes:
    """qHostInfo: what the machine is."""
    return b"triple:%s;endian:little;ptrsize:8;watchpoint_exceptions_received:before;" % TRIPLE


def process(_session: Session, _rest: bytes) -> bytes:
    """qProcessInfo: the machine as a process."""
    return b"pid:1;triple:%s;ostype:unknown;endian:little;ptrsize:8;" % TRIPLE


def list_threads(session: Session, _rest: bytes) -> bytes:
    """QListThreadsInStopReply: stop replies have the threads and where they are."""
    session.lists_threads = True
    return b"OK"


def region(session: Session, rest: bytes) -> bytes:
    """qMemoryRegionInfo:ADDRESS: whether there is memory in the page of an address, with no word on its neighbours."""
    page = number(rest.removeprefix(b":"), "address") & ~(PAGE - 1)
    there = session.memory.physical_of(session.looked_at, page, PAGE) is not None
    return b"start:%x;size:%x;%s" % (page, PAGE, b"permissions:rwx;" if there else b"")


def threads(session: Session) -> bytes:
    """What a stop reply says of threads when LLDB has asked for it."""
    harts = session.machine.harts
    return b"threads:%s;thread-pcs:%s;" % (b",".join(b"%x" % (hart.id + 1) for hart in harts),
                                          b",".join(b"%x" % hart.pc for hart in harts))


HANDLERS: dict[bytes, Handler] = {
    b"qHostInfo": host, b"qProcessInfo": process, b"QListThreadsInStopReply": list_threads,
    b"qMemoryRegionInfo": region,
}
