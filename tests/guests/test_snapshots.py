"""Debian's Linux, stopped in the middle of its boot: it goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator import Machine, Snapshot
from emulator.stop import Exited, Matched
from tests.helpers.machines import digest

from .machines import talk
from .test_linux import OURS, linux

pytestmark = pytest.mark.guest


@pytest.mark.timeout(300)
@pytest.mark.parametrize("harts", [1, 2])
def test_linux_goes_on_from_any_point_of_its_boot(harts: int, tmp_path: Path) -> None:
    made, again = linux(harts, OURS, "bench"), linux(harts, OURS, "bench")
    kept: list[Snapshot] = []
    for text, more in ((b"Memory:", 12_345), (b"workingset", 3_000_001), (b"Run /init", 777_777), (b"BOOT-OK", 5)):
        assert made.expect(text, timeout=60) == Matched()
        made.run(max_insns=more)
        kept.append(made.snapshot())
    assert made.run(timeout=60) == Exited(0)
    expected = digest(made)
    for snapshot in (kept[2], kept[0], kept[3]):
        made.restore(snapshot)
        assert made.run(timeout=60) == Exited(0)
        assert digest(made) == expected
    kept[1].save(tmp_path / "linux.snap")
    again.restore(Snapshot.load(tmp_path / "linux.snap"))
    assert again.run(timeout=60) == Exited(0)
    assert digest(again) == expected
    made.close()
    again.close()


def test_a_shell_is_tried_again_and_again() -> None:
    """The same prompt, answered in several ways; what one of them did is not there for the next."""
    made = linux(1, OURS, "shell")
    talk(made, b"guest# ", [b"echo first > /tmp/x"])
    assert made.expect(b"guest# ", timeout=60) == Matched()
    prompt = made.snapshot()
    other = Machine(made.board)
    for machine in (made, made, other):
        machine.restore(prompt)
        before = len(machine.console)
        talk(machine, b"guest# ", [])
        machine.feed(b"cat /tmp/x; echo more >> /tmp/x; wc -l < /tmp/x\n")
        assert machine.expect(b"guest# ", timeout=60) == Matched()
        assert machine.console[before:].replace(b"\r", b"").split(b"\n")[1:3] == [b"first", b"2"]
    made.close()
    other.close()
