"""Verdicts on windows of any grid, as the pipeline makes them of five-minute ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bench.nab.history import History
from vigil.detection.verdicts import Verdict
from vigil.grid import Grid

_EPOCH = datetime(1970, 1, 1)
_MODEL_VERSION = "replayed/1"


def verdicts_on(
    history: History, positions: NDArray[np.int64], scores: NDArray[np.float64], sides: Sequence[str]
) -> list[Verdict]:
    """Return verdicts on windows of one series.

    Args:
        history: of the series.
        positions: of the windows, n of them.
        scores: how rare they are, shape (n,).
        sides: high, low or normal, n of them.
    """
    rows = zip(
        positions.tolist(),
        # A folder may hold numbers that are no whole ones.
        cast("list[int]", history.observed[positions].tolist()),
        history.expected[positions].tolist(),
        history.judgement.lower[positions].tolist(),
        history.judgement.upper[positions].tolist(),
        scores.tolist(),
        history.judgement.extrapolated[positions].tolist(),
        sides,
        strict=True,
    )
    name, grid, first = history.series.name, history.grid, history.first
    return [
        Verdict(name, start_of(first + position, grid), 1, _MODEL_VERSION, *numbers)
        for position, *numbers in rows
    ]


def start_of(number: int, grid: Grid) -> datetime:
    """Return the start of the window with a number since the epoch."""
    return _EPOCH + timedelta(seconds=number * grid.window_seconds)


def number_of(start: datetime, grid: Grid) -> int:
    """Return the number since the epoch of the window with a start."""
    return (start - _EPOCH) // timedelta(seconds=grid.window_seconds)
