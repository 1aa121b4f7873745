"""What an instance said last."""

from __future__ import annotations

from datetime import UTC, datetime

_KEPT_BYTES = 65_536


class Console:
    """The end of an instance's output, as the cloud keeps it."""

    def __init__(self) -> None:
        self.changed_at = datetime.now(UTC)
        self._tail = b""

    def write(self, data: bytes) -> None:
        """Add to the output."""
        self._tail = (self._tail + data)[-_KEPT_BYTES:]
        self.changed_at = datetime.now(UTC)

    def read(self) -> bytes:
        """Give the last 64 KiB."""
        return self._tail
