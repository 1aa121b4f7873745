"""Trains on what was past at some time, as the weekly run does: same split, same labels, same calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.nab.fitting import Predict, Rows, fit
from bench.nab.history import History
from vigil.bands import rows_needed
from vigil.calibration import Calibration, SeriesWindows, calibrate_windows
from vigil.features import FEATURE_NAMES
from vigil.grid import Grid
from vigil.training.spec.data import EventCounts
from vigil.training.spec.model import ModelSpec
from vigil.training.split import cut_sizes


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        predict: says what to expect.
        calibration: says how far that may be missed.
    """

    predict: Predict
    calibration: Calibration


@dataclass(frozen=True)
class Parts:
    """Positions of windows in one series.

    Attributes:
        history: of the series.
        train: to learn from.
        validation: to stop and to calibrate on.
        test: held out; training does not look at them.
    """

    history: History
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def train(spec: ModelSpec, histories: Sequence[History], now: int, grid: Grid) -> Model | None:
    """Train on the windows before one; return None while too few are held out to calibrate on.

    Args:
        spec: says how to split and what to fit.
        histories: of all series on the grid.
        now: number of the first window that is not past.
        grid: of the windows.
    """
    parts = [split(spec, history, now) for history in histories]
    learning = [part for part in parts if len(part.train)]
    calibrating = [part for part in parts if len(part.validation)]
    held_out = sum(len(part.validation) for part in calibrating)
    if not learning or held_out < rows_needed(spec.band.coverage):
        return None
    features = [part.history.features(part.validation) for part in calibrating]
    predict = fit(
        spec.algorithm,
        Rows(
            _stacked([part.history.features(part.train) for part in learning]),
            np.concatenate([part.history.usual[part.train] for part in learning]),
        ),
        Rows(
            _stacked(features),
            np.concatenate([part.history.observed[part.validation] for part in calibrating]),
        ),
    )
    windows = [
        windows_of(part.history, part.validation, predict(own))
        for part, own in zip(calibrating, features, strict=True)
    ]
    return Model(predict, calibrate_windows(windows, spec.band.coverage, grid))


def split(spec: ModelSpec, history: History, now: int) -> Parts:
    """Share out the windows of a series before some window."""
    known = history.known(0, now)
    known = known[known >= _warm_up(spec, history, now)]
    sizes = cut_sizes(len(known), spec.split.shares)
    train, validation, test = np.split(known, np.cumsum(sizes)[:-1])
    return Parts(history, train, validation, test)


def _warm_up(spec: ModelSpec, history: History, now: int) -> int:
    """Return how many windows at the beginning are left out: of a short past, half of it."""
    assert isinstance(spec.data, EventCounts)  # noqa: S101 - the specs of counts alone are asked for
    past = max(0, min(now - history.first, len(history.observed)))
    return min(spec.data.warm_up_days * history.grid.windows_per_day, past // 2)


def _stacked(features: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty((0, len(FEATURE_NAMES))), *features])


def windows_of(
    history: History, positions: NDArray[np.int64], expected: NDArray[np.float64]
) -> SeriesWindows:
    """Return windows with predictions and, between them, those that nobody knows."""
    first = int(positions[0])
    observed = np.full(int(positions[-1]) - first + 1, np.nan)
    predicted = observed.copy()
    observed[positions - first] = history.observed[positions]
    predicted[positions - first] = expected
    return SeriesWindows(history.series.name, history.first + first, observed, predicted)
