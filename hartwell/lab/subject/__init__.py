"""What is tested: an allocator, of a kind, in a kernel's machine; `load_subject` makes one from a SPEC."""

from .spec import load_subject
from .subject import Subject, SubjectKind

__all__ = ["Subject", "SubjectKind", "load_subject"]
