"""Calibrates bands on rows and draws them around rows: of event counts, and of other numbers.

Both kinds have `bounds(rows, expected)` and `to_json()`.
"""

import numpy as np

from vigil.bands import Band, calibrate
from vigil.calibration import Calibration, SeriesWindows, calibrate_windows, judge_history
from vigil.grid import FIVE_MINUTES


class NumberBand:
    """The band of a regression whose rows stand each for itself."""

    def __init__(self, band):
        self._band = band

    @classmethod
    def calibrated(cls, rows, expected, coverage):
        """Calibrate on predictions of held-out rows.

        Raises:
            ValueError: there are too few.
        """
        return cls(calibrate(expected, rows.labels, coverage))

    def bounds(self, rows, expected):
        """Return the lower and upper bound of each row, shapes (n,)."""
        del rows
        return self._band.bounds(expected)

    def to_json(self):
        """Return the band as JSON-like content."""
        return self._band.to_json()


class CountBand:
    """The band of event counts, whose rows are the windows of series."""

    def __init__(self, calibration):
        self._calibration = calibration

    @classmethod
    def calibrated(cls, rows, expected, coverage):
        """Calibrate on predictions of held-out windows.

        Raises:
            ValueError: there are too few.
        """
        parts = [windows for windows, _, _ in _series_of(rows, expected)]
        return cls(calibrate_windows(parts, coverage))

    def bounds(self, rows, expected):
        """Return the lower and upper bound of each row, shapes (n,)."""
        lower, upper = np.empty(len(rows)), np.empty(len(rows))
        for windows, own, places in _series_of(rows, expected):
            judgement = judge_history(self._calibration, windows)
            lower[own], upper[own] = judgement.lower[places], judgement.upper[places]
        return lower, upper

    def to_json(self):
        """Return the calibration as JSON-like content."""
        return self._calibration.to_json()


def band_kind(config):
    """Return the kind of band that a model's rows ask for."""
    return CountBand if config["windows"] else NumberBand


def band_from_json(config, content):
    """Read a band that another evaluation wrote.

    Raises:
        ValueError: it is of another kind.
    """
    if config["windows"]:
        return CountBand(Calibration.from_json(content))
    return NumberBand(Band.from_json(content))


def _series_of(rows, expected):
    """Yield the windows of each series, which rows they are, and at which places they stand."""
    numbers = rows.windows.astype("datetime64[s]").astype(np.int64) // FIVE_MINUTES.window_seconds
    for code, name in enumerate(rows.names):
        own = np.flatnonzero(rows.series == code)
        places = numbers[own] - numbers[own].min()
        observed = np.full(places.max() + 1, np.nan)
        predicted = observed.copy()
        observed[places], predicted[places] = rows.labels[own], expected[own]
        yield SeriesWindows(name, int(numbers[own].min()), observed, predicted), own, places
