"""Reading flattened device trees, with nothing in them trusted.

    header    10 words: where the blocks are
    reserved  (address, size) pairs of 64 bits, ended by zeros
    structure BEGIN_NODE name (PROPERTY length name-offset value)* child* END_NODE … END
    strings   the properties' names

Every offset and length is checked against its block, the walk takes no recursion, and bounds on what
a tree may hold keep every later step (conversion, printing, writing) short.

Source: Devicetree Specification 0.4, chapter 5.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from ..errors import DeviceTreeError

LARGEST_TREE = 2 << 20
DEEPEST_NODE = 64
MOST_NODES = 16384
MOST_PROPERTIES = 32768
"""Bounds of a tree: bytes, levels, nodes and properties; several times what real trees have."""

NODE_NAME = re.compile(r"[0-9A-Za-z,._+-]+(@[0-9A-Za-z,._+-]+)?")
PROPERTY_NAME = re.compile(r"[0-9A-Za-z,._+?#*-]+")

_MAGIC = 0xD00DFEED
_VERSION = 17
_HEADER = struct.Struct(">10I")
_BEGIN_NODE, _END_NODE, _PROPERTY, _NOP, _END = 1, 2, 3, 4, 9
_LONGEST_NAME = 256


@dataclass
class FlatNode:
    """A node as it is in the file: its name (empty for the root), its properties' bytes, its children, in order."""

    name: str
    properties: dict[str, bytes] = field(default_factory=dict)
    children: list[FlatNode] = field(default_factory=list)


def read_tree(data: bytes, name: str) -> tuple[FlatNode, tuple[tuple[int, int], ...], int]:
    """The root, the (address, size) memory reservations and the boot hart of a flattened device tree.

    `name` is what errors call it. Raises `DeviceTreeError` naming the offset for anything malformed:
    magic, version, blocks outside the file, a structure that does not nest, names with foreign
    characters, names that are there twice, properties behind children (Linux would not see them), and
    trees beyond the bounds above. Never raises anything else.
    """
    _, total, structure, strings, reserved, _, _, boot_hart, strings_size, structure_size = _check_header(data, name)
    reader = _Reader(data[:total], name, structure, structure + structure_size, strings, strings + strings_size)
    return reader.read(), _reservations(data[:total], name, reserved), boot_hart


def _reservations(data: bytes, name: str, start: int) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for at in range(start, len(data) - 15, 16):
        entry = struct.unpack_from(">QQ", data, at)
        if entry == (0, 0):
            return tuple(found)
        found.append((entry[0], entry[1]))
        if len(found) > MOST_NODES:
            break
    raise DeviceTreeError.at(name, start, "memory reservations", "no end", "an entry of zeros")


def _check_header(data: bytes, name: str) -> tuple[int, ...]:
    if len(data) < _HEADER.size:
        raise DeviceTreeError.at(name, len(data), "header", "the end of the file", f"{_HEADER.size} bytes of header")
    header = _HEADER.unpack_from(data)
    magic, total, structure, strings, reserved, version, compatible, _, strings_size, structure_size = header
    if magic != _MAGIC:
        raise DeviceTreeError.at(name, 0, "magic", f"{magic:#010x}", f"{_MAGIC:#x} (flattened device tree)")
    if version < _VERSION or compatible > _VERSION:
        raise DeviceTreeError.at(name, 20, "version", f"{version}, compatible with {compatible}", f"{_VERSION}")
    if not _HEADER.size <= total <= len(data):
        raise DeviceTreeError.at(
            name, 4, "totalsize", total, f"between {_HEADER.size} and the file's {len(data)}; the file may be truncated"
        )
    if total > LARGEST_TREE:
        raise DeviceTreeError.at(name, 4, "totalsize", total, f"at most {LARGEST_TREE}")
    for at, what, start, size, unit in (
        (8, "off_dt_struct", structure, structure_size, 4),
        (12, "off_dt_strings", strings, strings_size, 1),
        (16, "off_mem_rsvmap", reserved, 16, 8),
    ):
        if start < _HEADER.size or start + size > total or start % unit:
            raise DeviceTreeError.at(
                name, at, what, f"{size:#x} bytes at {start:#x}",
                f"a multiple of {unit} and an end by {total:#x}, the end of the tree",
            )
    return header


class _Reader:
    """The structure block, token by token, with nothing trusted."""

    def __init__(self, data: bytes, name: str, at: int, end: int, strings: int, strings_end: int) -> None:
        self.data, self.name, self.at, self.end = data, name, at, end
        self.strings, self.strings_end = strings, strings_end
        self.nodes = self.properties = 0

    def read(self) -> FlatNode:
        stack: list[tuple[FlatNode, set[str]]] = []  # open nodes and the names of their children so far
        root: FlatNode | None = None
        while True:
            at = self.at
            token = self.word("token")
            if token == _BEGIN_NODE and (stack or root is None):
                node = self.begin_node(at, is_root=root is None)
                if root is None:
                    root = node
                else:
                    parent, names = stack[-1]
                    if node.name in names:
                        raise self.error(at, "node", f"a second {node.name}", "names that are unique in their node")
                    names.add(node.name)
                    parent.children.append(node)
                if len(stack) >= DEEPEST_NODE or self.nodes > MOST_NODES:
                    raise self.error(at, "node", "one more", f"at most {MOST_NODES}, {DEEPEST_NODE} levels deep")
                stack.append((node, set()))
            elif token == _END_NODE and stack:
                stack.pop()
            elif token == _PROPERTY and stack:
                self.property(at, stack[-1][0])
            elif token == _END and root is not None and not stack:
                return root
            elif token != _NOP:
                raise self.error(at, "token", f"{token:#x}", f"another one {len(stack)} nodes deep")

    def begin_node(self, at: int, is_root: bool) -> FlatNode:
        end = self.data.find(b"\0", self.at, min(self.end, self.at + _LONGEST_NAME))
        name = self.data[self.at : end].decode("latin-1")
        if end < 0 or (name and not NODE_NAME.fullmatch(name)) or is_root != (name == ""):
            expected = "the root, which has no name" if is_root else "a name"
            raise self.error(at, "node name", repr(name[:32]) if end >= 0 else "no end", expected)
        self.at = end + 4 & ~3
        self.nodes += 1
        return FlatNode(name)

    def property(self, at: int, node: FlatNode) -> None:
        size, name_at = self.word("property length"), self.word("property name")
        if size > self.end - self.at:
            raise self.error(at, "property", f"{size:#x} bytes of value", f"it to end by {self.end:#x}")
        value = self.data[self.at : self.at + size]
        self.at = self.at + size + 3 & ~3
        start = self.strings + name_at
        end = self.data.find(b"\0", start, min(self.strings_end, start + _LONGEST_NAME))
        name = self.data[start:end].decode("latin-1") if end >= 0 else ""
        if not PROPERTY_NAME.fullmatch(name):
            raise self.error(at, "property name", repr(name[:32]), f"a name at {name_at:#x} of the strings")
        if node.children or name in node.properties:
            raise self.error(at, "property", name, "properties before child nodes, each once")
        self.properties += 1
        if self.properties > MOST_PROPERTIES:
            raise self.error(at, "property", "one more", f"at most {MOST_PROPERTIES}")
        node.properties[name] = value

    def word(self, what: str) -> int:
        if self.at + 4 > self.end:
            raise self.error(self.at, what, "the end of the structure block", "FDT_END")
        (value,) = struct.unpack_from(">I", self.data, self.at)
        self.at += 4
        return int(value)

    def error(self, at: int, what: str, found: object, expected: str) -> DeviceTreeError:
        return DeviceTreeError.at(self.name, at, what, found, expected)
