"""Every packet by itself: what a debugger may ask, and what it is told when it asks for nonsense."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from emulator.board import Board
from emulator.debug import BreakAt
from emulator.gdb.memory import crc32_msb
from emulator.machine import Machine
from emulator.stop import Exited, Interrupted
from tests.emulator.privileged.programs import elf
from tests.helpers.machines import digest, image, load
from tests.helpers.rsp import Client, Serving, patient, serving


def levels(harts: int = 1) -> Machine:
    made = Machine(Board(harts=harts, memory=16 << 20))
    made.boot(kernel=load(elf("levels")))
    return made


@pytest.fixture
def server() -> Iterator[Serving]:
    with serving(levels()) as found:
        yield found


@pytest.fixture
def client(server: Serving) -> Iterator[Client]:
    made = Client(server.port)
    yield made
    made.close()


def register(client: Client, number: int) -> int:
    return int.from_bytes(bytes.fromhex(client.ask(b"p%x" % number).decode()), "little")


def pc(client: Client) -> int:
    return register(client, 32)


def test_the_server_says_what_it_can(client: Client) -> None:
    said = client.ask(b"qSupported:swbreak+;xmlRegisters=i386").split(b";")
    assert said[0] == b"PacketSize=4000"
    assert {b"QStartNoAckMode+", b"qXfer:features:read+", b"qXfer:memory-map:read+", b"qXfer:threads:read+",
            b"vContSupported+", b"swbreak+", b"hwbreak+", b"ReverseStep+", b"ReverseContinue+"} == set(said[1:])
    assert client.ask(b"vCont?") == b"vCont;c;C;s;S;r"
    assert client.ask(b"vMustReplyEmpty") == b""
    assert client.ask(b"qAttached") == b"1"
    assert client.ask(b"qC") == b"QC1"


def test_the_target_description_has_each_register_once_and_where_g_has_it(client: Client) -> None:
    text = read(client, b"features:read:target.xml")
    tree = ElementTree.fromstring(text)
    assert tree.findtext("architecture") == "riscv:rv64"
    registers = [(int(reg.attrib["regnum"]), reg.attrib["name"]) for reg in tree.iter("reg")]
    assert [number for number, _ in registers] == list(range(len(registers)))
    names = [name for _, name in registers]
    assert len(set(names)) == len(names)
    assert names[:3] + names[32:34] + names[-1:] == ["zero", "ra", "sp", "pc", "ft0", "priv"]
    assert [feature.attrib["name"].rpartition(".")[2] for feature in tree.iter("feature")] == [
        "cpu", "fpu", "csr", "virtual"]
    everything = client.ask(b"g").decode()
    assert len(everything) == 65 * 16
    for number in range(65):
        assert client.ask(b"p%x" % number).decode() == everything[16 * number:16 * (number + 1)]
    for number in range(65, len(names)):
        assert len(client.ask(b"p%x" % number)) == 16, names[number]


def read(client: Client, what: bytes) -> str:
    """A document, in pieces."""
    text, more = b"", b"m"
    while more == b"m":
        answer = client.ask(b"qXfer:%b:%x,100" % (what, len(text)))
        more, text = answer[:1], text + answer[1:]
    assert more == b"l"
    return text.decode()


def test_documents_come_in_pieces_and_wrong_ones_are_refused(client: Client) -> None:
    threads = ElementTree.fromstring(read(client, b"threads:read:"))
    assert [thread.attrib for thread in threads] == [{"id": "1", "core": "0", "name": "hart 0"}]
    assert threads[0].text == "M-mode"
    parts = [(int(part.attrib["start"], 0), int(part.attrib["length"], 0))
             for part in ElementTree.fromstring(read(client, b"memory-map:read:"))]
    assert [start for start, _ in parts] == [0, *(start + length for start, length in parts)][:-1]
    assert sum(length for _, length in parts) == 1 << 64
    assert client.ask(b"qXfer:features:read:target.xml:fffff,100") == b"l"
    assert client.ask(b"qXfer:features:read:other.xml:0,100") == b"E00"
    assert client.ask(b"qXfer:auxv:read::0,100") == b""
    assert client.ask(b"qXfer:features:read:target.xml:0") == b"E16"


def test_registers_are_checked_before_any_is_set(client: Client) -> None:
    before = client.ask(b"g")
    assert client.ask(b"G" + before[:-2]) == b"E16"
    odd = bytearray(b"11" * 8 * 65)
    assert client.ask(b"G" + odd) == b"E16"  # an odd pc
    assert client.ask(b"g") == before
    assert client.ask(b"P20=0000008000000000") == b"OK"
    assert pc(client) == 0x80000000
    assert client.ask(b"P0=ffffffffffffffff") == b"OK"
    assert register(client, 0) == 0
    for wrong in (b"P20", b"P20=00", b"Pzz=0000000000000000", b"Pfff=0000000000000000", b"P20=000000800000000",
                  b"p", b"pffff", b"p-1"):
        assert client.ask(wrong) in (b"E16", b"E02"), wrong


def test_memory_is_all_or_nothing_to_writes(client: Client) -> None:
    end = 0x80000000 + (16 << 20)
    assert client.ask(b"m%x,8" % (end - 4)) == b"00000000"
    assert client.ask(b"m%x,8" % end) == b"E0e"
    assert client.ask(b"M%x,8:%b" % (end - 4, b"11" * 8)) == b"E0e"
    assert client.ask(b"m%x,4" % (end - 4)) == b"00000000"
    assert client.ask(b"M%x,4:11223344" % (end - 4)) == b"OK"
    assert client.ask(b"X%x,3:a}\x03}]" % (end - 4)) == b"OK"
    assert client.ask(b"m%x,4" % (end - 4)) == b"61237d44"
    assert client.ask(b"X%x,0:" % end) == b"OK"  # GDB asks whether there is such a packet
    assert client.ask(b"m80000000,0") == b""
    assert len(client.ask(b"m80000000,ffffffffffff")) == 0x4000
    assert client.ask(b"m10000000,8") == b"E0e"  # a UART: no memory
    for wrong in (b"m", b"m80000000", b"m80000000,", b"m,4", b"mxyz,4", b"m80000000,4,4", b"M80000000,4:112233",
                  b"M80000000,2:1", b"X80000000,2:1", b"m11111111111111111,1"):
        assert client.ask(wrong) == b"E16", wrong


def test_searches_and_checksums(client: Client, server: Serving) -> None:
    ram = server.target.machine.bus
    ram.write(0x80300ffe, b"ne#edle")
    assert client.ask(b"qSearch:memory:80300000;2000;ne}\x03edle") == b"1,80300ffe"
    assert client.ask(b"qSearch:memory:80300fff;2000;ne}\x03edle") == b"0"
    assert client.ask(b"qSearch:memory:80f00000;fffff000;x") == b"0"  # to the end of memory, and no further
    ram.write(0x80400000 - 3, b"straddle")  # between two strides
    assert client.ask(b"qSearch:memory:80300000;200000;straddle") == b"1,803ffffd"
    assert client.ask(b"qCRC:80300ffe,7") == b"C%08x" % crc32_msb(0xFFFFFFFF, b"ne#edle")
    assert client.ask(b"qCRC:80ffffff,2") == b"E0e"
    for wrong in (b"qSearch:memory:0;0;", b"qSearch:memory:0", b"qSearch:files:0;1;x", b"qCRC:1", b"qCRC",
                  b"qCRC:0,fffffffff"):
        assert client.ask(wrong) == b"E16", wrong


def test_the_checksum_is_gdbs() -> None:
    # CRC-32/MPEG-2 (catalogue of parametrised CRC algorithms): "123456789" gives 0x0376E6E7.
    assert crc32_msb(0xFFFFFFFF, b"123456789") == 0x0376E6E7
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert crc32_msb(crc32_msb(0xFFFFFFFF, b"1234"), b"56789") == 0x0376E6E7


def test_steps_and_ranges_of_them(client: Client) -> None:
    assert client.ask(b"s").startswith(b"T05")
    assert pc(client) == 0x1004
    assert client.ask(b"vCont;s:1").startswith(b"T05")
    assert client.ask(b"vCont;r1000,1018:1").startswith(b"T05")
    assert pc(client) == 0x80000000
    assert client.ask(b"bs").startswith(b"T05")
    assert client.ask(b"S05").startswith(b"T05")
    assert client.ask(b"C05;80000054").startswith(b"T05")
    for wrong in (b"vCont", b"vCont;x", b"vCont;s:9", b"vCont;s:zz", b"vCont;r1:1", b"b", b"bx", b"Czz", b"c1",
                  b"sxyz"):
        assert client.ask(wrong).startswith((b"E.", b"E0", b"E1")), wrong


def test_points_and_wrong_ones(client: Client) -> None:
    assert client.ask(b"Z0,80000060,4") == b"OK"
    answer = client.ask(b"c")
    assert answer.startswith(b"T05")
    assert b"swbreak:;" in answer
    assert b"thread:1;" in answer
    assert b"20:6000008000000000;" in answer
    assert client.ask(b"z0,80000060,2") == b"OK"
    assert client.ask(b"Z1,800000f0,4") == b"OK"
    assert b"hwbreak:;" in client.ask(b"vCont;c")
    assert client.ask(b"Z4,80005000,8") == b"OK"
    assert b"awatch:80005000;" in client.ask(b"c")
    assert client.ask(b"z4,80005000,8") == b"OK"
    assert client.ask(b"z4,80005000,8") == b"OK"
    for wrong in (b"Z", b"Z0", b"Z0,80000000", b"Z5,0,4", b"Z2,0,0", b"Z2,ffffffffffffffff,2", b"Z3,0,fffff", b"z,,"):
        assert client.ask(wrong).startswith(b"E."), wrong


def test_too_many_points_are_refused(client: Client) -> None:
    for number in range(256):
        assert client.ask(b"Z0,%x,2" % (0x80700000 + 2 * number)) == b"OK"
    assert client.ask(b"Z0,80000060,2") == b"E.there are 256 breakpoints already, and can be no more"
    assert client.ask(b"Z1,80700000,2") == b"OK"  # the same place
    for number in range(32):
        assert client.ask(b"Z2,%x,2" % (0x80700000 + 2 * number)) == b"OK"
    assert client.ask(b"Z2,80000060,2") == b"E.there are 32 watchpoints already, and can be no more"
    assert client.ask(b"z0,80700002,2") == b"OK"
    assert client.ask(b"Z0,80000060,2") == b"OK"
    assert b"swbreak" in client.ask(b"c")


def test_a_watched_virtual_address_stays_where_it_was_in_memory(client: Client) -> None:
    client.ask(b"Z0,40001000,4")
    client.ask(b"c")
    assert client.ask(b"Z2,ffffffc000005000,8") == b"OK"  # the supervisor's name for 0x80005000
    answer = client.ask(b"c")
    assert b"watch:ffffffc000005000;" in answer
    client.ask(b"z2,ffffffc000005000,8")
    client.ask(b"Z0,800000f0,4")
    while pc(client) != 0x800000F0:
        client.ask(b"bc")
    client.ask(b"z0,800000f0,4")
    client.ask(b"z0,40001000,4")
    assert client.ask(b"Z2,ffffffc000005000,8") == b"OK"  # asked for again where nothing is mapped there
    assert b"watch:ffffffc000005000;" in client.ask(b"c")


def test_threads_are_harts() -> None:
    with serving(levels(harts=3)) as server:
        client = Client(server.port)
        assert client.ask(b"qfThreadInfo") == b"m1,2,3"
        assert client.ask(b"qsThreadInfo") == b"l"
        assert bytes.fromhex(client.ask(b"qThreadExtraInfo,3").decode()) == b"hart 2: M-mode"
        assert client.ask(b"T3") == b"OK"
        assert client.ask(b"T4") == b"E03"
        assert client.ask(b"Hg3") == b"OK"
        client.ask(b"s")
        assert register(client, 32) == 0x1004
        assert client.ask(b"Hg1") == b"OK"
        assert client.ask(b"Hg0") == b"OK"
        assert client.ask(b"Hc-1") == b"OK"
        assert client.ask(b"qC") == b"QC1"
        assert register(client, 32) == 0x1000
        assert client.ask(b"Hg2") == b"OK"
        assert register(client, 32) != 0x1000  # it had its turn before
        for wrong in (b"H", b"Hg", b"Hx1", b"Hg4", b"Tx", b"T", b"qThreadExtraInfo,9", b"qThreadExtraInfo"):
            assert client.ask(wrong) in (b"E03", b"E16"), wrong
        client.close()


def test_the_end_is_a_stop_first_and_then_an_end(server: Serving) -> None:
    client = Client(server.port)
    client.send(b"c")
    assert bytes.fromhex(client.receive()[1:].decode()).startswith(b"The run is over: the guest exited with code 0.")
    assert client.receive().startswith(b"T05")
    assert client.ask(b"bc").endswith(b"replaylog:begin;")
    assert client.ask(b"?").endswith(b"replaylog:begin;")
    assert client.ask(b"c").startswith(b"T05")
    assert client.ask(b"c") == b"W00"
    assert server.wait() == Exited(0)
    with pytest.raises(EOFError):
        client.receive()
    client.close()


def test_a_debugger_that_stays_may_start_again(server: Serving) -> None:
    client = Client(server.port)
    assert client.ask(b"!") == b"OK"
    client.ask(b"c")
    assert client.ask(b"c") == b"W00"
    assert client.ask(b"?") == b"W00"
    assert client.ask(b"vRun;").startswith(b"T05")
    assert pc(client) == 0x1000
    client.ask(b"c")
    assert client.ask(b"vKill;1") == b"OK"
    assert server.wait() == Interrupted()
    client.close()


def test_an_interrupt_stops_a_running_machine_forwards_and_backwards() -> None:
    with serving(image("bad-loop").boot(), held=False) as server:
        client = Client(server.port)
        client.send(b"c")
        client.raw(b"\x03")
        assert client.receive().startswith(b"T02")
        client.raw(b"\x03")  # it stands still already
        assert client.ask(b"qC") == b"QC1"
        client.ask(b"Z1,1234,2")
        client.send(b"bc")
        client.raw(b"\x03")
        assert client.receive()[:3] in (b"T02", b"T05")  # before it has come to the beginning, or just not
        client.ask(b"D")
        client.close()
        assert server.stop is None


def test_detached_machines_run_on_to_the_same_end() -> None:
    alone = levels()
    alone.run()
    with serving(levels()) as server:
        client = Client(server.port)
        client.ask(b"Z0,80000060,4")
        client.ask(b"c")
        client.ask(b"bs")
        client.ask(b"D")
        client.close()
        assert server.wait() == Exited(0)
        assert digest(server.target.machine) == digest(alone)
        assert server.told == ["the debugger has detached; the machine runs on"]
    alone.close()


def test_lldbs_packets(client: Client) -> None:
    assert client.ask(b"qHostInfo").startswith(b"triple:" + b"riscv64-unknown-elf".hex().encode())
    assert b"pid:1;" in client.ask(b"qProcessInfo")
    assert client.ask(b"QListThreadsInStopReply") == b"OK"
    assert client.ask(b"s").endswith(b"threads:1;thread-pcs:1004;")
    assert client.ask(b"qMemoryRegionInfo:80000123") == b"start:80000000;size:1000;permissions:rwx;"
    assert client.ask(b"qMemoryRegionInfo:10000000") == b"start:10000000;size:1000;"
    assert client.ask(b"qMemoryRegionInfo:") == b"E16"


def test_points_of_others_outlive_a_debugger_and_stop_it(server: Serving) -> None:
    other = server.target.points.add(BreakAt(0x80000060))
    client = Client(server.port)
    assert client.ask(b"Z0,800000f0,4") == b"OK"
    assert client.say("stop-at stage:*") == "stops at stage:*\n"
    assert client.ask(b"c").startswith(b"T05")
    assert pc(client) == 0x80000060
    client.ask(b"c")
    assert len(server.target.points) == 3
    client.close()
    client = patient(server)
    assert list(server.target.points) == [other]
    client.close()
