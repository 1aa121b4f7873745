"""Rows with known answers: an endpoint must say of them what its model said in Batch Transform.

Written by the training domain when a candidate is registered, asked by the release domain after a deployment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SmokeTest:
    """Some held-out rows and a model's own answers to them.

    Attributes:
        rows: features, shape (n, features).
        answers: shape (n, 1), or (n, classes) when a model answers a probability for each class.
    """

    rows: tuple[tuple[float, ...], ...]
    answers: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the test as JSON-like content."""
        return {"rows": [list(row) for row in self.rows], "answers": [list(row) for row in self.answers]}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> SmokeTest:
        """Read a test from JSON-like content."""
        return cls(
            rows=tuple(tuple(map(float, row)) for row in content["rows"]),
            answers=tuple(tuple(map(float, row)) for row in content["answers"]),
        )
