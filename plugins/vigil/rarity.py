"""How rare a deviation is, and which deviation is as rare as one wants.

The deviations of the validation part, pooled over all series of a spec, say which share of windows lies
farther out: so a score means the same for every series. They say it of ordinary windows only. The farthest
of them may be anomalies, which are what one looks for and not what one expects, so at most one window in a
hundred is believed. Beyond, the tail is extrapolated as an exponential one (the Gumbel domain of "peaks
over threshold", Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, chapter 4),
whose scale is taken from the quantiles between one in 20 and one in 100, which a few anomalies hardly
move. Counts scatter with a tail lighter than that, so that what is extrapolated errs towards silence.

Windows beyond a threshold come in clusters. Those of half a day are one incident, so that a rate of
incidents follows from the clusters at one in a hundred, which thin out beyond like the windows do.

The evaluation job ships with this very file, so it uses numpy alone, in the syntax of the oldest Python
among the job images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SHOWN = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_FROM, _TO = 20.0, 100.0
_SMALLEST_SCALE = 1e-3
# Text of people and columns of databases end somewhere.
_RAREST = 1e300


@dataclass(frozen=True)
class Rarity:
    """Turns deviations into rarities, and rates of incidents into deviations.

    Attributes:
        deviations: that one window in 1, 2, 5, 10, 20, 50 and 100 reaches, either way; ascending.
        scale: of the exponential tail beyond the last of them.
        clusters_per_month: how often a series comes to the last of them, half a day being one time.
    """

    deviations: tuple[float, ...]
    scale: float
    clusters_per_month: float

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON-like content."""
        return {
            "tail": "exponential",
            "deviations": list(self.deviations),
            "scale": self.scale,
            "clusters_per_month": self.clusters_per_month,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Rarity:
        """Read it from JSON-like content."""
        return cls(
            tuple(map(float, content["deviations"])),
            float(content["scale"]),
            float(content["clusters_per_month"]),
        )

    def windows_of(self, deviations: Floats) -> Floats:
        """Return how rare deviations are: N for as rare as one window in N, negative below; shape (n,)."""
        size = np.abs(deviations)
        shown = np.exp(np.interp(size, self.deviations, np.log(_SHOWN)))
        beyond = np.maximum(size - self.deviations[-1], 0.0) / self.scale
        rare = np.minimum(shown * np.exp(np.minimum(beyond, math.log(_RAREST / _SHOWN[-1]))), _RAREST)
        windows: Floats = np.where(deviations < 0, -rare, rare)
        return windows

    def is_extrapolated(self, windows: Floats) -> NDArray[np.bool_]:
        """Tell of rarities whether they lie beyond what the calibration can show; shape (n,)."""
        extrapolated: NDArray[np.bool_] = np.abs(windows) > _SHOWN[-1] * (1 + 1e-9)
        return extrapolated

    def windows_at(self, incidents_per_month: float) -> float:
        """Return the rarity from which on a series has so many false incidents a month.

        Args:
            incidents_per_month: above 0; where a series would not have so many at one window in a hundred,
                that is the answer.
        """
        return _SHOWN[-1] * max(1.0, self.clusters_per_month / incidents_per_month)


def rarity_of_pool(parts: Sequence[Floats], apart: int, windows_per_month: float) -> Rarity:
    """Draw rarities from the deviations of windows that the model was not trained on.

    Args:
        parts: deviations of consecutive windows, one array a series; NaN where unknown.
        apart: windows from which on two deviations are two clusters.
        windows_per_month: of the grid.

    Raises:
        ValueError: there is no window.
    """
    pool = np.abs(np.concatenate([np.empty(0), *parts]))
    pool = pool[~np.isnan(pool)]
    if not len(pool):
        raise ValueError("there is no window to calibrate on: hold out more")
    shown = np.quantile(pool, [1.0 - 1.0 / windows for windows in _SHOWN])
    low, high = (float(shown[_SHOWN.index(windows)]) for windows in (_FROM, _TO))
    clusters = sum(_clusters(np.abs(part), high, apart) for part in parts)
    return Rarity(
        deviations=_ascending(shown),
        scale=max((high - low) / math.log(_TO / _FROM), _SMALLEST_SCALE),
        clusters_per_month=max(clusters, 1) * windows_per_month / len(pool),
    )


def _ascending(values: Floats) -> tuple[float, ...]:
    """Return quantiles as strictly ascending numbers, as interpolation wants them."""
    steps = np.arange(len(values)) * 1e-9
    return tuple((np.maximum.accumulate(values) + steps).tolist())


def _clusters(sizes: Floats, threshold: float, apart: int) -> int:
    places = np.flatnonzero((sizes >= threshold) & (sizes > 0))
    return int(np.count_nonzero(np.diff(places) > apart)) + bool(len(places))
