#!/usr/bin/env python3
"""Draw docs/img/*.svg: what a terminal, or a page, shows of real runs, of the checkout that this is in.

    .venv/bin/python docs/img/draw.py
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
PICTURES = {
    "hello": ("hartwell boot hello", "hartwell boot pagefault-sv39 | tail -n 8"),
    "lab-test": ("hartwell test buddy/align-ignored",),
    "kernel": ("hartwell boot | tail -n +12", "hartwell frames 0x87e08000 | head -n 18"),
}
"""Commands by the name of the picture that shows them."""
PAGES = {"lab-cost": "hartwell lab cost buddy -w sawtooth --html"}
"""Commands that write a page whose first drawing is the picture."""


def output(command: str) -> list[str]:
    """What `command` prints, both streams together."""
    shell = command.replace("hartwell", f"{sys.executable} -m hartwell", 1)
    done = subprocess.run(shell, shell=True, cwd=HERE.parents[1], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    return (done.stdout + done.stderr).replace("\r", "").splitlines()


def main() -> None:
    """Draw all pictures."""
    for name, commands in PICTURES.items():
        draw(name, commands)
    for name, command in PAGES.items():
        cut_out(name, command)


def draw(name: str, commands: tuple[str, ...]) -> None:
    """Run the commands and write the picture."""
    console = Console(record=True, width=112, file=io.StringIO(), highlight=False)
    for command in commands:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        for line in output(command):
            console.print(Text(line))
    svg = console.export_svg(title="hartwell", unique_id="hartwell")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S).replace("Fira Code, ", "")  # nothing from the network
    (HERE / f"{name}.svg").write_text(re.sub(r"\n\s*\n+", "\n", svg))


def cut_out(name: str, command: str) -> None:
    """Have the page written, and make a picture of its first drawing and its style sheet."""
    with TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        output(f"{command} {page}")
        text = page.read_text(encoding="utf-8")
    style, drawing = (re.search(rf"<{tag}\b.*?</{tag}>", text, re.S) for tag in ("style", "svg"))
    assert style is not None and drawing is not None
    head, rest = drawing[0].split(">", 1)
    ground = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    (HERE / f"{name}.svg").write_text(f'{head} xmlns="http://www.w3.org/2000/svg">{style[0]}{ground}{rest}\n',
                                      encoding="utf-8")


if __name__ == "__main__":
    main()
