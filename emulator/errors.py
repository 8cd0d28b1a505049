"""The errors of the emulator: every one typed, each saying what, where and what was expected."""

from __future__ import annotations

from typing import Self


class EmulatorError(Exception):
    """Anything that the emulator refuses; the text is one line fit for a user's eyes."""


class EngineError(EmulatorError):
    """The CPU engine is not the one this code knows, or it failed its start-up self-check."""


class NativeCodeError(EmulatorError):
    """The native hooks cannot be compiled or loaded on this machine."""


class HistoryError(EmulatorError):
    """A debugger is asked for a place that its history does not have, or to change a past that cannot be changed."""


class SizeError(EmulatorError):
    """A size as typed by the user is no size, or not a sensible one."""


class InputFileError(EmulatorError):
    """A file named by the user is missing, unreadable, empty or not a file."""


class MalformedFileError(EmulatorError):
    """The contents of a file are not what its format asks for."""

    @classmethod
    def at(cls, name: str, offset: int, what: str, found: object, expected: str) -> Self:
        """The error that says all a user needs: which file, where in it, what is there and what should be."""
        return cls(f"{name}: {what} at offset {offset:#x}: found {found}, expected {expected}")


class ImageError(MalformedFileError):
    """A program file (ELF, Linux Image, flat binary) cannot be loaded."""


class DeviceTreeError(MalformedFileError):
    """A device tree is malformed, or cannot be built from what was asked for."""


class PlacementError(EmulatorError):
    """Firmware, kernel, initrd and device tree do not fit into the machine's memory, or overlap."""


class BoardError(EmulatorError):
    """A board that cannot be built: too many harts, impossible memory, clashing devices."""


class BusError(EmulatorError):
    """A physical address at which nothing answers."""


class RegisterError(EmulatorError):
    """A register or CSR that does not exist."""


class SnapshotError(MalformedFileError):
    """A snapshot cannot be taken, saved, read or put back: a damaged file, another board, a disk that changed."""


class DeviceFailedError(EmulatorError):
    """A device written in Python raised an exception while the guest accessed it (the cause is chained)."""


class ProfileError(EmulatorError):
    """A timing profile that cannot be: no such name, a file that is no profile, a value out of range."""

    @classmethod
    def at(cls, where: str, key: str, found: str, expected: str) -> Self:
        """The error that says which file or profile, which `table.key` in it, what is there and what should be."""
        return cls(f"{where}: {key} = {found}: expected {expected}")
