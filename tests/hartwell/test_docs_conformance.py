"""docs/conformance.md tells which tests there are, and docs/kernel.md names none that is not there.

The tables of the page are made from the tests themselves; `python tests/hartwell/test_docs_conformance.py`
writes them anew.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS, PAGE = ROOT / "tests", ROOT / "docs/conformance.md"
ORIGIN = {
    "boot/test_memory_region.py": "ostd/src/boot/memory_region.rs",
    "mm/frame/test_allocator.py": "ostd/src/mm/frame/allocator.rs",
    "mm/frame/test_frame.py": "ostd/src/mm/frame/test.rs",
    "mm/kspace/test_upstream.py": "ostd/src/mm/kspace/test.rs",
    "mm/page_table/test_upstream.py": "ostd/src/mm/page_table/test.rs",
    "mm/io/test_io.py": "ostd/src/mm/test.rs, io",
    "mm/vm_space/test_upstream.py": "ostd/src/mm/test.rs, vmspace",
    "osdk/frame_allocator": "osdk/deps/frame-allocator",
    "osdk/heap_allocator/test_upstream.py": "osdk/deps/heap-allocator",
}
"""Where upstream has the tests that are in a place here."""
BEGIN, END = "<!-- upstream's tests: made by tests/hartwell/test_docs_conformance.py -->", "<!-- end -->"
REQUIREMENT = re.compile(r"^\| (R\d\.\d+) \| (.*?) \|(.*)\|$", re.M)


def functions(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """File, name and docstring of every test function; the name is "" for the file's own."""
    for path in [folder] if folder.is_file() else sorted(folder.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield path, "", ast.get_docstring(tree) or ""
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield path, node.name, ast.get_docstring(node) or ""


def upstream() -> str:
    """The tables of upstream's tests."""
    from tests.kernel.test_conformance import LEFT, UPSTREAM

    lines = []
    for place, text in UPSTREAM.items():
        names = text.split()
        files = {name: path for path, name, _ in functions(TESTS / "kernel" / place)}
        lines += ["", f"### {ORIGIN[place]}: {len(names)}", "", "| upstream | here |", "|---|---|"]
        for name in names:
            mine = name if name.startswith("test_") else f"test_{name}"
            path = files[mine].relative_to(ROOT)
            lines.append(f"| `{name}` | [`{path.relative_to('tests/kernel')}`](../{path}) `{mine}` |")
    lines += ["", f"### ostd/src/mm/dma/test.rs: {len(LEFT.split())}, left out", "",
              ", ".join(f"`{name}`" for name in LEFT.split()), ""]
    return "\n".join(lines)


def named() -> dict[str, list[str]]:
    """The tests that name a requirement, by its id: in their own names, or in their or their file's docstring."""
    found: dict[str, list[str]] = {}
    for path, name, text in functions(TESTS):
        if not name and path.parent.name == "requirements":
            continue  # its tests are named one by one
        ids = set(re.findall(r"\bR[123]\.\d+", text))
        if by_name := re.match(r"test_r(\d)_(\d+)_", name):
            ids.add(f"R{by_name[1]}.{by_name[2]}")
        for requirement in ids:
            label = f"`{name}`" if name else f"all of [`{path.relative_to(TESTS)}`](../{path.relative_to(ROOT)})"
            found.setdefault(requirement, []).append(label)
    return {requirement: sorted(labels) for requirement, labels in found.items()}


def made(page: str) -> str:
    """The page with what the tests say."""
    before, _, rest = page.partition(BEGIN)
    tests = named()
    page = before + BEGIN + "\n" + upstream() + "\n" + END + rest.partition(END)[2]
    return REQUIREMENT.sub(lambda row: f"| {row[1]} | {row[2]} | {'<br>'.join(tests.get(row[1], ['none']))} |", page)


def test_the_page_lists_the_tests_that_there_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert made(page) == page, "python tests/hartwell/test_docs_conformance.py writes it anew"


def test_every_requirement_has_a_test_but_those_said_to_be_left() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = {row[1]: row for row in REQUIREMENT.finditer(page)}
    wanted = [f"R{part}.{n}" for part, last in ((1, 9), (2, 6), (3, 13)) for n in range(1, last + 1)]
    assert list(rows) == wanted
    assert [name for name, row in rows.items() if row[3] == " none " and "(left)" not in row[2]] == []


def test_tests_that_pages_name_exist() -> None:
    there = {name for _, name, _ in functions(TESTS)}
    for page in (ROOT / "docs").glob("*.md"):
        names = set(re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")))
        assert names <= there, f"{page.name} names {sorted(names - there)}"


def test_links_to_headings_lead_to_one() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target, heading in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text(encoding="utf-8")):
            text = (page.parent / target if target else page).read_text(encoding="utf-8")
            slugs = [re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
                     for line in re.findall(r"^#+ (.*)$", text, re.M)]
            assert heading in slugs, f"{page.name} links to {target}#{heading}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
