"""The boot ROM: what a hart executes first.

        0x1000  reset:  auipc  t0, 0
                        addi   a2, t0, 40      # fw_dynamic_info
                        csrr   a0, mhartid
                        ld     a1, 32(t0)      # device tree
                        ld     t0, 24(t0)      # firmware
                        jr     t0
        0x1018  .dword  firmware
        0x1020  .dword  device tree
        0x1028  .dword  "OSBI", version, next address, next mode, options, boot hart

The contract is the one of QEMU's virt board: a0 = hart, a1 = device tree, a2 = fw_dynamic_info, which
tells a firmware what to start after itself (OpenSBI, docs/firmware/fw_dynamic.md).
"""

from __future__ import annotations

import struct

from .range import Range

ROM = Range(0x1000, 0xF000)
CODE = (0x00000297, 0x02828613, 0xF1402573, 0x0202B583, 0x0182B283, 0x00028067)
DYNAMIC_MAGIC = 0x4942534F
DYNAMIC_VERSION = 2
NEXT_MODE_S = 1


def contents(start: int, device_tree: int, next_address: int) -> bytes:
    """The ROM's bytes: harts go to `start`; a firmware there is told of `next_address`, in S-mode."""
    head = struct.pack("<6I", *CODE)
    info = (DYNAMIC_MAGIC, DYNAMIC_VERSION, next_address, NEXT_MODE_S, 0, 0)
    return head + struct.pack("<8Q", start, device_tree, *info)
