"""The page of costs: well-formed, complete, without anything from elsewhere, and the same for the same report."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from emulator.timing import load_profile
from hartwell.lab.cost import Report, measure
from hartwell.lab.report.page import cost_page
from hartwell.lab.report.png import shades
from hartwell.lab.report.terminal import cost_lines
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.setting import Setting

EMPTY = {"meta", "rect", "line", "path", "image", "br"}


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    with load_subject("buddy", Setting(timing=load_profile("rocket"))) as subject:
        yield measure(subject, ["random", "fragmentation"], 600, 3)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return cost_page(report)


class Balance(HTMLParser):
    """Every element that begins ends, in order; ids are there once."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in EMPTY or tag in ("rect", "image"):  # these two may have a title
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag


def test_it_is_well_formed_and_needs_nothing_else(page: str) -> None:
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert len(set(balance.ids)) == len(balance.ids) > 4
    for link in balance.links:
        assert link.startswith("data:image/png;base64,") or link[0] == "#" and link[1:] in balance.ids
    assert "<script" not in page and "http" not in page and "@import" not in page and "url(" not in page
    for drawing in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(drawing)
    assert "prefers-color-scheme: dark" in page


def test_it_has_the_terminal_s_figures(page: str, report: Report) -> None:
    plain = re.sub(r"<[^>]+>", " ", page)
    for line in cost_lines(report)[4:]:
        for figure in re.findall(r"\d[\d,.]+", line):
            assert figure.rstrip(".,") in plain, line


def test_the_same_report_makes_the_same_page(page: str) -> None:
    with load_subject("buddy", Setting(timing=load_profile("rocket"))) as subject:
        subject.run(np.zeros(0, dtype=subject.workspace.operations[0].dtype))  # type: ignore[attr-defined]
        assert cost_page(measure(subject, ["random", "fragmentation"], 600, 3)) == page


def test_a_picture_is_what_was_drawn() -> None:
    values = np.array([[0, 1, 255], [128, 17, 0]], dtype=np.uint8)
    data = shades(values, (1, 2, 3))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + size
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (3, 2, 4, 3, 0, 0, 0)
    assert zlib.decompress(chunks[b"IDAT"]) == bytes([0, 0x01, 0xF0, 0, 0x81, 0x00])
    assert chunks[b"PLTE"][:6] == b"\1\2\3\1\2\3" and chunks[b"tRNS"][0] == 0 and chunks[b"tRNS"][15] == 255
    with pytest.raises(ValueError, match="0 x 5"):
        shades(np.zeros((5, 0), dtype=np.uint8), (0, 0, 0))


def test_pictures_of_a_page_are_pngs(page: str) -> None:
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert len(found) == 4  # a map and the free blocks, of two workloads
    assert all(base64.b64decode(each).startswith(b"\x89PNG") for each in found)
