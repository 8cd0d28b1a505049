"""System-call arguments: registers as the C types that they carry."""

from __future__ import annotations


def signed(value: int, bits: int = 64) -> int:
    """A register's low `bits` as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value
