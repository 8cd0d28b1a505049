#!/usr/bin/env python3
"""Draw docs/img/hello.svg: what a terminal shows of a real run, of the checkout that this is in.

    .venv/bin/python docs/img/draw.py
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
COMMANDS = ("hartwell boot hello", "hartwell boot pagefault-sv39 | tail -n 8")


def output(command: str) -> list[str]:
    """What `command` prints, both streams together."""
    shell = command.replace("hartwell", f"{sys.executable} -m hartwell", 1)
    done = subprocess.run(shell, shell=True, cwd=HERE.parents[1], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    return (done.stdout + done.stderr).replace("\r", "").splitlines()


def main() -> None:
    """Run the commands and write the picture."""
    console = Console(record=True, width=112, file=io.StringIO(), highlight=False)
    for command in COMMANDS:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        for line in output(command):
            console.print(Text(line))
    svg = console.export_svg(title="hartwell", unique_id="hartwell")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S).replace("Fira Code, ", "")  # nothing from the network
    (HERE / "hello.svg").write_text(re.sub(r"\n\s*\n+", "\n", svg))


if __name__ == "__main__":
    main()
