"""Kernels and snapshots of their machines: a restore ends who was there, and `Kernel.attach` goes on from what is."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator import Machine, Snapshot
from kernel import Kernel
from kernel.cpu.abi import Command
from kernel.errors import KernelClosed
from kernel.mm import FrameAllocOptions, KVirtArea, Layout
from kernel.mm.check import check
from kernel.picture import Picture

from .workload import KERNEL_RW, PAGE, Workload


@pytest.mark.board(harts=2)
def test_a_restore_ends_the_kernel_and_an_attached_one_has_what_was_there(kernel: Kernel) -> None:
    machine, work = kernel.machine, Workload(kernel, 5)
    work.run(300)
    before, picture = machine.snapshot(), Picture.take(kernel)
    frame = FrameAllocOptions(kernel.mm).alloc_frame()
    area = KVirtArea.map_frames(kernel.mm, 2 * PAGE, 0, [FrameAllocOptions(kernel.mm).alloc_frame()], KERNEL_RW)
    assert Picture.take(kernel) != picture
    machine.restore(before)
    for use in (frame.clone, lambda: kernel.log("still there?"), lambda: kernel.mm.heap.alloc(Layout(64))):
        with pytest.raises(KernelClosed, match="the kernel has ended"):
            use()
    for handle in (frame, area, *work.handles()):
        handle.drop()  # they hold nothing any more
    attached = Kernel.attach(machine)
    assert Picture.take(attached) == picture
    check(attached.mm)
    with FrameAllocOptions(attached.mm).alloc_frame():
        assert Picture.take(attached) != picture
    assert Picture.take(attached).usage.free == picture.usage.free
    attached.close()


@pytest.mark.board(harts=3)
def test_every_restore_ends_the_kernel_that_was_attached_after_the_last(kernel: Kernel) -> None:
    machine = kernel.machine
    before, picture = machine.snapshot(), Picture.take(kernel)
    for _ in range(5):
        machine.restore(before)
        attached = Kernel.attach(machine)
        assert Picture.take(attached) == picture
        frames = [FrameAllocOptions(attached.mm).alloc_frame() for _ in range(3)]
        area = KVirtArea.map_frames(attached.mm, 4 * PAGE, 0, frames, KERNEL_RW)
        area.drop()  # flushes the TLBs of all three harts
        for cpu in range(3):
            assert attached.smp.call(cpu, Command.NOP) == (0, 0)
    machine.restore(before)
    with pytest.raises(KernelClosed):
        attached.log("still there?")


@pytest.mark.board(harts=2)
def test_a_kernel_goes_on_in_another_machine_from_a_file(kernel: Kernel, tmp_path: Path) -> None:
    work = Workload(kernel, 7)
    work.run(300)
    kernel.machine.snapshot().save(tmp_path / "kernel.snap")
    picture = Picture.take(kernel)
    other = Machine(kernel.machine.board)
    other.restore(Snapshot.load(tmp_path / "kernel.snap"))
    attached = Kernel.attach(other)
    assert Picture.take(attached) == picture
    work.compare(Picture.take(attached))
    for each in (Kernel.attach(kernel.machine), attached):
        each.log("the same from here on")
    assert other.console == kernel.machine.console
    assert other.instructions == kernel.machine.instructions
    assert Picture.take(attached) == Picture.take(kernel) == picture
    attached.close()
    other.close()
    work.close()
