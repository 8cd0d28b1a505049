"""Scalable drawings as text: elements with their numbers rounded, and how wide a text is, roughly.

Colours are classes, which the page's style sheet gives a meaning in light and dark.
"""

from __future__ import annotations

from html import escape
from typing import Final

SIZE: Final = 12
"""Pixels of the drawings' font."""
_NARROW: Final = frozenset("fijlrtI.,:;'|!()[]-  ")
_WIDE: Final = frozenset("mwMW%@")


def text_width(text: str, size: float = SIZE) -> float:
    """Pixels that a sans-serif font needs for `text`, rather too many than too few."""
    return size * sum(0.4 if c in _NARROW else 0.95 if c in _WIDE else 0.7 if c.isupper() else 0.62 for c in text)


def fit(text: str, width: float, size: float = SIZE) -> str:
    """As much of `text` as `width` pixels have room for, with an ellipsis if it is not all; or nothing."""
    if text_width(text, size) <= width:
        return text
    for end in range(len(text) - 1, 1, -1):
        cut = text[:end].rstrip() + "…"
        if text_width(cut, size) <= width:
            return cut
    return ""


def number(value: float) -> str:
    """A coordinate with two decimals at most."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class Svg:
    """A drawing of `width` times `height` pixels, called `name` (its ids begin with it).

    `title` says what it is and `description` what is to be seen, to those who do not see it.
    """

    def __init__(self, name: str, width: float, height: float, title: str, description: str) -> None:
        self._head = (f'<svg viewBox="0 0 {number(width)} {number(height)}" role="img" '
                      f'aria-labelledby="{name}-title {name}-desc">'
                      f'<title id="{name}-title">{escape(title)}</title>'
                      f'<desc id="{name}-desc">{escape(description)}</desc>')
        self._parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, kind: str, title: str = "") -> None:
        """A rectangle; `title` is shown to who points at it."""
        shape = (f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" '
                 f'class="{kind}"')
        self._parts.append(f"{shape}><title>{escape(title)}</title></rect>" if title else f"{shape}/>")

    def path(self, data: str, kind: str) -> None:
        """A path, if there is anything in it."""
        if data:
            self._parts.append(f'<path d="{data}" class="{kind}"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A line."""
        self._parts.append(f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" '
                           f'class="{kind}"/>')

    def image(self, x: float, y: float, width: float, height: float, source: str, title: str = "") -> None:
        """A picture, stretched; its pixels stay squares with edges. `source` is an address, such as a `data:` one."""
        shape = (f'<image x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" '
                 f'preserveAspectRatio="none" style="image-rendering: pixelated" href="{escape(source)}"')
        self._parts.append(f"{shape}><title>{escape(title)}</title></image>" if title else f"{shape}/>")

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """A text whose base line begins, has its middle or ends at x, y."""
        if text:
            look = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
            self._parts.append(f'<text x="{number(x)}" y="{number(y)}"{look}>{escape(text)}</text>')

    def __str__(self) -> str:
        return f"{self._head}{''.join(self._parts)}</svg>"


def box(x: float, y: float, width: float, height: float) -> str:
    """A rectangle as a piece of a path."""
    return f"M{number(x)} {number(y)}h{number(width)}v{number(height)}h{number(-width)}z"


def ticks(end: int, most: int = 8) -> list[int]:
    """Round numbers from 0 to `end`, at most `most` + 1 of them."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if end <= step * factor * most:
                return list(range(0, end + 1, step * factor))
        step *= 10


def brief(size: int) -> str:
    """Bytes in few characters, in units of 1024: 512G, 2.13G, 584K."""
    for shift, letter in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if size >> shift:
            return f"{size / (1 << shift):.3g}{letter}" if size >> shift < 1000 else f"{size >> shift}{letter}"
    return str(size)


def short(value: int) -> str:
    """A number in few characters: 950, 1.5k, 20M."""
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{value / unit:.4g}{letter}"
    return str(value)
