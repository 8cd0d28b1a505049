"""`hartwell images`: the test images, what each shows and how it ends."""

from __future__ import annotations

from hartwell import catalogue

_ENDINGS = {"watchdog": "never (watchdog)", "trap-loop": "trap loop"}


def images() -> None:
    """List the test images that come with Hartwell.

    \b
    [b]Examples[/b]
      hartwell images            this list
      hartwell boot timer        boot one of them
      hartwell info timer        what is inside
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("image", "shows", "mode", "harts", "ends with"):
        table.add_column(heading, no_wrap=heading != "shows")
    for image in catalogue.everything():
        ends = str(image.exit) if image.exit is not None else _ENDINGS.get(image.ends, image.ends)
        table.add_row(image.name, image.title, "M" if image.in_firmware_place else "S", str(image.smp), ends)
    Console(highlight=False).print(table)
