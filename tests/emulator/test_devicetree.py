"""Device trees: building, compiling, reading, amending, and the tree of a machine."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from emulator.devicetree import (
    U64,
    Node,
    Ref,
    ReservedMemory,
    Value,
    amend,
    compile_tree,
    decompile,
    describe_machine,
    isa_extensions,
    parse,
    reg,
    source,
)
from emulator.errors import DeviceTreeError

needs_dtc = pytest.mark.skipif(shutil.which("dtc") is None, reason="dtc (device-tree-compiler) is not installed")
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-riscv64") is None, reason="qemu-system-riscv64 is not installed"
)

BASE = 0x8000_0000


def root(**properties: Value) -> Node:
    return Node("", {key.replace("_", "-"): value for key, value in properties.items()})


def compiled_value(value: Value) -> Value:
    return parse(compile_tree(root(x=value))).root.properties["x"]


def devices(harts: int) -> list[Node]:
    """The devices of the board, as far as other nodes of the tree refer to them."""
    plic = [cell for n in range(harts) for cell in (Ref(f"cpu{n}_intc"), 11, Ref(f"cpu{n}_intc"), 9)]
    clint = [cell for n in range(harts) for cell in (Ref(f"cpu{n}_intc"), 3, Ref(f"cpu{n}_intc"), 7)]
    return [
        Node("clint@2000000", {
            "compatible": ["sifive,clint0", "riscv,clint0"], "reg": reg((0x200_0000, 0x1_0000)),
            "interrupts-extended": clint,
        }),
        Node("plic@c000000", {
            "compatible": ["sifive,plic-1.0.0", "riscv,plic0"], "reg": reg((0xC00_0000, 0x60_0000)), "riscv,ndev": 96,
            "#interrupt-cells": 1, "#address-cells": 0, "interrupt-controller": True, "interrupts-extended": plic,
        }, label="plic"),
        Node("serial@10000000", {
            "compatible": "ns16550a", "reg": reg((0x1000_0000, 0x100)), "clock-frequency": 3_686_400,
            "interrupts": 10, "interrupt-parent": Ref("plic"),
        }),
        Node("test@100000", {
            "compatible": ["sifive,test1", "sifive,test0", "syscon"], "reg": reg((0x10_0000, 0x1000)),
        }, label="test"),
    ]


def machine(harts: int = 2, **changes: object) -> Node:
    arguments: dict[str, object] = {
        "harts": harts, "isa": "rv64imafdc", "mmu": "riscv,sv48", "timebase_frequency": 10_000_000,
        "memory": [(BASE, 256 << 20)], "devices": devices(harts), "stdout_path": "/soc/serial@10000000",
        "root_nodes": [Node("poweroff", {
            "compatible": "syscon-poweroff", "regmap": Ref("test"), "offset": 0, "value": 0x5555,
        })],
    }
    return describe_machine(**{**arguments, **changes})  # type: ignore[arg-type]


def found(tree: Node, path: str) -> Node:
    node = tree.find(path)
    assert node is not None, path
    return node


def dtc(data: bytes, *options: str) -> tuple[str, str]:
    done = subprocess.run(["dtc", *options], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(), done.stderr.decode()


# --- building ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0x1234, b"\0\0\x12\x34"),
        (U64(0x1_8000_0000), b"\0\0\0\x01\x80\0\0\0"),
        ([1, U64(2)], b"\0\0\0\x01\0\0\0\0\0\0\0\x02"),
        ("ns16550a", b"ns16550a\0"),
        ("", b"\0"),
        (["a", "bc"], b"a\0bc\0"),
        (b"\x01\x02\x03", b"\x01\x02\x03"),
        (True, True),
        (b"", True),
        ([], True),
    ],
)
def test_value_is_encoded(value: Value, data: Value) -> None:
    assert compiled_value(value) == data


def test_reg_is_pairs_of_64_bits() -> None:
    assert compiled_value(reg((BASE, 0x1000))) == struct.pack(">QQ", BASE, 0x1000)


@pytest.mark.parametrize("value", [-1, 1 << 32, U64(1 << 64), [U64(-1)], "a\0b", ["a\0"], False, Ref("nobody")])
def test_value_that_cannot_be_encoded_is_refused(value: Value) -> None:
    with pytest.raises(DeviceTreeError, match=r"^/: property x: "):
        compile_tree(root(x=value))


def test_phandles_are_numbered_in_order_of_appearance() -> None:
    children = [Node("a", label="a"), Node("unused", label="u"), Node("b", label="b")]
    tree = Node("", {"x": [Ref("b"), Ref("a")]}, children)
    read = parse(compile_tree(tree)).root
    assert read.properties["x"] == struct.pack(">II", 2, 1)
    assert found(read, "/a").properties == {"phandle": struct.pack(">I", 1)}
    assert found(read, "/unused").properties == {}


def test_phandles_avoid_numbers_that_are_taken() -> None:
    tree = Node("", {"x": Ref("a")}, [Node("a", label="a"), Node("z", {"phandle": 1})])
    assert parse(compile_tree(tree)).root.properties["x"] == struct.pack(">I", 2)


def test_given_phandle_is_kept() -> None:
    tree = Node("", {"x": Ref("a")}, [Node("a", {"phandle": 7}, label="a")])
    assert parse(compile_tree(tree)).root.properties["x"] == struct.pack(">I", 7)


def test_label_that_is_there_twice_is_refused() -> None:
    with pytest.raises(DeviceTreeError, match=r"^/b: .* label a$"):
        compile_tree(Node("", {}, [Node("a", label="a"), Node("b", label="a")]))


def test_node_that_is_there_twice_is_refused() -> None:
    with pytest.raises(DeviceTreeError, match=r"^/soc/a: "):
        compile_tree(Node("", {}, [Node("soc", {}, [Node("a"), Node("a")])]))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a@", "a@b@c", "ä"])
def test_malformed_node_name_is_refused(name: str) -> None:
    with pytest.raises(DeviceTreeError, match="not a node name"):
        compile_tree(Node("", {}, [Node(name)]))


@pytest.mark.parametrize("label", ["a b", "1a", "a-b", "ä"])
def test_malformed_label_is_refused(label: str) -> None:
    with pytest.raises(DeviceTreeError, match="not a label"):
        compile_tree(Node("", {}, [Node("a", label=label)]))


@pytest.mark.parametrize("name", ["", "a b", "ä"])
def test_malformed_property_name_is_refused(name: str) -> None:
    with pytest.raises(DeviceTreeError, match="not a property name"):
        compile_tree(Node("", {name: 1}))


def test_same_nodes_give_the_same_bytes() -> None:
    assert compile_tree(machine()) == compile_tree(machine())


def test_reservations_and_boot_hart_are_kept() -> None:
    tree = parse(compile_tree(root(), [(BASE, 0x1000), (1 << 40, 8)], boot_hart=3))
    assert (tree.reservations, tree.boot_hart) == (((BASE, 0x1000), (1 << 40, 8)), 3)


def test_reservations_of_one_tree_do_not_reach_the_next() -> None:
    decompile(compile_tree(root(), [(BASE, 0x1000)]))
    assert "memreserve" not in decompile(compile_tree(root()))


def test_building_does_not_change_the_nodes() -> None:
    tree = Node("", {"x": Ref("a")}, [Node("a", label="a")])
    compile_tree(tree)
    assert found(tree, "/a").properties == {}


# --- text -------------------------------------------------------------------------------------------

WIDE: list[int | U64] = [U64(1 << 40), 3]
AWKWARD: list[Value] = [
    "quote \" here", "back\\slash", "tab\there", "", ["a", ""], ["a", "b"], b"abc", b"\0\0\0\0", b"ab\0\0", b"\xff\0",
    0x61626300, [1, 2], WIDE, True, "a" * 300,
]


def recompiled(text: str) -> tuple[bytes, str]:
    """What dtc makes of DTS text: the tree and its warnings."""
    done = subprocess.run(["dtc", "-I", "dts", "-O", "dtb"], input=text.encode(), capture_output=True, check=True)
    return done.stdout, done.stderr.decode()


@needs_dtc
@pytest.mark.parametrize("value", AWKWARD, ids=repr)
def test_text_compiles_back_to_the_same_value(value: Value) -> None:
    data = compile_tree(root(x=value))
    assert parse(recompiled(decompile(data))[0]) == parse(data)
    assert parse(recompiled(source(root(x=value)))[0]) == parse(data)


@needs_dtc
@pytest.mark.parametrize("harts", [1, 8])
def test_source_of_a_machine_compiles_to_the_same_tree_without_a_warning(harts: int) -> None:
    tree = machine(harts, reserved=[ReservedMemory(BASE, 0x8_0000, "firmware", no_map=True)], bootargs="quiet")
    text = source(tree, [(BASE, 4096)])
    data, warnings = recompiled(text)
    assert warnings == ""
    assert parse(data) == parse(compile_tree(tree, [(BASE, 4096)]))
    assert "interrupt-parent = <&plic>;" in text


@needs_dtc
def test_decompiled_machine_compiles_back_to_the_same_tree() -> None:
    data = compile_tree(machine(), [(BASE, 4096)])
    assert parse(recompiled(decompile(data))[0]) == parse(data)


# --- the machine's tree -----------------------------------------------------------------------------


@needs_dtc
@pytest.mark.parametrize("harts", [1, 2, 8])
def test_machine_tree_draws_no_warning_from_dtc(harts: int) -> None:
    tree = machine(
        harts, memory=[(BASE, 1 << 30), (1 << 33, 1 << 30)], bootargs="console=ttyS0", initrd=(BASE, BASE + 100),
        reserved=[ReservedMemory(BASE, 0x8_0000, "firmware", no_map=True), ReservedMemory(BASE + 0x10_0000, 4096)],
        rng_seed=bytes(range(32)),
    )
    text, warnings = dtc(compile_tree(tree), "-I", "dtb", "-O", "dts")
    assert warnings == ""
    assert text.startswith("/dts-v1/;")


@needs_qemu
def test_machine_tree_has_what_qemus_has(tmp_path: Path) -> None:
    """Each property of QEMU's nodes is in ours, with the same value or one that may differ."""
    blob = tmp_path / "virt.dtb"
    command = ["qemu-system-riscv64", "-M", f"virt,dumpdtb={blob}", "-smp", "2", "-m", "256M"]
    subprocess.run(command, capture_output=True, check=True)
    theirs, ours = parse(blob.read_bytes()).root, parse(compile_tree(machine(2))).root
    may_differ = {
        "phandle", "riscv,isa", "model", "rng-seed", "mmu-type",
        "cpu", "interrupt-parent", "regmap", "interrupts-extended",  # phandles
    }
    shared = ("", "cpus", "memory@80000000", "chosen", "poweroff")
    paths = [path for path, _ in theirs.walk() if path.split("/")[1] in shared]
    paths += ["/soc", "/soc/clint@2000000", "/soc/plic@c000000", "/soc/serial@10000000", "/soc/test@100000"]
    assert len(paths) > 12
    for path in paths:
        for name, value in found(theirs, path).properties.items():
            if name not in {"phandle", "rng-seed"}:  # ours are where they are needed
                assert name in found(ours, path).properties, (path, name)
            if name not in may_differ:
                assert found(ours, path).properties[name] == value, (path, name)


def test_each_hart_is_a_cpu_with_an_interrupt_controller() -> None:
    tree = machine(3)
    assert [cpu.name for cpu in found(tree, "/cpus").children] == ["cpu@0", "cpu@1", "cpu@2", "cpu-map"]
    for n in range(3):
        assert found(tree, f"/cpus/cpu@{n}").properties["reg"] == n
        assert found(tree, f"/cpus/cpu@{n}/interrupt-controller").label == f"cpu{n}_intc"


def test_hart_ten_has_a_hexadecimal_unit_address() -> None:
    assert found(machine(11), "/cpus/cpu@a").properties["reg"] == 10


def test_isa_is_given_in_both_forms() -> None:
    cpu = found(machine(), "/cpus/cpu@0").properties
    assert (cpu["riscv,isa"], cpu["riscv,isa-base"]) == ("rv64imafdc", "rv64i")
    assert cpu["riscv,isa-extensions"] == ["i", "m", "a", "f", "d", "c", "zicntr", "zicsr", "zifencei", "zihpm"]


@pytest.mark.parametrize(
    ("isa", "extensions"),
    [
        ("rv64gc", "i m a f d c zicntr zicsr zifencei zihpm"),
        ("rv64i", "i zicntr zicsr zifencei zihpm"),
        ("rv64ima_zba_sstc_zicsr", "i m a sstc zba zicntr zicsr zifencei zihpm"),
    ],
)
def test_isa_string_is_taken_apart(isa: str, extensions: str) -> None:
    assert isa_extensions(isa) == extensions.split()


@pytest.mark.parametrize(
    "isa", ["", "rv32imac", "rv64", "rv64mac", "RV64I", "rv64i2p1", "rv64iz", "rv64i_", "rv64i__zba"]
)
def test_senseless_isa_is_refused(isa: str) -> None:
    with pytest.raises(DeviceTreeError, match="ISA"):
        isa_extensions(isa)


def test_every_memory_bank_is_a_node() -> None:
    tree = parse(compile_tree(machine(memory=[(1 << 33, 4096), (BASE, 1 << 30)]))).root
    assert found(tree, "/memory@200000000").properties["reg"] == struct.pack(">QQ", 1 << 33, 4096)
    assert found(tree, "/memory@80000000").properties["reg"] == struct.pack(">QQ", BASE, 1 << 30)


def test_reserved_memory_is_described() -> None:
    tree = machine(reserved=[ReservedMemory(BASE, 4096, "firmware", no_map=True), ReservedMemory(BASE + 4096, 4096)])
    assert found(tree, "/reserved-memory").properties == {"#address-cells": 2, "#size-cells": 2, "ranges": True}
    assert found(tree, "/reserved-memory/firmware@80000000").properties["no-map"] is True
    assert "no-map" not in found(tree, "/reserved-memory/reserved@80001000").properties


def test_no_reserved_memory_is_no_node() -> None:
    assert machine().find("/reserved-memory") is None


def test_chosen_says_what_was_chosen() -> None:
    chosen = found(machine(bootargs="quiet", initrd=(0x8400_0000, 0x8400_1000), rng_seed=b"1234"), "/chosen").properties
    assert chosen == {
        "bootargs": "quiet", "stdout-path": "/soc/serial@10000000", "linux,initrd-start": 0x8400_0000,
        "linux,initrd-end": 0x8400_1000, "rng-seed": b"1234",
    }


def test_chosen_is_there_for_loaders_to_fill() -> None:
    assert found(machine(stdout_path=""), "/chosen").properties == {}


def test_initrd_beyond_4_gib_takes_two_cells() -> None:
    chosen = found(parse(compile_tree(machine(initrd=(1 << 32, (1 << 32) + 1)))).root, "/chosen").properties
    assert chosen["linux,initrd-start"] == struct.pack(">Q", 1 << 32)


@pytest.mark.parametrize("changes", [{"harts": 0}, {"memory": []}])
def test_machine_of_nothing_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(DeviceTreeError, match="at least one"):
        machine(**changes)  # type: ignore[arg-type]


# --- trees from users -------------------------------------------------------------------------------


def test_amend_sets_the_command_line_and_the_initrd() -> None:
    chosen = found(parse(amend(compile_tree(machine()), "quiet", 0x8400_0000, 0x8400_0010)).root, "/chosen").properties
    assert chosen["bootargs"] == b"quiet\0"
    assert chosen["linux,initrd-start"] == struct.pack(">I", 0x8400_0000)
    assert chosen["linux,initrd-end"] == struct.pack(">I", 0x8400_0010)


def test_amend_makes_a_missing_chosen() -> None:
    assert found(parse(amend(compile_tree(root()), "quiet")).root, "/chosen").properties == {"bootargs": b"quiet\0"}


def test_amend_replaces_what_the_file_says_and_no_more() -> None:
    before = compile_tree(machine(bootargs="old", initrd=(1, 2)), [(BASE, 16)], boot_hart=1)
    after = parse(amend(before, "new"))
    expected = parse(before)
    found(expected.root, "/chosen").properties["bootargs"] = b"new\0"
    assert after == expected


def test_amend_without_changes_is_the_same_tree() -> None:
    before = compile_tree(machine(), [(BASE, 16)])
    assert amend(before) == before


def test_padding_behind_the_tree_is_no_error() -> None:
    data = compile_tree(root(x=1))
    assert parse(data + bytes(100)) == parse(data)
