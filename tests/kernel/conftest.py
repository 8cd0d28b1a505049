"""The fixtures `kernel` and `mm` for tests of the kernel."""

from tests.helpers.kernels import kernel, mm

__all__ = ["kernel", "mm"]
