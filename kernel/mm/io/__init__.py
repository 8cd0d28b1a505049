"""Reading and writing memory that is not the kernel's own: frames, segments, user space.

    pod.py          types whose values may be any bytes
    window.py       what addresses mean: linear mapping, host buffer, user space
    transfer.py     copies and fills between windows, to the exact byte that faults
    cursor.py       what readers and writers share
    reader.py       VmReader, FallibleVmReader
    writer.py       VmWriter, FallibleVmWriter
    vm_io.py        VmIo: all of it at an offset of a frame or segment
"""

from .pod import Array, Pod, PodError, PodType
from .reader import AnyVmReader, FallibleVmReader, VmReader
from .vm_io import ShortFill, VmIo
from .window import KernelMemory, Translate, UserWindow
from .writer import AnyVmWriter, FallibleVmWriter, VmWriter

__all__ = [
    "AnyVmReader", "AnyVmWriter", "Array", "FallibleVmReader", "FallibleVmWriter", "KernelMemory", "Pod",
    "PodError", "PodType", "ShortFill", "Translate", "UserWindow", "VmIo", "VmReader", "VmWriter",
]
