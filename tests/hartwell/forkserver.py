"""Commands of a process that has imported already what commands import: `python -m tests.hartwell.forkserver`.

Half of what a short command costs is the start of Python and its imports, each time the same ones. A server imports
them once; each command is a fork of it that goes on as `python -m hartwell` does, with the arguments, folder,
environment and standard streams that it was sent, to the interpreter's own end. Nothing has run in the server: no
machine was made, no library of native code loaded. What a fork cannot have, an environment that the start of Python
looks at (PYTHON…, HARTWELL_…), and hashes of its own, needs a new process.

A request is a connection to the server's socket: words with a NUL between them (the module, its folder, the number of
arguments, these, NAME=VALUE of the environment) and three open files, the standard streams. The answers are the
command's number and then its exit code. Commands run side by side: each has a process of its own that
waits for it. `CLIENT` is a program that is a command for whoever starts it, a shell, say.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import runpy
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 1 << 20
"""Bytes of a request; the environment is most of it."""
ALONE = ("__main__", "pytest_plugin", "engine.intrinsics", "engine.lean", "engine.native")
"""Ends of the names of modules that few commands import, and that import much: pytest and numba."""
CLIENT = """#!{python} -IS
import _socket, os, sys
words = ["hartwell", os.getcwd(), str(len(sys.argv) - 1), *sys.argv[1:], *map("=".join, os.environ.items())]
files = b"".join(n.to_bytes(4, sys.byteorder) for n in (0, 1, 2))
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
server.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, 1 << 20)
server.connect({path!r})
server.sendmsg([os.fsencode("\\0".join(words))], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
child = int(server.recv(16))
import _signal
for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
    if _signal.getsignal(number) != _signal.SIG_IGN:
        _signal.signal(number, lambda number, frame: os.kill(child, number))
code = int(server.recv(16))
if code < 0:
    _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""
"""With `python` and the `path` of the server's socket; of few imports, so that it starts in 10 ms."""


class ForkServer:
    """The server, from the side of the tests; `close` ends it. Its socket is made in `folder`."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._path = str(folder / "s")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self._path)
        self._listener.listen(64)
        self._life, theirs = socket.socketpair()
        with theirs:
            files = [self._listener.fileno(), theirs.fileno()]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.hartwell.forkserver", *map(str, files)], cwd=ROOT, env=environment,
                pass_fds=files, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    @property
    def client(self) -> str:
        """The text of a program that is `hartwell`."""
        return CLIENT.format(python=sys.executable, path=self._path)

    def run(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str],
            streams: tuple[int, int, int], module: str = "hartwell") -> socket.socket:
        """Begin a command, `python -m module`; the socket from which its number and its exit code can be read."""
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
        ours.connect(self._path)
        words = [module, str(cwd), str(len(arguments)), *arguments, *map("=".join, environment.items())]
        socket.send_fds(ours, [os.fsencode("\0".join(words))], list(streams))
        return ours

    def close(self) -> None:
        """End the server."""
        self._life.close()
        self._listener.close()
        self._process.wait(timeout=20)


def serve(listener: socket.socket, life: socket.socket) -> str:
    """Fork a child for each request; returns in the children only, what they are, and ends when the tests have."""
    waiting = 0
    while True:
        ready, _, _ = select.select([listener, life], [], [])
        if life in ready:
            os._exit(0)
        while waiting and os.waitpid(-1, os.WNOHANG)[0]:
            waiting -= 1
        answers, _ = listener.accept()
        if os.fork():
            waiting += 1
            answers.close()
            continue
        listener.close()
        life.close()
        request, files, _, _ = socket.recv_fds(answers, LONGEST, 3)
        child = os.fork()
        if child:
            for file in files:
                os.close(file)
            answers.send(str(child).encode())
            answers.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
            os._exit(0)
        answers.close()
        module, cwd, count, *words = os.fsdecode(request).split("\0")
        become(words[:int(count)], cwd, dict(word.split("=", 1) for word in words[int(count):]), files)
        return module


def become(arguments: list[str], cwd: str, environment: dict[str, str], files: list[int]) -> None:
    """Be a process that was started like this."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        os.dup2(files[number], number)
        os.close(files[number])
        old = getattr(sys, name)  # which thinks that it can seek, as the server's null device can
        stream = open(number, mode, 1 if name == "stderr" else -1, encoding=old.encoding, errors=old.errors,  # noqa: SIM115
                      newline=None if mode == "r" else "\n", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments


def import_all(*packages: ModuleType) -> None:
    """Import the modules of packages that have several users."""
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(ALONE):
                importlib.import_module(module.name)


def main() -> None:
    """Import, serve, and in the children be the command."""
    import fdt  # noqa: F401
    import llvmlite.binding  # noqa: F401
    import numpy  # noqa: F401
    import pytest  # noqa: F401
    import rich.console
    import rich.table
    import rich.text  # noqa: F401

    import emulator
    import hartwell
    import kernel

    import_all(emulator, kernel, hartwell)
    gc.collect()
    gc.freeze()  # or a fork's collector looks at all of it, which copies it
    module = serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:3]))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
