"""Hartwell: the tool people type. It knows the emulator; nothing below knows it."""

__version__ = "0.1.0"
