"""Pages of HTML that need nothing else: no script, nothing loaded from anywhere, colours by the reader's choice of
light or dark (style.css).

        document(title, [section("Phases", drawing, table(heads, rows)), …])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Final

STYLE: Final = "style.css"


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """A whole page; what is empty of its parts is left out. `style` is added to the style sheet."""
    sheet = (files("hartwell.explain") / STYLE).read_text(encoding="utf-8") + style
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
            f"<style>\n{sheet}</style>\n</head>\n<body>\n" + "\n".join(part for part in parts if part)
            + "\n</body>\n</html>\n")


def section(heading: str, *parts: str, note: str = "") -> str:
    """A part of a page under a heading; what is empty is left out."""
    shown = [f"<h2>{escape(heading)}</h2>", f'<p class="note">{escape(note)}</p>' if note else "", *parts]
    return "<section>" + "\n".join(part for part in shown if part) + "</section>"


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """What colours mean: pairs of a class of the style sheet and a text."""
    items = "".join(f'<li><span class="{kind}"></span>{escape(text)}</li>' for kind, text in entries)
    return f'<ul class="legend">{items}</ul>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, numbers: Sequence[int] | None = None,
          foot: Sequence[str] | None = None) -> str:
    """A table; columns from `left` on hold numbers, or those of `numbers` alone."""
    right = set(range(left, len(heads)) if numbers is None else numbers)

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(f'<{tag}{" class=" + chr(34) + "n" + chr(34) if n in right else ""}>{escape(text)}</{tag}>'
                       for n, text in enumerate(row))

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    end = f"<tfoot><tr>{cells(foot, 'td')}</tr></tfoot>" if foot is not None else ""
    return (f'<div class="wide"><table><thead><tr>{cells(heads, "th")}</tr></thead>\n<tbody>{body}</tbody>{end}'
            "</table></div>")


def more(number: int, what: str) -> str:
    """That a list has `number` more of something; nothing if it has not."""
    return f'<p class="note">… and {number:,} more {what}</p>' if number > 0 else ""
