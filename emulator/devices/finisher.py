"""Test finisher (and syscon): ends or resets the machine.

        0  (write)  0x5555               exit, success
                    0x3333 | code << 16  exit with `code`
                    0x7777               reset

Source: SiFive test finisher, as on QEMU's virt board (`sifive_test`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..stop import Exited, ResetRequested
from .device import Device

if TYPE_CHECKING:
    from ..devicetree import Node

PASS, FAIL, RESET = 0x5555, 0x3333, 0x7777


class Finisher(Device):
    """The finisher at 0x0010_0000 on the virt board."""

    name = "test"

    def __init__(self, base: int = 0x0010_0000) -> None:
        super().__init__(base, 0x1000)

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        assert self.machine is not None
        if offset != 0:
            return
        status, code = value & 0xFFFF, value >> 16 & 0xFFFF
        if status == PASS:
            self.machine.request_stop(Exited(0))
        elif status == FAIL:
            self.machine.request_stop(Exited(code))
        elif status == RESET:
            self.machine.request_stop(ResetRequested())

    def node(self, harts: int) -> Node:
        from ..devicetree import Node, reg

        return Node(f"test@{self.base:x}", {
            "compatible": ["sifive,test1", "sifive,test0", "syscon"], "reg": reg((self.base, self.size))}, label="test")

    def root_nodes(self) -> list[Node]:
        from ..devicetree import Node, Ref

        return [Node(name, {"compatible": f"syscon-{name}", "regmap": Ref("test"), "offset": 0, "value": value})
                for name, value in (("reboot", RESET), ("poweroff", PASS))]
