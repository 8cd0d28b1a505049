"""Commands of a process that has imported already what every command imports: `python -m tests.hartwell.forkserver`.

Half of what a short command costs is the start of Python and its imports, each time the same ones. A server imports
them once; each command is a fork of it that goes on as `python -m hartwell` does, with the arguments, folder,
environment and standard streams that it was sent, to the interpreter's own end. Nothing has run in the server: no
machine was made, no library of native code loaded. What a fork cannot have, an environment that the start of Python
looks at (PYTHON…, HARTWELL_…), and hashes of its own, needs a new process.

A request is a line of JSON with four open files: standard streams and the socket for the answers, which are the
child's number and then its exit code.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 1 << 20
"""Bytes of a request; the environment is most of it."""


class ForkServer:
    """The server, from the side of the tests; `close` ends it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.hartwell.forkserver", str(theirs.fileno())], cwd=ROOT, env=environment,
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def run(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str],
            streams: tuple[int, int, int]) -> socket.socket:
        """Begin a command; the socket from which its number and its exit code can be read."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps([list(arguments), str(cwd), dict(environment)]).encode()
        with theirs:
            socket.send_fds(self._socket, [request], [*streams, theirs.fileno()])
        return ours

    def close(self) -> None:
        """End the server."""
        self._socket.close()
        self._process.wait(timeout=20)


def serve(requests: socket.socket) -> None:
    """Fork a child for each request; returns in the children only, or when there are no more requests."""
    while True:
        request, files, _, _ = socket.recv_fds(requests, LONGEST, 4)
        if not request:
            sys.exit(0)
        arguments, cwd, environment = json.loads(request)
        answers = socket.socket(fileno=files.pop())
        child = os.fork()
        if child:
            answers.send(str(child).encode())
            answers.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
        for number, file in enumerate(files):
            if not child:
                os.dup2(file, number)
            os.close(file)
        answers.close()
        if not child:
            requests.close()
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv[1:] = arguments
            return


def main() -> None:
    """Import, serve, and in the children be the command."""
    import llvmlite.binding  # noqa: F401
    import numpy  # noqa: F401

    import emulator  # noqa: F401
    import hartwell.cli.app  # noqa: F401
    import hartwell.lab.search.directed  # noqa: F401
    import kernel  # noqa: F401

    serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("hartwell", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
