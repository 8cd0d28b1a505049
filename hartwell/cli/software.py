"""What to boot: from names and paths on the command line to images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from hartwell import catalogue
from hartwell.catalogue import TestImage

from .status import CommandError

if TYPE_CHECKING:
    from emulator.loader.model import Image

RAM = 0x8000_0000
FIRMWARE_NAME = "hartwell-sbi.elf"


@dataclass(frozen=True)
class Software:
    """A kernel and the firmware below it, if there is any; `listed` is the kernel's catalogue entry, if it has one."""

    firmware: Image | None
    kernel: Image | None
    listed: TestImage | None

    @property
    def images(self) -> list[Image]:
        """Those that there are, from the lowest on."""
        return [each for each in (self.firmware, self.kernel) if each is not None]


def choose(image: str | None, kernel: str | None, bios: str | None) -> Software:
    """What IMAGE, --kernel and --bios name. CommandError, InputFileError or ImageError says what is wrong."""
    if image is not None and kernel is not None:
        raise CommandError(f"both IMAGE ({image}) and --kernel ({kernel}) name a kernel: give one of them")
    listed = catalogue.find(image) if image is not None else None
    if bios is None and listed is not None and listed.in_firmware_place:
        bios = "none"
    firmware = load_firmware(bios)
    if listed is not None:
        return Software(firmware, load_listed(listed), listed)
    path = kernel if kernel is not None else image
    if path is None:
        raise CommandError("nothing to boot: name the path of an ELF, Linux Image or flat binary, or one of the "
                           f"test images: {', '.join(catalogue.names())}; start with: hartwell boot hello")
    if image is not None:
        check_known(image)
    return Software(firmware, load_path(path, "kernel", firmware), None)


def load_firmware(bios: str | None) -> Image | None:
    """The firmware that --bios names: ours by default, None for "none"."""
    from emulator.loader.detect import load_image, read_file

    if bios == "none":
        return None
    if bios is not None:
        return load_image(read_file(bios, "firmware"), bios, RAM)
    ours = files("firmware") / FIRMWARE_NAME
    if not ours.is_file():
        raise CommandError("the firmware is not built: run make firmware, or name another with --bios")
    return load_image(ours.read_bytes(), FIRMWARE_NAME, RAM)


def load_listed(image: TestImage) -> Image:
    """The program of a catalogue entry."""
    from emulator.loader.detect import load_image

    try:
        data = image.program()
    except OSError:
        raise CommandError(f"the image {image.name} is not built: run make images") from None
    return load_image(data, f"{image.name}.elf", RAM)


def load_path(path: str, what: str, firmware: Image | None) -> Image:
    """The program in a file, placed behind `firmware` if its format does not say where it goes."""
    from emulator.loader.detect import load_image, read_file
    from emulator.loader.placement import kernel_address

    return load_image(read_file(path, what), path, kernel_address(firmware, RAM))


def check_known(image: str) -> None:
    """Help someone who mistyped an image's name; a path is for `read_file` to refuse."""
    if os.path.lexists(image) or "/" in image or "." in image:
        return
    import difflib

    close = difflib.get_close_matches(image, catalogue.names(), 1)
    hint = f"did you mean {close[0]}?" if close else "hartwell images lists the images"
    raise CommandError(f"no image and no file is called {image!r}: {hint}")


def placement_hint(software: Software) -> str:
    """What to try when firmware and kernel want the same memory."""
    firmware, kernel = software.firmware, software.kernel
    if firmware is not None and kernel is not None and kernel.start < firmware.end and firmware.start < kernel.end:
        return "; a program linked where the firmware is runs in its place, in M-mode: add --bios none"
    return ""
