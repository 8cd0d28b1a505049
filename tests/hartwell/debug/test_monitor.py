"""The debugger's commands at a gdb's monitor: `hartwell boot --gdb`, spoken to as gdb does."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hartwell.conftest import COMMAND, environment
from tests.helpers.rsp import Client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client at the server of a boot of Hartwell's kernel, which is held."""
    with subprocess.Popen([*COMMAND, "boot", "-m", "32M", "--gdb", "0", "-S"], cwd=tmp_path, env=environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        found = None
        while found is None:
            line = process.stderr.readline().decode()
            assert line
            found = re.search(r"target remote \S+:(\d+)'", line)
        made = Client(int(found[1]))
        yield made
        made.close()
        process.kill()


def test_it_looks_and_remembers_and_follows(client: Client) -> None:
    assert "has not begun to boot" in client.say("memmap")
    client.say("stop-at stage:boot-info")
    assert client.ask(b"c").startswith(b"T05")
    context = client.say("context")
    assert context.startswith("--- hart 0, S-mode, after ") and "satp sv48" in context
    assert "kernel-page-table" in client.say("info stages")
    assert client.say("mark before").startswith("before: after ")
    client.say("pass-by")
    client.say("stop-at stage:smp")
    assert client.ask(b"c").startswith(b"T05")
    changed = client.say("diff before")
    assert "frames: " in changed and "slots of 256 bytes" in changed
    assert client.say("diff") == changed  # the last stop is that of the server
    assert client.say("p/x main").startswith("error: ")
    assert client.say("pt _start").startswith("page table: ")
    assert client.say("continue") == "error: continue is not for monitor: gdb has commands of its own for that\n"
    help_ = client.say("help")
    assert "last-write" in help_ and "diff [A [B]]" in help_ and "context" in help_
    assert client.ask(b"p20") == int(client.say("p $pc").split()[2]).to_bytes(8, "little").hex().encode()
