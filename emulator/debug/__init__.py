"""Debugging: a machine that can be held, and gone through forwards and backwards.

        Target        the machine under a debugger: resume, step, reverse, goto, who wrote this        target
        Points        breakpoints, watchpoints, marks to stop at                                        points
        History       keyframes of the run so far                                                       history
        Traveller     going to any place of it                                                          travel
        Program       software on the host that drives the machine, held whenever the machine is        program

    target = Target(machine)
    point = target.points.add(BreakAt(0x8020_0000))
    stop = target.resume()                    # Breakpoint(hart=0, pc=0x80200000)
    target.reverse_step()
    print(target.position, target.last_write(0x8021_0000, 8))

The debugger sees the machine, and nothing that a guest sees depends on the debugger.
"""

from .history import History, Keyframe
from .points import BreakAt, MarkAt, Point, Points, WatchAt
from .position import Position
from .stops import HostWrote, ProgramEnded
from .target import Target, Write

__all__ = [
    "BreakAt", "History", "HostWrote", "Keyframe", "MarkAt", "Point", "Points", "Position", "ProgramEnded", "Target",
    "WatchAt", "Write",
]
