"""Directory entries as programs get them: `struct linux_dirent64`.

        d_ino u64 | d_off i64 | d_reclen u16 | d_type u8 | d_name, NUL, padding to 8 bytes
"""

from __future__ import annotations

import struct

from .stat import FileType

_DIRENT = struct.Struct("<QqHB")


def encode_entry(ino: int, position: int, kind: FileType, name: bytes) -> bytes:
    """An entry; `position` is that of the one behind it."""
    size = -(-(_DIRENT.size + len(name) + 1) // 8) * 8
    return (_DIRENT.pack(ino, position, size, kind) + name).ljust(size, b"\0")
