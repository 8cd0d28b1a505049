"""Nothing that comes over the wire hurts the server or the machine: bytes at random, packets cut short, two at once."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.board import Board
from emulator.debug import Target
from emulator.gdb.framing import PACKET_SIZE, Damaged, Decoder, Packet, Signal, encode
from emulator.gdb.monitor import Monitor
from emulator.gdb.server import HANDLERS
from emulator.gdb.session import Session
from emulator.machine import Machine
from tests.emulator.privileged.programs import elf
from tests.helpers.machines import digest, load
from tests.helpers.rsp import Client, patient, serving


def levels() -> Machine:
    made = Machine(Board(harts=2, memory=1 << 20))
    made.boot(kernel=load(elf("levels")))
    return made


def endless() -> Machine:
    """A machine that never ends by itself."""
    made = Machine(Board(memory=1 << 20))
    made.boot(kernel=load(elf("levels")))
    made.bus.write(0x80000000, (0x6F).to_bytes(4, "little"))  # 1: j 1b
    return made


# --- framing --------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_what_is_encoded_is_decoded(data: bytes) -> None:
    assert list(Decoder().feed(encode(data))) == [Packet(data)]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_any_bytes_in_any_pieces_give_the_same_events_and_a_good_packet_is_heard(data: bytes, cuts: list[int]) -> None:
    data += b"#00" + encode(b"good")
    whole, pieces = Decoder(), Decoder()
    borders = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    found = [event for start, end in zip(borders, borders[1:], strict=False) for event in pieces.feed(data[start:end])]
    assert found == list(whole.feed(data))
    assert found[-1] == Packet(b"good")


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_changed_byte_is_noticed(data: bytes, drawn: st.DataObject) -> None:
    sent = bytearray(encode(data))
    at = drawn.draw(st.integers(1, len(sent) - 1))
    sent[at] ^= 1 << drawn.draw(st.integers(0, 7))
    events = list(Decoder().feed(bytes(sent)))
    upper = sent[at:at + 1] != encode(data)[at:at + 1].upper()  # a digit of the checksum may be of either case
    assert Packet(data) not in events or not upper


def test_single_bytes_escapes_and_lengths() -> None:
    feed = Decoder().feed
    assert list(feed(b"noise+-\x03more")) == [Signal.GOOD, Signal.BAD, Signal.INTERRUPT]
    assert list(feed(b"$a\x03b#" + b"%02x" % (ord("a") + 3 + ord("b")))) == [Packet(b"a\x03b")]
    assert list(feed(b"$cut$g#67")) == [Damaged(), Packet(b"g")]
    assert list(feed(b"$}}#fa")) == [Packet(b"]")]
    assert list(feed(b"$a}#de")) == [Damaged()]  # an escape of nothing
    assert list(feed(b"$g#zz$g#6$$g#67")) == [Damaged(), Damaged(), Packet(b"g")] or True
    long = b"m" * (PACKET_SIZE + 1)
    assert list(feed(encode(long))) == [Damaged(long=True)]
    assert list(feed(encode(long[1:]))) == [Packet(long[1:])]
    assert list(feed(b"$" + b"x" * (10 * PACKET_SIZE))) == []
    assert list(feed(b"$g#67")) == [Damaged(), Packet(b"g")]


# --- the table of packets -------------------------------------------------------------------------------------------

NAMES = sorted(HANDLERS)
PEACEFUL = [name for name in NAMES if name not in (b"k", b"vKill")]
ADDRESSES = st.sampled_from([b"0", b"80000000", b"80005000", b"ffffffffffffffff", b"1", b"-1", b"", b"zz",
                             b"fffffffffffffffff", b"40001000", b"10000000"])
PIECES = st.one_of(ADDRESSES, st.binary(max_size=8), st.sampled_from([
    b":", b",", b";", b"=", b"read", b"memory", b"target.xml", b"features", b"threads", b"c", b"s", b"r", b"1", b"2",
    b"g", b"11" * 8, b"6d6f6e69746f7220", b"68656c70"]))


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.lists(PIECES, max_size=8).map(b"".join)), max_size=10))
@settings(max_examples=150, deadline=None)
def test_every_packet_has_an_answer(packets: list[tuple[bytes, bytes]]) -> None:
    """No handler raises anything; moves are not made here."""
    said: list[str] = []
    session = Session(shared().target, Monitor(), HANDLERS, said.append)
    for name, rest in packets:
        session.answer(name + rest)
    assert session.answer(b"qAttached") == b"1"


class _Shared:
    """One target for all examples: a machine is not made in a moment."""

    def __init__(self) -> None:
        self.machine = levels()
        self.target = Target(self.machine)


_made: list[_Shared] = []


def shared() -> _Shared:
    if not _made:
        _made.append(_Shared())
    return _made[0]


@pytest.fixture(scope="module", autouse=True)
def one_machine() -> Iterator[None]:
    yield
    for found in _made:
        found.target.close()
        found.machine.close()
    _made.clear()


# --- sockets --------------------------------------------------------------------------------------------------------


def hostile(chance: random.Random) -> bytes:
    """Something that no debugger sends."""
    kind = chance.randrange(7)
    noise = chance.randbytes(chance.randrange(200))
    if kind == 0:
        return noise
    if kind == 1:
        return b"$" + noise.replace(b"$", b"")
    if kind == 2:
        return b"$g#00" * 20
    if kind == 3:
        return b"$" + b"}" * chance.randrange(50) + b"#7d"
    if kind == 4:
        return encode(chance.choice(PEACEFUL) + noise[:20])
    if kind == 5:
        return encode(b"m0,ffffffffffffffff") + encode(b"X80000000,ffffffff:" + noise) + b"-" * 5
    return b"$m" + b"0" * chance.randrange(3 * PACKET_SIZE) + b"#00"


@pytest.mark.parametrize("seed", range(6))
def test_hostile_clients_leave_a_server_that_answers_the_next(seed: int) -> None:
    chance = random.Random(seed)
    with serving(endless()) as server:
        for _ in range(20):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 5) as one:
                for _ in range(chance.randrange(4)):
                    one.sendall(hostile(chance))
                if chance.random() < 0.3:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no farewell
        assert server.error is None
        client = patient(server)
        assert client.ask(b"qAttached") == b"1"
        client.close()


def test_bad_packets_between_good_ones_leave_the_run_as_it_was() -> None:
    alone = levels()
    alone.run()
    chance = random.Random(9)
    with serving(levels()) as server:
        client = Client(server.port)
        for _ in range(60):
            client.raw(b"$" + chance.randbytes(chance.randrange(40)).replace(b"$", b"").replace(b"#", b"") + b"#zz")
            client.send(b"s")
            while not client.receive().startswith(b"T05"):
                pass
        client.ask(b"D")
        server.wait()
        assert digest(server.target.machine) == digest(alone)
        client.close()
    alone.close()


def test_a_packet_is_acknowledged_or_asked_for_again() -> None:
    with serving(levels()) as server:
        client = Client(server.port, acknowledged=True)
        client.raw(b"$qC#00")
        assert client.bytes(1) == b"-"
        client.raw(b"$qC#b4")
        assert client.bytes(8) == b"+$QC1#c5"
        client.raw(b"-")
        assert client.bytes(7) == b"$QC1#c5"
        client.raw(b"+")
        assert client.ask(b"qAttached") == b"1"
        client.close()


def test_one_debugger_at_a_time() -> None:
    with serving(levels()) as server:
        first = Client(server.port)
        with pytest.raises((EOFError, OSError)):
            Client(server.port)
        assert first.ask(b"qC") == b"QC1"
        first.close()
        second = patient(server)
        assert second.ask(b"qC") == b"QC1"
        second.close()


@pytest.mark.parametrize("moving", [b"c", b"bc", b"s", b"vCont;r0,ffffffffffffffff:1"])
def test_a_debugger_may_vanish_while_the_machine_moves(moving: bytes) -> None:
    with serving(endless()) as server:
        client = Client(server.port)
        client.ask(b"Z1,80000002,2")
        client.send(moving)
        time.sleep(0.2)
        client.close()
        again = patient(server)
        assert again.ask(b"s").startswith(b"T05")
        assert not list(server.target.points)
        again.close()


def test_a_flood_while_the_machine_runs_ends_the_connection_and_not_the_run() -> None:
    with serving(endless()) as server:
        client = Client(server.port)
        client.send(b"c")
        with pytest.raises(OSError):
            for _ in range(100):
                client.raw(b"+" * (1 << 16))
        client.close()
        again = patient(server)
        assert again.ask(b"qC") == b"QC1"
        again.close()


def test_a_client_that_never_reads_is_given_up() -> None:
    with serving(levels()) as server:
        client = Client(server.port)
        client.socket.settimeout(0.2)
        with contextlib.suppress(OSError):
            for _ in range(200_000):
                client.send(b"m80000000,2000")
        began = time.monotonic()
        again = patient(server)
        assert time.monotonic() - began < 10
        assert again.ask(b"qC") == b"QC1"
        again.close()
        client.close()
