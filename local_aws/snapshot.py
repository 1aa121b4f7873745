"""Keeps the state of everything across restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_aws.sagemaker.store import Store


class Snapshot:
    """Writes the state soon after it changes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def attach(self, store: Store) -> None:
        """Name the store of SageMaker's records."""
        self._store = store

    def note_change(self) -> None:
        """Remember that something changed."""

    @contextmanager
    def change(self) -> Iterator[None]:
        """Hold a save back while moto changes something."""
        yield

    def load(self) -> None:
        """Take up the kept state."""

    def start(self) -> None:
        """Begin to save."""

    def close(self) -> None:
        """Save for the last time."""
