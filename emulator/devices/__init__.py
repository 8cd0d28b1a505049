"""The devices, one to a file; `device` says what one is."""

from . import clint, plic, uart16550

NATIVE = (clint, plic, uart16550)
"""The modules with native functions."""

__all__ = ["NATIVE"]
