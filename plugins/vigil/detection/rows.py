"""Passes many rows to one statement, as one bound JSON parameter that JSON_TABLE turns back into rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any


def as_json(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as a JSON array of arrays; times as text, as SQL reads them."""
    return json.dumps(list(rows), separators=(",", ":"), default=str)
