"""The line discipline, beside the host's own: a pseudoterminal of Linux in the same mode gets the same keys."""

from __future__ import annotations

import os
import select
import termios

import pytest

from kernel.fs.console import Console
from kernel.fs.terminal import INITIAL, TERMIOS
from kernel.fs.wait import WouldBlock
from kernel.mm import VmWriter

KEYS = [b"plain\r", b"abx\x7fc\n", b"\x7f\x7fa\r", b"typed over\x15new\r", b"a\x01b\x7f\x7fc\r", b"no end\x04",
        b"a\r\x04b\r", b"gone\x03kept\r", b"gone\x1ckept\r", b"two\rlines\r", b"half", b"\x04", b"caf\xc3\xa9\r"]


def on_linux(keys: bytes) -> tuple[list[bytes], bytes]:
    """What reads give, and what is echoed."""
    master, slave = os.openpty()
    try:
        iflag, oflag, cflag, lflag, _, special = TERMIOS.unpack(INITIAL)
        mode = termios.tcgetattr(slave)
        mode[0], mode[1], mode[3] = iflag, oflag, lflag
        for place in (termios.VINTR, termios.VQUIT, termios.VERASE, termios.VKILL, termios.VEOF):
            mode[6][place] = special[place:place + 1]
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        os.write(master, keys)
        reads = []
        while select.select([slave], [], [], 0.05)[0]:
            reads.append(os.read(slave, 4096))
        shown = b""
        while select.select([master], [], [], 0.05)[0]:
            shown += os.read(master, 4096)
        return reads, shown.replace(b"\r\n", b"\n")
    finally:
        os.close(master)
        os.close(slave)


def on_ours(keys: bytes) -> tuple[list[bytes], bytes, list[int]]:
    """The same, and the signals."""
    shown, signals = bytearray(), list[int]()
    console = Console(shown.extend, terminal=True)
    console.signal = lambda group, number: signals.append(number)
    console.feed(keys)
    reads = []
    while True:
        buffer = bytearray(4096)
        try:
            reads.append(bytes(buffer[:console.read(VmWriter.from_slice(buffer), False)]))
        except WouldBlock:
            return reads, bytes(shown), signals


@pytest.mark.parametrize("keys", KEYS)
def test_a_line_is_edited_as_linux_does_it(keys: bytes) -> None:
    reads, shown, signals = on_ours(keys)
    theirs, echoed = on_linux(keys)
    assert reads == theirs
    # With a signal, Linux drops the echo that nobody has fetched yet: here all of it that came in the same moment.
    assert shown.endswith(echoed) if signals else shown == echoed
    assert signals == [{3: 2, 0x1C: 3}[key] for key in keys if key in (3, 0x1C)]
