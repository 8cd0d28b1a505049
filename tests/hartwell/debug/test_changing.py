"""Changing the machine, and typing to the guest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hartwell.debug.commands.changing import unescape
from hartwell.debug.errors import DebugError

from .debugger import Debugger, debugging, debugging_kernel, symbols

pytestmark = pytest.mark.cross


@pytest.fixture
def hello() -> Iterator[Debugger]:
    """The image hello, in front of main."""
    with debugging("hello") as made:
        made.do("tb main", "c")
        yield made


def test_set_changes_registers(hello: Debugger) -> None:
    hart = hello.machine.harts[0]
    hello.do("set $a0 = 41 + 1", "set $s3=-1", "set var $t0 = main")
    assert (hart.read("a0"), hart.read("s3"), hart.read("t0")) == (42, 2**64 - 1, symbols("hello")["main"])
    assert hello.do("set $sscratch = 0x1234") == [] and hart.read_csr("sscratch") == 0x1234
    assert hello.do("set $sepc = 3") == ["$sepc is 0x2: fields that do not exist keep their values"]
    hello.do("set $zero = 5")
    assert hart.read("zero") == 0
    hello.do("set $pc = exit", "c")
    assert b"This is hart" not in hello.machine.console  # main was left out


def test_the_guest_goes_on_with_what_was_set(hello: Debugger) -> None:
    hello.do("set $a0 = 7", "c")
    assert b"This is hart 7, in S-mode." in hello.machine.console


def test_set_changes_memory(hello: Debugger) -> None:
    text = hello.do("x/s main+0x7e2")[0]
    address = int(text.split()[0], 16)
    hello.do(f"set {{u8}}{address:#x} = 'J'", f"set {{u16}}({address:#x}+1) = 0x6175", "c")
    assert b"Jualo from Hartwell." in hello.machine.console
    hello.do("set {u64}buffer = -2")
    assert hello.machine.bus.read(symbols("hello")["buffer"], 8) == (2**64 - 2).to_bytes(8, "little")


def test_changed_code_is_what_runs(hello: Debugger) -> None:
    hello.do("set {u32}main = 0x00000513", "set {u16}(main+4) = 0x8082", "c")  # li a0, 0; ret
    assert b"Hello" not in hello.machine.console


def test_a_store_that_cannot_be_whole_is_not_done(hello: Debugger) -> None:
    end = hello.machine.board.banks[0].end
    before = hello.machine.bus.read(end - 4, 4)
    assert "no memory" in hello.fails(f"set {{u64}}{end - 4:#x} = -1")
    assert hello.machine.bus.read(end - 4, 4) == before


def test_changing_the_past_makes_another_future(hello: Debugger) -> None:
    hello.do("mark here", "c", "goto here", "set $a0 = 3")
    assert not hello.target.in_past
    hello.do("c")
    assert b"This is hart 3" in hello.machine.console and b"This is hart 0" not in hello.machine.console
    hello.do("rc", "goto begin", "c")
    assert b"This is hart 3" in hello.machine.console


def test_the_past_of_the_kernel_cannot_be_changed() -> None:
    with debugging_kernel() as debugger:
        debugger.do("c", "goto 1000")
        before = debugger.state()
        assert "the past cannot be changed" in debugger.fails("set $a0 = 1")
        assert "the past cannot be changed" in debugger.fails("set {u8}0x80000000 = 1")
        assert "the past cannot be changed" in debugger.fails("type x")
        assert debugger.state() == before


def test_values_of_ones_own(hello: Debugger) -> None:
    hello.do("set $mine = main + 4", "set $mine = $mine + 2")
    assert hello.do("p $mine - main") == ["$1 = 6"]
    hello.do("b *$mine", "c")
    assert hello.pc == symbols("hello")["main"] + 6
    assert "mien" in hello.fails("p $mien")


@pytest.mark.parametrize(("line", "words"), [
    ("set", "expected $NAME = EXPR"), ("set $a0", "expected $NAME = EXPR"), ("set $a0 = ", "expected $NAME = EXPR"),
    ("set main = 3", "main cannot be set"), ("set {u9}main = 3", "cannot be set"),
    ("set $priv = 2", "expected 0 for U"),
    ("set $pc = main+1", "even addresses"), ("set context maybe", "expected on or off"), ("set $a0 = x", "x"),
    ("set $a0 == 3", "expected $NAME = EXPR"), ("type", "type what?"), (r"type \q", r"\q: expected one of"),
    ("type end\\", "expected one of"),
])
def test_what_cannot_be_set_changes_nothing(hello: Debugger, line: str, words: str) -> None:
    before = hello.state()
    assert words in hello.fails(line)
    assert hello.state() == before and not hello.target.in_past


def test_set_context(hello: Debugger) -> None:
    hello.do("set context on")
    assert hello.do("si")[0].startswith("--- hart 0")
    hello.do("set context off")
    assert hello.do("si")[0].startswith("hart 0")


def test_typed_text_is_the_guests() -> None:
    with debugging("uart-echo", typed=False) as debugger:
        debugger.do("c", r"type one \x41\n", "c")
        assert b"one A" in debugger.machine.console
        debugger.do("mark before", r"type quit\n", "c")
        assert debugger.target.ended is not None
        debugger.do("goto before")
        assert debugger.target.in_past
        debugger.do("c")  # what was typed is typed again
        assert debugger.target.ended is not None and debugger.machine.console.count(b"one A") == 1


def test_escapes_are_cs() -> None:
    assert unescape(r"a\n\t\\\x41\0") == "a\n\t\\A\0"
    assert unescape(r"\xff").encode("utf-8", "surrogateescape") == b"\xff"
    with pytest.raises(DebugError, match="expected one of"):
        unescape(r"\x4")
