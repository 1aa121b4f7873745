"""Folders of made-up series for tests."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIRST = datetime(2026, 3, 2, 0, 20)


def hourly_counts(days: int, seed: int = 0, rate: float = 40.0) -> NDArray[np.int64]:
    """Draw hourly counts with a wave over the day."""
    hours = np.arange(24 * days)
    return np.random.default_rng(seed).poisson(rate * (1 + 0.5 * np.sin(2 * np.pi * hours / 24)))


def write_series(
    folder: Path, name: str, values: Sequence[object], apart: timedelta = timedelta(hours=1)
) -> Path:
    """Write a file whose rows lie evenly apart."""
    file = folder / f"{name}.csv"
    with file.open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["timestamp", "value"])
        rows.writerows((FIRST + place * apart, value) for place, value in enumerate(values))
    return file
