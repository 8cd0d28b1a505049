"""The console's transcript: what the guest has printed, and how far `Machine.expect` has read it."""

from __future__ import annotations


class Transcript:
    """Everything that was printed; `pattern` is what is looked for in it, b"" for nothing."""

    def __init__(self) -> None:
        self.pattern = b""
        self._text = bytearray()
        self._searched = 0

    @property
    def text(self) -> bytes:
        """Everything printed so far."""
        return bytes(self._text)

    @property
    def searched(self) -> int:
        """How many bytes of it are done with."""
        return self._searched

    def add(self, data: bytes) -> None:
        """The guest has printed `data`."""
        self._text += data

    def matched(self) -> bool:
        """Whether there is a pattern, and it stands behind what is done with; then that ends with it."""
        if not self.pattern:
            return False
        at = self._text.find(self.pattern, self._searched)
        if at < 0:
            self._searched = max(self._searched, len(self._text) - len(self.pattern) + 1)
            return False
        self._searched = at + len(self.pattern)
        return True

    def restore(self, text: bytes, searched: int) -> None:
        """Be what a transcript was that had this `text`."""
        self._text[:] = text
        self._searched = searched
