"""A GDB remote server over `emulator.debug`: GDB and LLDB step through a machine, forwards and backwards.

        framing       $packets#checksums           session        one debugger's conversation, the table's use
        wire          numbers and bytes in them    queries        packets about the session, documents, threads
        connection    the sockets                  access         … about registers and memory
        server        comings and goings           running        … that move the machine
        stopreply     why it stands still          lldb           … of LLDB's alone
        registers, description, memory, points     monitor        monitor commands

    with Listener(port=1234) as listener:
        attention = Attention(listener, machine.board.clock_hz)
        with Target(machine, poll=attention.poll, glance=attention.glance) as target:
            Server(target, attention).serve(held=True)

Source of the protocol: GDB manual, appendix "GDB Remote Serial Protocol".
"""

from .connection import Listener, ListenError
from .server import Attention, Server

__all__ = ["Attention", "ListenError", "Listener", "Server"]
