"""Harts, files, help, and the commands that a gdb's monitor may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator import Snapshot
from hartwell.debug.commands import COMMANDS
from hartwell.debug.script import ScriptError
from hartwell.debug.session import run_command
from tests.helpers.machines import IMAGES, digest

from .debugger import debugging, debugging_kernel, state, symbols

pytestmark = pytest.mark.cross


def test_harts_are_looked_at_one_by_one() -> None:
    with debugging("smp-pingpong", harts=3) as debugger:
        debugger.do("b player", "c")
        assert debugger.session.hart_number in (1, 2)
        for number, hart in enumerate(debugger.machine.harts):
            said = debugger.do(f"hart {number}")
            assert said[0].startswith(f"hart {number}, ") and f"{hart.pc:#x}" in said[-1]
            assert debugger.do("p/x $pc")[0].endswith(f"= {hart.pc:#x}")
            assert debugger.do("info registers sp")[0].split()[1] == f"{hart.read('sp'):#018x}"
        listed = debugger.do("info threads")
        assert listed == debugger.do("hart") and [line[1] for line in listed] == [" ", " ", "*"]
        assert "hart 3: the machine has harts 0 to 2" in debugger.fails("thread 3")


def test_a_step_is_one_of_the_hart_that_is_looked_at() -> None:
    with debugging("smp-pingpong", harts=2) as debugger:
        debugger.do("b player", "c", "delete")
        for number in (0, 1, 0):
            before = [hart.steps for hart in debugger.machine.harts]
            debugger.do(f"hart {number}", "si")
            assert debugger.machine.harts[number].steps == before[number] + 1
            debugger.do("rsi")
            assert debugger.machine.harts[number].steps == before[number]
            assert debugger.session.hart_number == number


def test_save_writes_the_place_that_is_looked_at(tmp_path: Path) -> None:
    with debugging("hello") as debugger:
        debugger.do("b main", "c", "c", "rc")
        path = tmp_path / "main.snap"
        (said,) = debugger.do(f"save {path}")
        assert said.startswith(f"saved in {path}: {path.stat().st_size:,} bytes, after ")
        machine = Snapshot.load(path).machine()
        assert state(machine) == debugger.state() and digest(machine) == digest(debugger.machine)
        machine.close()
        assert "No such file or directory" in debugger.fails("save /nowhere/at/all")
        assert "save to what?" in debugger.fails("snapshot")


def test_source_runs_commands_up_to_the_first_that_fails(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("# a comment\n\ntb main\nc\n")
    outer.write_text(f"source {inner}\nsi\nnonsense\nsi\n")
    with debugging("hello") as debugger:
        with pytest.raises(ScriptError) as caught:
            debugger.session.execute(f"source {outer}")
        assert str(caught.value) == f"{outer}:3: there is no command 'nonsense': help lists them"
        assert debugger.pc == symbols("hello")["main"] + 2
        inner.write_text("tb exit\nc\nfoo\n")
        with pytest.raises(ScriptError, match=f"{inner}:3: there is no command 'foo'"):
            debugger.session.execute(f"source {outer}")
        outer.write_text(f"source {outer}\n")
        assert "16 scripts run one another already" in debugger.fails(f"source {outer}")
        outer.write_bytes(b"\xff\xfe")
        assert "not a text file" in debugger.fails(f"source {outer}")
        assert "No such file" in debugger.fails("source /nowhere")
        assert debugger.session.sources == []


def test_symbols_of_another_program_are_known(tmp_path: Path) -> None:
    with debugging("hello") as debugger:
        assert "timer_done" not in debugger.do("info symbols .")
        elf = IMAGES / "timer" / "timer.elf"
        assert debugger.do(f"symbol-file {elf}")[0].startswith(f"{elf}: ")
        main = symbols("timer")["main"]
        assert debugger.do("p/x main") == [f"$1 = {main:#x}"]  # the last one's
        (tmp_path / "flat").write_bytes(bytes(64))
        assert "no symbols in it" in debugger.fails(f"symbol-file {tmp_path / 'flat'}")
        assert debugger.fails("symbol-file /nowhere")
        debugger.do(f"directory {tmp_path}")
        assert debugger.session.programs.directories[0] == tmp_path
        assert "expected the name of a folder" in debugger.fails("directory /nowhere")


def test_echo_and_quit() -> None:
    with debugging("hello") as debugger:
        assert debugger.do(r"echo one\ttwo") == ["one\ttwo"]
        assert "expected an exit code" in debugger.fails("quit 256")
        assert debugger.session.exit_code is None
        debugger.do("quit 3")
        assert debugger.session.exit_code == 3


def test_help_teaches_every_command() -> None:
    with debugging("hello") as debugger:
        overview = debugger.do("help")
        for command in COMMANDS:
            assert any(line.startswith(f"  {command.name}") and command.summary in line for line in overview)
            lines = debugger.do(f"help {command.name}")
            assert lines[0] == command.usage and command.summary in lines
            for alias in command.aliases:
                assert debugger.do(f"help {alias}") == lines
        assert debugger.do("help info symbols")[0] == "symbols [REGEX]"
        assert "nosuch" in debugger.fails("help nosuch")


@pytest.mark.parametrize(("word", "name"), [
    ("cont", "continue"), ("reverse-c", "reverse-continue"), ("sa", "save"), ("b", "break"), ("fin", "finish"),
    ("rfin", "reverse-finish"), ("back", "backtrace"), ("i", "info"), ("n", "next"), ("s", "step"),
    ("la", "last-write"),
])
def test_the_beginning_of_a_name_will_do(word: str, name: str) -> None:
    assert COMMANDS.find(word).name == name


@pytest.mark.parametrize(("line", "words"), [
    ("re", "'re' could be reverse-continue, reverse-finish, reverse-next, reverse-nexti, reverse-step or rev"),
    ("contineu", "there is no command 'contineu': did you mean continue"), ("!ls", "expected a command, found '!ls'"),
    ("xyzzy", "there is no command 'xyzzy': help lists them"), ("123", "expected a command"),
])
def test_what_is_no_command_is_told_in_a_line(line: str, words: str) -> None:
    with debugging("hello") as debugger:
        assert debugger.fails(line).startswith(words)


def test_an_empty_line_repeats_what_can_be_repeated() -> None:
    with debugging("hello") as debugger:
        debugger.do("tb main", "c", "si")
        debugger.session.repeat()
        assert debugger.pc == symbols("hello")["main"] + 4
        debugger.do("tb exit")
        debugger.session.repeat()
        assert debugger.pc == symbols("hello")["main"] + 4


def test_monitor_offers_what_a_gdb_has_not() -> None:
    with debugging_kernel() as debugger:
        debugger.do("c")
        session = debugger.session
        assert run_command(session, "buddy") == "".join(f"{line}\n" for line in debugger.do("buddy"))
        assert run_command(session, "goto 1000") == "".join(f"{line}\n" for line in debugger.do("goto 1000"))
        assert debugger.machine.instructions == 1000
        for line in ("continue", "b main", "quit", "source x", "set $a0 = 1"):
            assert run_command(session, line).startswith("error: ")
        assert run_command(session, "nonsense") == "error: there is no command 'nonsense': help lists them\n"
        assert run_command(session, "frame 0x1000000000000").startswith("error: frame: ")
        assert debugger.machine.instructions == 1000
        assert session.out == debugger.said.append
        debugger.target.goto(420_000)  # as a gdb's own commands do
        assert run_command(session, "p $pc - $pc") == "$1 = 0\n"
        assert session.previous.steps < session.target.position.steps
        assert "frames" in run_command(session, "diff end")
        offered = {command.name for command in COMMANDS if command.remote}
        assert {"memmap", "pt", "diff", "last-write", "goto", "info", "help", "x", "print", "hart"} <= offered


def test_every_command_refuses_nonsense_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # `save` takes almost anything for the name of a file
    with debugging("hello") as debugger:
        debugger.do("tb main", "c")
        for command in COMMANDS:
            if command.name in ("echo", "type", "info"):
                continue
            for nonsense in ("@!%", "$", "((((", "\x01", "\x00", "9" * 400, "{u64}", "'"):
                try:
                    debugger.session.execute(f"{command.name} {nonsense}")
                except Exception as why:
                    assert type(why).__name__ in ("DebugError", "ScriptError"), (command.name, nonsense, why)
                    assert "\n" not in str(why)
