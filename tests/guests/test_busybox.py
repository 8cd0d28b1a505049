"""Debian's own static busybox on our kernel: it prints what it prints under qemu-riscv64, byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import busybox
from .fetch import FetchError, guests

try:
    guests()
    MISSING = ""
except FetchError as why:
    MISSING = str(why)
pytestmark = [pytest.mark.guest, pytest.mark.skipif(bool(MISSING), reason=MISSING)]
needs_qemu = pytest.mark.skipif(busybox.QEMU is None,
                                reason="qemu-riscv64 is not installed (Debian package qemu-user)")

SCRIPTS = {
    "pipes": "cat fruit | sort | uniq -c | sort -rn; seq 1 5 | while read x; do echo \"<$x>\"; done; "
             "yes | head -n 3; true | false; echo $?",
    "big-pipe": "cat big big big | wc -c; dd if=big bs=7 2>/dev/null | md5sum; seq 1 20000 | tail -n 1",
    "ls": "ls -lR . | sed 's/  */ /g' | grep -v ^total | cut -d' ' -f1,9-; ls -a docs; ls -1 src",
    "cat": "cat fruit docs/readme; cat < fruit; cat docs/link; cat docs/dangling; echo $?",
    "sort": "sort fruit; sort -u fruit; sort -rn numbers | head -n 3; sort -k2 docs/readme",
    "grep": "grep -n app fruit; grep -c e fruit; grep -r return src; grep -v a fruit; grep zebra fruit; echo $?",
    "dd": "dd if=numbers bs=100 count=3 2>/dev/null | md5sum; dd if=big of=part bs=1000 skip=3 count=2 conv=notrunc; "
          "wc -c part; dd if=numbers of=part bs=1 seek=5000 count=3 2>/dev/null; wc -c part; md5sum part",
    "md5sum": "md5sum fruit numbers big empty; sha256sum big; cksum numbers; md5sum fruit > sums; md5sum -c sums",
    "tar": "tar c docs src | tar t | sort; tar cf t.tar docs fruit; mkdir x; tar xf t.tar -C x; find x | sort; "
           "cmp fruit x/fruit && echo same; readlink x/docs/link; tar czf t.tgz big; tar xzf t.tgz -O big | md5sum",
    "find": "find . -type f | sort; find . -name '*.c'; find docs -type l | sort; find . -size +50k; find . -empty",
    "xargs": "find . -type f -name '[fn]*' | sort | xargs $BIN/wc -l; echo 1 2 3 | xargs -n 1 $BIN/echo got",
    "awk": "awk '{ s += $1 } END { print s, s / NR }' numbers; awk -F. '{ print NF }' fruit; "
           "awk 'BEGIN { printf \"%.6f %s\\n\", atan2(1, 1) * 4, substr(\"hartwell\", 2, 3) }'",
    "sed": "sed -n '3,5p' numbers; sed 's/a/A/g; /cherry/d' fruit; sed -i 's/apple/pear/' fruit; cat fruit",
    "here-document": "cat <<END\nhere $(echo sub) and `expr 2 + 3` $((6 * 7))\nEND\ncat <<'END'\n$verbatim\nEND",
    "substitution": "x=$(seq 1 5 | tr '\\n' ' '); echo \"$x\"; echo ${x%% *} ${#x}; for f in *; do echo $f; done; "
                    "echo d*/*e*; printf '%05d|%s|%x\\n' 42 x 255",
    "background": "(sleep 0.05; echo later) & p=$!; echo now; wait $p; echo waited $?; "
                  "sleep 0.03 & sleep 0.01 & wait; echo both",
    "traps": "trap 'echo got USR1' USR1; kill -USR1 $$; (trap 'echo term; exit 7' TERM; kill -TERM $(sh -c 'echo "
             "$PPID'); sleep 5); echo code $?; trap 'echo bye' EXIT; trap '' INT; kill -INT $$; echo alive",
    "kill": "{ sleep 100 & kill $!; wait $!; echo $?; } 2> /dev/null; sh -c 'kill -9 $$'; echo $?; "
            "sh -c 'kill -SEGV $$'; echo $?; kill -0 $$; echo $?",
    "exit-codes": "false; echo $?; true; echo $?; nosuch; echo $?; ls nofile; echo $?; (exit 42); echo $?; "
                  "echo 'set -e; false; echo never' | sh; echo $?; exit 3",
    "files": "mkdir d; cp fruit d/f; mv d/f d/g; ln d/g d/h; ln -s g d/i; ls d; cat d/i; stat -c '%n %s %h %a %F' d/*; "
             "rm d/h; stat -c %h d/g; rm -r d; ls d; echo a > log; echo b >> log; wc log; chmod 600 log; "
             "stat -c %a log; : > log; wc -c log; touch -d @86400 log; stat -c %Y log; rmdir docs; echo $?",
    "descriptors": "exec 3> out; echo three >&3; exec 3>&-; cat out; echo err >&2; ls nofile 2>&1 | cat; "
                   "{ echo a; echo b >&2; } 2> errs; cat errs; cat <&- ; echo $?",
    "fifo": "mkfifo p; (echo through > p) & cat p; wait; rm p; (sleep 0.02; echo x) | (read y; echo $y)",
    "tools": "od -c fruit | head -n 2; tee copy < fruit > /dev/null; diff fruit copy && echo same; "
             "echo aGk= | base64 -d; echo; split -l 200 numbers; ls x*; paste fruit fruit | head -n 1; rev fruit; "
             "tac fruit; fold -w 3 fruit | head -n 2; nl fruit; basename /a/b.c .c; dirname /a/b; "
             "gzip -c big | gunzip -c | md5sum; du -a src > /dev/null; date -u -d @0; head -c 5 /dev/zero | od -c",
    "functions": "f() { local n=$1; [ $n -gt 0 ] && { echo $n; f $((n - 1)); }; }; f 5; "
                 "case hart in h*) echo h;; esac; i=0; while [ $i -lt 3 ]; do i=$((i + 1)); done; echo $i; "
                 "set -- a 'b c'; echo $# \"$2\"; IFS=:; for p in a:b; do echo $p; done; "
                 "echo 'x y' | { read a b; echo $b; }",
}


@needs_qemu
@pytest.mark.qemu_user
@pytest.mark.parametrize("storage", ["frames", "heap"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_the_same_as_under_qemu(name: str, storage: str, tmp_path: Path) -> None:
    ours, ran = busybox.on_our_kernel(SCRIPTS[name], storage=storage)
    theirs = busybox.on_linux(SCRIPTS[name], tmp_path)
    assert ours.output == theirs.output
    assert ours.code == theirs.code
    assert _errors(ours.errors) == _errors(theirs.errors)
    assert ran.outcome.free_after == ran.outcome.free_before


def _errors(text: str) -> list[str]:
    """Messages without the path by which each side names the shell."""
    return [re.sub(r"^\S*(sh|exe|busybox): ", "", line) for line in text.splitlines()]


@pytest.mark.parametrize("harts", [1, 4])
def test_ps_shows_the_processes_that_there_are(harts: int) -> None:
    ours, _ = busybox.on_our_kernel("sleep 9 & sleep 9 & sleep 0.1; ps -o pid,ppid,stat,comm; kill 2 3", harts=harts)
    rows = [line.split() for line in ours.output.splitlines()]
    assert rows[0] == ["PID", "PPID", "STAT", "COMMAND"]
    assert [row[:2] for row in rows[1:]] == [["1", "0"], ["2", "1"], ["3", "1"], ["5", "1"]]
    assert [row[2] for row in rows[1:]] == ["S", "S", "S", "R"]


def test_free_and_proc_show_the_memory_that_there_is() -> None:
    ours, ran = busybox.on_our_kernel("free -b; cat /proc/meminfo; head -c 8000000 /dev/zero > zeros; free -b; "
                                      "rm zeros; free -b")
    memories = [[int(number) for number in row] for row in re.findall(r"^Mem: +(\d+) +(\d+) +(\d+)", ours.output, re.M)]
    meminfo = dict(re.findall(r"^(\w+): +(\d+) kB$", ours.output, re.M))
    (total, used, free), (_, _, filled), (_, _, after) = memories
    assert total == used + free == int(meminfo["MemTotal"]) * 1024
    assert 110 << 20 < free < total < 128 << 20
    assert abs(int(meminfo["MemFree"]) * 1024 - free) < 1 << 20  # cat is another process than free
    assert 8_000_000 <= free - filled < 8_000_000 + (1 << 18)
    assert abs(after - free) < 1 << 18
    assert ran.outcome.free_after == ran.outcome.free_before


def test_standard_input_is_the_scripts() -> None:
    ours, _ = busybox.on_our_kernel("cat | tr a-z A-Z; read x; echo \"<$x>\"", stdin=b"some lines\nof input\n")
    assert ours.output == "SOME LINES\nOF INPUT\n<>\n"


def test_a_shell_that_reads_its_script_from_standard_input() -> None:
    script = b"echo one\nfor i in 2 3; do echo $i; done\nexit 4\n"
    ran = busybox.run_program(busybox.program(), "busybox", "sh", stdin=script)
    assert (ran.output, ran.outcome.exit_code) == ("one\n2\n3\n", 4)


def test_everybody_waiting_for_ever_is_a_deadlock() -> None:
    ours, ran = busybox.on_our_kernel("mkfifo p; cat p")
    assert (ran.outcome.reason, ours.code) == ("deadlock", 4)


@needs_qemu
@pytest.mark.qemu_user
@pytest.mark.parametrize("name", ["pipes", "background", "traps", "tar"])
def test_a_script_prints_the_same_with_several_harts(name: str, tmp_path: Path) -> None:
    ours, ran = busybox.on_our_kernel(SCRIPTS[name], harts=4)
    theirs = busybox.on_linux(SCRIPTS[name], tmp_path)
    assert (ours.output, ours.code) == (theirs.output, theirs.code)
    assert ran.outcome.free_after == ran.outcome.free_before
