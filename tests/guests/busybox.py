"""Debian's static busybox as a user program: the same script on our kernel and under qemu-riscv64.

Both see one tree of files in their current directory: it is written to the host's disk for QEMU and packed into a
cpio archive for our kernel. Under QEMU, each applet in $BIN is a script that has QEMU run busybox by that name;
programs that busybox starts must be named `$BIN/wc` there, since it would start its own file, which the host's
kernel cannot execute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hartwell.userland import archive
from tests.guests import fetch
from tests.helpers.userland import Ran, run_program

QEMU = shutil.which("qemu-riscv64")
APPLETS = tuple("""
    awk base64 basename cat chmod cksum cmp cp cut date dd df diff dirname du echo env expand expr false find fold free
    grep gunzip gzip head id kill ln ls md5sum mkdir mkfifo mktemp mv nl od paste printf ps pwd readlink realpath rev rm
    rmdir sed seq sh sha256sum sleep sort split stat strings tac tail tar tee test touch tr true truncate uname uniq
    unxz wc which xargs yes
""".split())
TREE: Mapping[str, bytes] = {
    "fruit": b"banana\napple\ncherry\napple\ndate\n",
    "numbers": b"".join(b"%d\n" % number for number in range(1, 501)),
    "docs/readme": b"hello world\nsecond line\n",
    "docs/deep/er/leaf": b"leaf\n",
    "src/main.c": b"int main(void)\n{\n\treturn 0;\n}\n",
    "big": bytes(range(256)) * 400,
    "empty": b"",
}
"""The files, by their paths."""
LINKS: Mapping[str, str] = {"docs/link": "../fruit", "docs/dangling": "nowhere"}
TIME = 86400


def program() -> bytes:
    """Busybox."""
    return Path(fetch.guests()["trixie/busybox"].path).read_bytes()


@dataclass(frozen=True)
class Shown:
    """What a script has written, and its exit code."""

    output: str
    errors: str
    code: int


def on_our_kernel(script: str, *, storage: str = "frames", harts: int = 1, stdin: bytes = b"") -> tuple[Shown, Ran]:
    """Run the script in /w on our kernel."""
    entries = [archive.Entry("w", archive.DIRECTORY | 0o755)]
    folders = {os.path.dirname(path) for path in (*TREE, *LINKS)} | {"docs/deep"}
    entries += [archive.Entry(f"w/{path}", archive.DIRECTORY | 0o755) for path in sorted(folders - {""})]
    entries += [archive.file(f"w/{path}", data, 0o644) for path, data in TREE.items()]
    entries += [archive.Entry(f"w/{path}", archive.SYMLINK | 0o777, to.encode()) for path, to in LINKS.items()]
    ran = run_program(program(), "busybox", "-c", f"cd /w\n{script}", called="sh", storage=storage, harts=harts,
                      stdin=stdin, initrd=archive.pack(entries), links=APPLETS, environment=["BIN=/bin", "TZ=UTC"],
                      limit=10**10)
    return Shown(ran.output, ran.errors, ran.outcome.exit_code), ran


def on_linux(script: str, folder: Path, *, stdin: bytes = b"") -> Shown:
    """Run the script under qemu-riscv64, with its files and applets in `folder`, which is empty."""
    assert QEMU is not None
    box, tools, tree = folder / "busybox", folder / "bin", folder / "w"
    box.write_bytes(program())
    box.chmod(0o755)
    tools.mkdir()
    for name in APPLETS:
        (tools / name).write_text(f'#!/bin/sh\nexec {QEMU} -0 {name} {box} "$@"\n')
        (tools / name).chmod(0o755)
    tree.mkdir()
    for path, data in TREE.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    for path, to in LINKS.items():
        (tree / path).symlink_to(to)
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    done = subprocess.run([QEMU, "-0", "sh", str(box), "-c", f"cd {tree}\n{script}"], input=stdin, capture_output=True,
                          cwd=tree, env={"PATH": str(tools), "BIN": str(tools), "TZ": "UTC"}, check=False, timeout=60,
                          umask=0o022)
    return Shown(done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode("utf-8", "backslashreplace"),
                 done.returncode)
