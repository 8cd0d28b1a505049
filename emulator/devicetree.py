"""Device trees: built from nodes, compiled to the flattened form that guests read, checked, shown as text.

    describe_machine ── Node ──> compile_tree ── bytes ──> guest     (QEMU's `virt` tree, minus what we lack)
    --dtb FILE ── bytes ──> parse ── Tree ──> amend ── bytes ──> guest

Trees are written by the `fdt` package. Reading is ours (`loader.flattree`): files from
users have to be checked in full before `fdt` may see them, and its reader gives the memory
reservations of one file to the next; so is printing, for `fdt` prints no references.

Source: Devicetree Specification 0.4, chapter 5; Linux, Documentation/devicetree/bindings/riscv.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import DeviceTreeError
from .loader.flattree import NODE_NAME, PROPERTY_NAME, FlatNode, read_tree

_VERSION, _COMPATIBLE = 17, 16
_LETTERS = "iemafdqcbvh"
_IMPLIED = ("zicntr", "zicsr", "zifencei", "zihpm")  # parts of rv64i before 2019, when the ISA string was defined


@dataclass(frozen=True)
class U64:
    """A 64-bit number: two cells."""

    value: int


@dataclass(frozen=True)
class Ref:
    """The phandle of the node that has this label: one cell."""

    label: str


Cell = int | U64 | Ref
Value = bool | Cell | str | bytes | Sequence[str] | Sequence[Cell]
"""A property's value. An int is one 32-bit cell, True an empty property; strings get their NUL, bytes are as is."""


@dataclass
class Node:
    """A node: its `name` with unit address (`serial@10000000`), properties in order, children in order.

    `label` is what `Ref` names it by; it is no part of the compiled tree.
    """

    name: str
    properties: dict[str, Value] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    label: str = ""

    def find(self, path: str) -> Node | None:
        """The node at `path` below this one, such as `/soc/serial@10000000`; None if there is none."""
        node: Node | None = self
        for name in filter(None, path.split("/")):
            node = next((child for child in node.children if child.name == name), None) if node else None
        return node

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Every node with its path, parents before children, in order."""
        yield path or "/", self
        for child in self.children:
            yield from child.walk(f"{path}/{child.name}")


@dataclass(frozen=True)
class Tree:
    """A device tree as read: the root, the (address, size) memory reservations, the boot hart's id."""

    root: Node
    reservations: tuple[tuple[int, int], ...] = ()
    boot_hart: int = 0


@dataclass(frozen=True)
class ReservedMemory:
    """A child of /reserved-memory: `size` bytes from `base`; with `no_map` the kernel may not even map them."""

    base: int
    size: int
    name: str = "reserved"
    no_map: bool = False


def reg(*ranges: tuple[int, int]) -> list[Cell]:
    """The value of a `reg` property for (address, size) ranges under 2 address and 2 size cells."""
    return [U64(number) for pair in ranges for number in pair]


def compile_tree(root: Node, reservations: Sequence[tuple[int, int]] = (), boot_hart: int = 0) -> bytes:
    """The flattened tree (version 17). The same nodes give the same bytes.

    Nodes that a `Ref` names get phandles, numbered from 1 in order of the nodes' appearance, leaving out
    numbers that the tree already uses. `reservations` are (address, size) pairs for the memory
    reservation block. Raises `DeviceTreeError` for malformed or duplicate names, labels that do not
    exist or are there twice, and values out of range.
    """
    import fdt

    phandles = _number(root)
    tree = fdt.FDT(fdt.Header(), [{"address": address, "size": size} for address, size in reservations])

    def build(node: Node, path: str) -> Any:
        built = fdt.Node(node.name if path else "/")
        properties = dict(node.properties)
        if node.label in phandles:
            properties["phandle"] = phandles[node.label]
        for name, value in properties.items():
            where = f"{path or '/'}: property {name}"
            if not PROPERTY_NAME.fullmatch(name):
                raise DeviceTreeError(f"{path or '/'}: {name!r} is not a property name")
            data = _encode(value, phandles, where)
            # Added to the list itself: append() would look for a duplicate among all, which a dict has not.
            built.props.append(fdt.PropBytes(name, data=data) if data else fdt.Property(name))
        names = set()
        for child in node.children:
            if not NODE_NAME.fullmatch(child.name):
                raise DeviceTreeError(f"{path or '/'}: {child.name!r} is not a node name")
            if child.name in names:
                raise DeviceTreeError(f"{path}/{child.name}: there are two nodes of this name")
            names.add(child.name)
            built.nodes.append(build(child, f"{path}/{child.name}"))
        return built

    tree.root = build(root, "")
    tree.header.version = _VERSION
    data: bytes = tree.to_dtb(last_comp_version=_COMPATIBLE, boot_cpuid_phys=boot_hart)
    return data


def parse(data: bytes, name: str = "device tree") -> Tree:
    """The tree in a flattened device tree; every property's value as bytes, True if empty. `name` is for errors.

    Raises `DeviceTreeError` naming the offset for anything malformed: see `loader.flattree`. Never
    raises anything else.
    """
    root, reservations, boot_hart = read_tree(data, name)

    def build(flat: FlatNode) -> Node:
        # bytes of no length say what True says: the property is there.
        properties: dict[str, Value] = {key: value or True for key, value in flat.properties.items()}
        return Node(flat.name, properties, [build(child) for child in flat.children])

    return Tree(build(root), reservations, boot_hart)


def check(data: bytes, name: str) -> None:
    """Raise `DeviceTreeError` unless `data` is a well-formed flattened device tree; see `parse`."""
    parse(data, name)


def source(root: Node, reservations: Sequence[tuple[int, int]] = ()) -> str:
    """The tree as DTS text, with labels and references, which `dtc` compiles to the same tree without a warning.

    Raises `DeviceTreeError` as `compile_tree` does.
    """
    compile_tree(root, reservations)  # refuses what has no text
    phandles = _number(root)
    lines = ["/dts-v1/;", *(f"/memreserve/ {address:#x} {size:#x};" for address, size in reservations), ""]

    def write(node: Node, indent: str) -> None:
        lines.append(f"{indent}{node.label + ': ' if node.label else ''}{node.name or '/'} {{")
        properties = dict(node.properties)
        if node.label in phandles:
            properties["phandle"] = phandles[node.label]
        lines.extend(f"{indent}\t{name}{_notation(value)};" for name, value in properties.items())
        for child in node.children:
            write(child, indent + "\t")
        lines.append(f"{indent}}};")

    write(root, "")
    return "\n".join(lines) + "\n"


def decompile(data: bytes, name: str = "device tree") -> str:
    """A flattened tree as DTS text, which `dtc` compiles back to the same tree.

    References are bare numbers, for a flattened tree has no labels, and `dtc` warns of some; use
    `source` where the nodes are at hand. Raises `DeviceTreeError` as `parse` does.
    """
    tree = parse(data, name)
    return source(tree.root, tree.reservations)


def amend(
    dtb: bytes, bootargs: str | None = None, initrd_start: int | None = None, initrd_end: int | None = None,
    name: str = "device tree",
) -> bytes:
    """A user-supplied tree with /chosen telling the kernel its command line and where its initrd is.

    What is None stays as the file has it. Raises `DeviceTreeError` as `parse` does.
    """
    tree = parse(dtb, name)
    changes: dict[str, Value] = {}
    if bootargs is not None:
        changes["bootargs"] = bootargs
    for key, address in (("linux,initrd-start", initrd_start), ("linux,initrd-end", initrd_end)):
        if address is not None:
            changes[key] = _address(address)
    chosen = tree.root.find("/chosen")
    if chosen is None and changes:
        chosen = Node("chosen")
        tree.root.children.append(chosen)
    if chosen is not None:
        chosen.properties.update(changes)
    return compile_tree(tree.root, tree.reservations, tree.boot_hart)


def describe_machine(
    *,
    harts: int,
    isa: str,
    mmu: str,
    timebase_frequency: int,
    memory: Sequence[tuple[int, int]],
    devices: Sequence[Node] = (),
    root_nodes: Sequence[Node] = (),
    reserved: Sequence[ReservedMemory] = (),
    bootargs: str = "",
    initrd: tuple[int, int] | None = None,
    stdout_path: str = "",
    rng_seed: bytes = b"",
    model: str = "riscv-virtio,hartwell",
) -> Node:
    """The tree of a machine, in the shape of QEMU's `virt`, which firmware and kernels expect.

    `isa` is a string such as `rv64imafdc_zicsr`; the tree says it both in this form and as
    `riscv,isa-base` and `riscv,isa-extensions`. `mmu` is `riscv,sv39`, `riscv,sv48`, `riscv,sv57` or
    `riscv,none`. `timebase_frequency` is in Hz, `memory` the (base, size) of each bank, `initrd` its
    first address and the first one after it. `devices` become children of /soc, `root_nodes` of the root.
    Each hart's interrupt controller has the label `cpu{n}_intc`, the hart itself `cpu{n}`.

    Raises `DeviceTreeError` for an ISA string that is none, no hart or no memory.
    """
    if harts < 1 or not memory:
        raise DeviceTreeError(f"{harts} harts and {len(memory)} banks of memory: expected at least one of each")
    chosen: dict[str, Value] = {}
    if bootargs:
        chosen["bootargs"] = bootargs
    if stdout_path:
        chosen["stdout-path"] = stdout_path
    if initrd is not None:
        chosen["linux,initrd-start"], chosen["linux,initrd-end"] = _address(initrd[0]), _address(initrd[1])
    if rng_seed:
        chosen["rng-seed"] = rng_seed
    wide: dict[str, Value] = {"#address-cells": 2, "#size-cells": 2}
    banks = [Node(f"memory@{at:x}", {"device_type": "memory", "reg": reg((at, size))}) for at, size in sorted(memory)]
    root = Node("", {**wide, "compatible": "riscv-virtio", "model": model}, [Node("chosen", chosen), *banks])
    if reserved:
        kept = [
            Node(f"{r.name}@{r.base:x}", {"reg": reg((r.base, r.size)), **({"no-map": True} if r.no_map else {})})
            for r in reserved
        ]
        root.children.append(Node("reserved-memory", {**wide, "ranges": True}, kept))
    root.children.append(_cpus(harts, isa, mmu, timebase_frequency))
    root.children.extend(root_nodes)
    root.children.append(Node("soc", {**wide, "compatible": "simple-bus", "ranges": True}, list(devices)))
    return root


def isa_extensions(isa: str) -> list[str]:
    """The extensions in an ISA string, single letters first: what `riscv,isa-extensions` lists.

    `g` stands for `imafd`; `zicsr`, `zifencei`, `zicntr` and `zihpm` are implied by ISA strings (Linux
    reads them so) and have to be listed. Raises `DeviceTreeError` unless the string is `rv64` followed
    by i or g, more single letters, and `_`-separated names, in lower case without version numbers.
    """
    match = re.fullmatch(r"rv64([ig][a-z]*)((?:_[a-z][a-z0-9]+)*)", isa)
    if match is None or (unknown := set(match[1]) - set(_LETTERS) - {"g"}):
        what = f"unknown extension {min(unknown)!r}" if match else "not an ISA string"
        raise DeviceTreeError(f"ISA {isa!r}: {what}, expected one such as rv64imafdc_zicsr")
    letters = match[1].replace("g", "imafd")
    return [c for c in _LETTERS if c in letters] + sorted({*match[2].split("_")[1:], *_IMPLIED})


def _cpus(harts: int, isa: str, mmu: str, timebase_frequency: int) -> Node:
    extensions = isa_extensions(isa)
    cpus = Node("cpus", {"#address-cells": 1, "#size-cells": 0, "timebase-frequency": timebase_frequency})
    for n in range(harts):
        # dtc asks every interrupt provider for #address-cells; QEMU's tree has none and draws a warning.
        intc: dict[str, Value] = {
            "#interrupt-cells": 1, "#address-cells": 0, "interrupt-controller": True, "compatible": "riscv,cpu-intc",
        }
        cpu: dict[str, Value] = {
            "device_type": "cpu", "reg": n, "status": "okay", "compatible": "riscv", "riscv,isa": isa,
            "riscv,isa-base": "rv64i", "riscv,isa-extensions": extensions, "mmu-type": mmu,
        }
        children = [Node("interrupt-controller", intc, label=f"cpu{n}_intc")]
        cpus.children.append(Node(f"cpu@{n:x}", cpu, children, label=f"cpu{n}"))
    cores = [Node(f"core{n}", {"cpu": Ref(f"cpu{n}")}) for n in range(harts)]
    cpus.children.append(Node("cpu-map", children=[Node("cluster0", children=cores)]))
    return cpus


def _address(address: int) -> Value:
    """An address in /chosen: one cell where it fits, as QEMU writes it and small kernels read it, else two."""
    return address if address < 1 << 32 else U64(address)


def _number(root: Node) -> dict[str, int]:
    """A phandle for each label that is referred to."""
    wanted: set[str] = set()
    used: set[int] = set()
    for _, node in root.walk():
        for value in node.properties.values():
            cells = value if isinstance(value, (list, tuple)) else [value]
            wanted.update(cell.label for cell in cells if isinstance(cell, Ref))
        own = node.properties.get("phandle")
        if own is not None:
            used.add(int.from_bytes(own, "big") if isinstance(own, bytes) else own if isinstance(own, int) else 0)
    phandles: dict[str, int] = {}
    seen: set[str] = set()
    number = 0
    for path, node in root.walk():
        if not node.label:
            continue
        if not re.fullmatch(r"[A-Za-z_][0-9A-Za-z_]*", node.label):
            raise DeviceTreeError(f"{path}: {node.label!r} is not a label")
        if node.label in seen:
            raise DeviceTreeError(f"{path}: there are two nodes with the label {node.label}")
        seen.add(node.label)
        given = node.properties.get("phandle")
        if node.label in wanted and isinstance(given, int):
            phandles[node.label] = given
        elif node.label in wanted:
            number += 1
            while number in used:
                number += 1
            phandles[node.label] = number
    return phandles


def _encode(value: Value, phandles: dict[str, int], where: str) -> bytes:
    match value:
        case True:
            return b""
        case False:
            raise DeviceTreeError(f"{where}: False is not a value: leave the property out")
        case bytes():
            return value
        case str():
            if "\0" in value:
                raise DeviceTreeError(f"{where}: a string with a NUL in it")
            return value.encode("utf-8", "surrogateescape") + b"\0"
        case U64(number):
            return _pack(number, 8, where)
        case Ref(label):
            if label not in phandles:
                raise DeviceTreeError(f"{where}: no node has the label {label}")
            return _pack(phandles[label], 4, where)
        case int():
            return _pack(value, 4, where)
    return b"".join(_encode(item, phandles, where) for item in value)


def _pack(number: int, size: int, where: str) -> bytes:
    if not 0 <= number < 1 << 8 * size:
        raise DeviceTreeError(f"{where}: {number:#x} does not fit into {8 * size} bits")
    return number.to_bytes(size, "big")


def _notation(value: Value) -> str:
    """The right-hand side of a property in DTS, in the form that suits it: nothing, strings, cells or bytes."""
    cells = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(cell, (Ref, U64)) for cell in cells):
        return f" = <{' '.join(_cell(cell) for cell in cells)}>"
    data = _encode(value, {}, "")
    if not data:
        return ""
    if data[-1] == 0 and all(re.fullmatch(rb"[ !#-\[\]-~]+", string) for string in data[:-1].split(b"\0")):
        return f' = "{data[:-1].decode("ascii")}"'.replace("\0", '", "')
    if len(data) % 4 == 0:
        return f" = <{' '.join(f'{cell:#x}' for (cell,) in struct.iter_unpack('>I', data))}>"
    return f" = [{data.hex(' ')}]"


def _cell(cell: object) -> str:
    match cell:
        case Ref(label):
            return f"&{label}"
        case U64(number):
            return f"{number >> 32:#x} {number & 0xFFFF_FFFF:#x}"
    return f"{cell:#x}"
