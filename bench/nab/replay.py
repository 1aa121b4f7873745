"""Replays series as time went by: train on the past, judge the next windows, and so on to the end.

Nothing looks ahead: a model learns from windows before the first one it judges, statistics are drawn once a
day from the days before, and what a window counts as in later features follows from its own verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.nab.folder import Series
from bench.nab.history import History
from bench.nab.training import Model, train
from bench.nab.verdicts import verdicts_on
from vigil.calibration import Calibration, judge_windows
from vigil.detection.expectations.rules import sides_of
from vigil.detection.verdicts import NORMAL
from vigil.features import most_at_once
from vigil.grid import Grid
from vigil.training.spec.model import ModelSpec

_FIRST_TRAINING_DAYS, _DAYS_APART = 2, 7

Progress = Callable[[int], None]
"""Is told of the windows that are done."""


@dataclass(frozen=True)
class Reign:
    """The time in which one model judges: from some window on until the next one takes over.

    Attributes:
        start: number of the window since the epoch.
        model: that judges.
    """

    start: int
    model: Model


@dataclass
class Replayed:
    """What came of the series of one grid.

    Attributes:
        histories: of the series.
        reigns: of the models, in order.
        judged: windows.
        judging_s: seconds that judging them took.
    """

    histories: list[History]
    reigns: list[Reign] = field(default_factory=list)
    judged: int = 0
    judging_s: float = 0.0


def replay(
    series: Sequence[Series], spec: ModelSpec, false_incidents_per_month: float, progress: Progress
) -> Replayed:
    """Replay series that lie on one grid.

    Args:
        series: at least one.
        spec: of the model.
        false_incidents_per_month: of one series; says which windows are too anomalous to learn from.
        progress: called with the rows of each step.
    """
    done = Replayed([History.of(one) for one in series])
    grid = series[0].grid
    first = min(history.first for history in done.histories)
    end = max(history.first + len(history.observed) for history in done.histories)
    model: Model | None = None
    for start, stop in _steps(first, end, grid):
        if _is_training_due(start - first, model is not None, grid):
            newer = train(spec, done.histories, start, grid)
            if newer:
                done.reigns.append(Reign(start, newer))
                model = newer
        if model:
            _judge(done, model, start, stop, false_incidents_per_month)
        progress(sum(len(history.known(start, stop)) for history in done.histories))
    return done


def _steps(first: int, end: int, grid: Grid) -> Iterator[tuple[int, int]]:
    """Yield periods that lie in one day, before or behind any training, and look not back on themselves."""
    per_day = grid.windows_per_day
    start = first
    while start < end:
        midnight = (start // per_day + 1) * per_day
        training = first + ((start - first) // per_day + 1) * per_day
        stop = min(midnight, training, start + most_at_once(grid), end)
        yield start, stop
        start = stop


def _is_training_due(past: int, is_trained: bool, grid: Grid) -> bool:
    """Tell whether a model is trained behind so many windows: weekly, and daily while there is none yet."""
    days, rest = divmod(past, grid.windows_per_day)
    if rest or days < _FIRST_TRAINING_DAYS:
        return False
    return not is_trained or days % _DAYS_APART == 0


def _judge(done: Replayed, model: Model, start: int, stop: int, false_incidents_per_month: float) -> None:
    """Judge the windows in [start, stop), all series by one request."""
    began = time.perf_counter()
    due = [(history, history.known(start, stop)) for history in done.histories]
    due = [(history, positions) for history, positions in due if len(positions)]
    if due:
        expected = model.predict(np.concatenate([history.features(positions) for history, positions in due]))
        ends = np.cumsum([len(positions) for _, positions in due])
        for (history, positions), own in zip(due, np.split(expected, ends[:-1]), strict=True):
            history.expected[positions] = own
            _judge_series(history, positions, model.calibration, false_incidents_per_month)
        done.judged += len(expected)
    done.judging_s += time.perf_counter() - began


def _judge_series(
    history: History, positions: NDArray[np.int64], calibration: Calibration, false_incidents_per_month: float
) -> None:
    tails = history.draw_statistics(history.number(positions[0]) // history.grid.windows_per_day)
    around, windows = history.surroundings(positions)
    judgement = judge_windows(
        calibration,
        windows,
        history.levels[around],
        np.broadcast_to(tails, (len(positions), *tails.shape)),
        positions - around.start,
        history.grid,
    )
    history.keep(positions, judgement)
    sides = sides_of(judgement, calibration, false_incidents_per_month)
    anomalous = sides != NORMAL
    verdicts = verdicts_on(
        history, positions[anomalous], judgement.windows[anomalous], sides[anomalous].tolist()
    )
    history.usual[positions[anomalous]] = [verdict.usual for verdict in verdicts]
