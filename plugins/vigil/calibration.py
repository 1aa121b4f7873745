"""What a model of event counts is judged by: its band, and how rare it is to stray so far.

Drawn from the validation part, which the model was not trained on, over all series of a spec: the band by
`vigil.count_bands`, how rare a deviation is by `vigil.rarity`. Calibrating and judging take the same path,
`judge_windows`, on statistics of the days before each day.

The evaluation job ships with this very file, so it uses numpy alone, in the syntax of the oldest Python
among the job images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vigil.anscombe import stabilised
from vigil.bands import Band
from vigil.count_bands import CountBand, band_around
from vigil.deviations import deviations_of, extremes_of, leaning, longest_span, residuals_of, tails_of
from vigil.grid import FIVE_MINUTES, Grid
from vigil.rarity import Rarity, rarity_of_pool
from vigil.series_statistics import (
    TAIL_DAYS,
    extremes_by_day,
    levels_of_windows,
    statistics_by_day,
    tails_from_json,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RULE = "calibration"
_SMALLEST_QUANTILE = 1e-6
_DIGITS = 4


@dataclass(frozen=True)
class SeriesWindows:
    """Consecutive windows of one series.

    Attributes:
        series: its name.
        first: number of the first window since the epoch.
        observed: events, shape (m,); NaN where unknown.
        expected: events, as the model says, shape (m,); NaN where it was not asked.
    """

    series: str
    first: int
    observed: Floats
    expected: Floats


@dataclass(frozen=True)
class Judgement:
    """What is to be said of n windows.

    Attributes:
        lower: bound of the band, shape (n,).
        upper: bound of the band, shape (n,).
        deviations: see `vigil.deviations`, shape (n,).
        windows: as rare as one window in so many, negative below what was expected, shape (n,).
        extrapolated: rarer than the calibration can show, shape (n,).
        leans: whether the window itself lies to the side to which it deviates, shape (n,).
    """

    lower: Floats
    upper: Floats
    deviations: Floats
    windows: Floats
    extrapolated: NDArray[np.bool_]
    leans: NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """Turns what a model expects into a band and a rarity.

    Attributes:
        band: around what is expected.
        tails: of each series, shape (views, spans, 2), for days that have no statistics of their own.
        default_tails: those of a series that the calibration has not seen.
        rarity: of deviations.
    """

    band: CountBand
    tails: Mapping[str, Floats]
    default_tails: Floats
    rarity: Rarity

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as JSON-like content."""
        return {
            "rule": RULE,
            "band": self.band.to_json(),
            "tails": {name: np.round(tails, _DIGITS).tolist() for name, tails in self.tails.items()},
            "default_tails": np.round(self.default_tails, _DIGITS).tolist(),
            "rarity": self.rarity.to_json(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Calibration:
        """Read a calibration from JSON-like content.

        Raises:
            ValueError: the content is something else.
        """
        if content.get("rule") != RULE:
            raise ValueError("the band follows the rule {!r}, not {!r}".format(content.get("rule"), RULE))
        return cls(
            band=CountBand.from_json(content["band"]),
            tails={str(name): tails_from_json(tails) for name, tails in content["tails"].items()},
            default_tails=tails_from_json(content["default_tails"]),
            rarity=Rarity.from_json(content["rarity"]),
        )

    @property
    def coverage(self) -> float:
        """Return the share of windows that should fall inside the band."""
        return self.band.coverage

    def tails_for(self, series: str, tails: Floats) -> Floats:
        """Return a series' tails with those of the calibration where they are NaN."""
        filled: Floats = np.where(np.isnan(tails), self.tails.get(series, self.default_tails), tails)
        return filled


def band_of(content: dict[str, Any]) -> Band | Calibration:
    """Read a model's band from JSON-like content: of event counts a calibration, of other numbers a band.

    Raises:
        ValueError: the content is neither.
    """
    return Calibration.from_json(content) if content.get("rule") == RULE else Band.from_json(content)


def judge_windows(
    calibration: Calibration,
    windows: SeriesWindows,
    levels: Floats,
    tails: Floats,
    targets: NDArray[np.int64] | slice,
    grid: Grid = FIVE_MINUTES,
) -> Judgement:
    """Judge some of consecutive windows of one series.

    Args:
        calibration: of the model.
        windows: those to judge, and before them as many as the longest span reaches back.
        levels: that the windows are held against, shape (m,); NaN where there is none.
        tails: of the windows to judge, shape (n, views, spans, 2); NaN where there are no statistics.
        targets: positions of the windows to judge, n of them.
        grid: of the windows.
    """
    residuals = residuals_of(windows.observed, windows.expected, levels, grid)[targets]
    observed, expected = windows.observed[targets], windows.expected[targets]
    lower, upper = calibration.band.bounds(windows.series, expected)
    deviations = deviations_of(residuals, calibration.tails_for(windows.series, tails))
    rarities = calibration.rarity.windows_of(deviations)
    return Judgement(
        lower=lower,
        upper=upper,
        deviations=deviations,
        windows=rarities,
        extrapolated=calibration.rarity.is_extrapolated(rarities),
        leans=leaning(deviations, calibration.band.positions(windows.series, expected, observed)),
    )


def judge_history(calibration: Calibration, windows: SeriesWindows, grid: Grid = FIVE_MINUTES) -> Judgement:
    """Judge all of some consecutive windows, each by the statistics that its own past gives."""
    levels, tails = _statistics_of_windows(windows, grid)
    return judge_windows(calibration, windows, levels, tails, slice(None), grid)


def calibrate_windows(
    parts: Sequence[SeriesWindows], coverage: float, grid: Grid = FIVE_MINUTES
) -> Calibration:
    """Calibrate on predictions of windows that the model was not trained on.

    Args:
        parts: one a series.
        coverage: share of windows that should fall inside the band, between 0 and 1.
        grid: of the windows.

    Raises:
        ValueError: there are too few windows for so wide a band: a tail must hold at least one of them.
    """
    band = band_around({part.series: _known_residuals(part) for part in parts}, coverage)
    tails, default_tails = _tails_by_series(parts, grid)
    judged_by = [(part, *_settled_statistics(part, grid)) for part in parts]
    # A window that is unknown deviates by nothing, and would make every other one look rare.
    deviations = [
        np.where(
            np.isnan(part.observed + part.expected),
            np.nan,
            deviations_of(
                residuals_of(part.observed, part.expected, levels, grid),
                np.where(np.isnan(own), tails[part.series], own),
            ),
        )
        for part, levels, own in judged_by
    ]
    rarity = rarity_of_pool(deviations, longest_span(grid), grid.windows_per_month)
    return Calibration(band, tails, default_tails, rarity)


def _tails_by_series(parts: Sequence[SeriesWindows], grid: Grid) -> tuple[dict[str, Floats], Floats]:
    """Return the tails of each series over the whole part, and those of a series in the middle."""
    known = {part.series: _tails_of_part(part, grid) for part in parts}
    stacked = np.stack(list(known.values()))
    expectation = np.nanmedian(stacked[:, :1], axis=0)
    # Where no series has a level yet, its view is taken for as wide as the other.
    some_level = ~np.isnan(stacked[:, 1, 0, 0])
    level = np.median(stacked[some_level, 1:], axis=0) if some_level.any() else expectation
    default = np.concatenate([expectation, level])
    return {name: np.where(np.isnan(tails), default, tails) for name, tails in known.items()}, default


def _tails_of_part(part: SeriesWindows, grid: Grid) -> Floats:
    levels = levels_of_windows(part.first, part.observed, grid)
    residuals = residuals_of(part.observed, part.expected, levels, grid)
    _, by_day = extremes_by_day(part.first, residuals, grid)
    tails = tails_of(by_day)
    # A part without one whole day is taken for a day.
    return np.where(np.isnan(tails), tails_of(extremes_of(residuals, 1)[None]), tails)


def _known_residuals(part: SeriesWindows) -> Floats:
    """Return the residuals of single windows to what was expected, where both are known."""
    residuals = stabilised(part.observed) - stabilised(part.expected)
    known: Floats = residuals[~np.isnan(residuals)]
    return known


def _settled_statistics(part: SeriesWindows, grid: Grid) -> tuple[Floats, Floats]:
    """Return levels and tails of windows; no tails where less than two weeks of the part lie before them.

    The part has no past of its own, and live days are judged by tails of two weeks.
    """
    levels, tails = _statistics_of_windows(part, grid)
    tails[: TAIL_DAYS * grid.windows_per_day] = np.nan
    return levels, tails


def _statistics_of_windows(windows: SeriesWindows, grid: Grid) -> tuple[Floats, Floats]:
    """Return levels, shape (m,), and tails, shape (m, views, spans, 2), that the past of windows gives."""
    days = (windows.first + np.arange(len(windows.observed))) // grid.windows_per_day
    every = range(int(days[0]), int(days[-1]) + 1)
    by_day = statistics_by_day(windows.first, windows.observed, windows.expected, every, grid)
    levels = np.array([statistics.level for statistics in by_day])
    tails = np.stack([statistics.tails for statistics in by_day])
    return levels[days - days[0]], tails[days - days[0]]
