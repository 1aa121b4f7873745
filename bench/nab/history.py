"""What is known of one series while it is replayed: counts, and what judges made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.nab.folder import Series
from vigil.calibration import Judgement, SeriesWindows
from vigil.deviations import longest_span
from vigil.features import features_of, lookback_of
from vigil.grid import Grid
from vigil.holidays import holidays
from vigil.series_statistics import DAYS_BACK, nothing_known, statistics_by_day

Floats = NDArray[np.float64]


@dataclass
class History:
    """Consecutive windows of one series, the first of them its first row's.

    Attributes:
        series: its rows.
        observed: events; NaN where there is no row.
        usual: the same, but for windows that were judged anomalous.
        expected: events, as the models said that were asked; NaN where none was.
        levels: that windows are held against; NaN where there is none.
        judgement: of windows that were judged.
    """

    series: Series
    observed: Floats
    usual: Floats
    expected: Floats
    levels: Floats
    judgement: Judgement

    def __post_init__(self) -> None:
        self._statistics = nothing_known(self.grid)
        self._day: int | None = None

    @classmethod
    def of(cls, series: Series) -> History:
        """Return what is known before anything was judged."""
        observed = np.full(int(series.windows[-1] - series.windows[0]) + 1, np.nan)
        observed[series.windows - series.windows[0]] = series.values
        unknown = np.full(len(observed), np.nan)
        no = np.zeros(len(observed), dtype=np.bool_)
        judgement = Judgement(
            unknown.copy(), unknown.copy(), np.zeros(len(observed)), np.zeros(len(observed)), no, no.copy()
        )
        return cls(series, observed, observed.copy(), unknown.copy(), unknown, judgement)

    @property
    def grid(self) -> Grid:
        """Return the grid of the series."""
        return self.series.grid

    @property
    def first(self) -> int:
        """Return the number of the first window since the epoch."""
        return int(self.series.windows[0])

    def number(self, position: int) -> int:
        """Return the number of a window since the epoch."""
        return self.first + int(position)

    def known(self, start: int, end: int) -> NDArray[np.int64]:
        """Return the positions of the windows with a row from one number on up to another."""
        first, last = (min(max(number - self.first, 0), len(self.observed)) for number in (start, end))
        return first + np.flatnonzero(~np.isnan(self.observed[first:last]))

    def features(self, positions: NDArray[np.int64]) -> Floats:
        """Describe windows, shape (n, features)."""
        starts = (self.first + positions) * self.grid.window_seconds
        lookback = lookback_of(self.observed, self.usual, positions, self.grid)
        return features_of(starts, lookback, holidays(), self.grid)

    def draw_statistics(self, day: int) -> Floats:
        """Return the tails that the windows of a day are judged by, drawn from the days before it."""
        if day != self._day:
            self._day = day
            per_day = self.grid.windows_per_day
            end = min(max(day * per_day - self.first, 0), len(self.observed))
            first = max(0, day * per_day - self.first - DAYS_BACK * per_day - longest_span(self.grid) + 1)
            if first < end:
                (drawn,) = statistics_by_day(
                    self.first + first,
                    self.observed[first:end],
                    self.expected[first:end],
                    range(day, day + 1),
                    self.grid,
                )
                # What has no level is not kept by the pipeline either: the newest before it holds.
                if not np.isnan(drawn.level):
                    self._statistics = drawn
            start = max(0, day * per_day - self.first)
            self.levels[start : max(0, (day + 1) * per_day - self.first)] = self._statistics.level
        return self._statistics.tails

    def surroundings(self, positions: NDArray[np.int64]) -> tuple[slice, SeriesWindows]:
        """Return where the half day before some windows begins and the last of them ends, and its windows."""
        around = slice(max(0, int(positions[0]) - longest_span(self.grid) + 1), int(positions[-1]) + 1)
        windows = SeriesWindows(
            self.series.name, self.first + around.start, self.observed[around], self.expected[around]
        )
        return around, windows

    def keep(self, positions: NDArray[np.int64], judgement: Judgement) -> None:
        """Keep what was judged of some windows."""
        for kept, new in zip(vars(self.judgement).values(), vars(judgement).values(), strict=True):
            kept[positions] = new

    def judged(self, positions: NDArray[np.int64]) -> Judgement:
        """Return what was judged of some windows."""
        return Judgement(*(kept[positions] for kept in vars(self.judgement).values()))
