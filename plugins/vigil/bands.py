"""The band around an expected count, made from a model's own residuals (split conformal prediction).

The evaluation job ships with this very file and calibrates by it, so it uses numpy alone, in the syntax of
the oldest Python among the job images.

Residuals are taken on the Anscombe scale, `2 sqrt(count + 3/8)`, where counts of any size scatter about
alike (F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data", 1948). What
spread is left differs by series, so each series has a scale, and the scaled residuals of all series are
pooled. The band is the quantiles of the pool (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
World", 2005, section 4.1).
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

_SCALE_QUANTILE = 0.9
# Below so many residuals a series' own scale is mostly noise, and it takes the pool's.
_FEWEST_FOR_A_SCALE = 200
_SMALLEST_SCALE = 1e-6
# 1 - 0.9 is a little less than 0.1: what is a whole number but for that is taken as one.
_DIGITS = 6


@dataclass(frozen=True)
class Band:
    """Turns an expected count into a lower and an upper bound.

    Attributes:
        coverage: share of windows that should fall inside.
        lower_quantile: of the pooled scaled residuals; negative.
        upper_quantile: of the pooled scaled residuals; positive.
        scales: spread of each series on the Anscombe scale.
        default_scale: spread of a series that the calibration has not seen.
    """

    coverage: float
    lower_quantile: float
    upper_quantile: float
    scales: dict[str, float]
    default_scale: float

    def to_json(self) -> dict[str, Any]:
        """Return the band as JSON-like content."""
        return {
            "rule": "conformal",
            "coverage": self.coverage,
            "lower_quantile": self.lower_quantile,
            "upper_quantile": self.upper_quantile,
            "scales": self.scales,
            "default_scale": self.default_scale,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Band:
        """Read a band from JSON-like content.

        Raises:
            ValueError: the content follows another rule.
        """
        if content.get("rule") != "conformal":
            raise ValueError("the band follows the rule {!r}, not 'conformal'".format(content.get("rule")))
        return cls(
            coverage=float(content["coverage"]),
            lower_quantile=float(content["lower_quantile"]),
            upper_quantile=float(content["upper_quantile"]),
            scales={str(name): float(scale) for name, scale in content["scales"].items()},
            default_scale=float(content["default_scale"]),
        )

    def _scales_of(self, series: Sequence[str]) -> Floats:
        return np.array([self.scales.get(name, self.default_scale) for name in series], dtype=float)

    def bounds(self, series: Sequence[str], expected: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper bound of each window, in events; shapes (n,)."""
        middle = stabilised(expected)
        scale = self._scales_of(series)
        lower = counts_of(middle + self.lower_quantile * scale)
        upper = counts_of(middle + self.upper_quantile * scale)
        return lower, upper

    def scores(self, series: Sequence[str], expected: Floats, observed: Floats) -> Floats:
        """Return how far each window is from what was expected; -1 and 1 are the bounds; shape (n,)."""
        residual = (stabilised(observed) - stabilised(expected)) / self._scales_of(series)
        scores: Floats = np.where(
            residual < 0, residual / -self.lower_quantile, residual / self.upper_quantile
        )
        return scores


def stabilised(counts: Floats) -> Floats:
    """Return counts on the Anscombe scale; expectations below zero count as zero."""
    values: Floats = 2.0 * np.sqrt(np.maximum(counts, 0.0) + 0.375)
    return values


def counts_of(values: Floats) -> Floats:
    """Return the counts at these points of the Anscombe scale, never below zero."""
    counts: Floats = np.maximum((np.maximum(values, 0.0) / 2.0) ** 2 - 0.375, 0.0)
    return counts


def calibrate(
    series: Sequence[str],
    expected: Floats,
    observed: Floats,
    coverage: float,
) -> Band:
    """Make a band from predictions of windows that the model was not trained on.

    Args:
        series: name of each window's series, n of them.
        expected: predicted events, shape (n,).
        observed: counted events, shape (n,).
        coverage: share of windows that should fall inside, between 0 and 1.

    Raises:
        ValueError: there are too few windows for so wide a band: a tail must hold at least one of them.
    """
    needed = rows_needed(coverage)
    if len(observed) < needed:
        raise ValueError(
            f"a coverage of {coverage} needs {needed} windows to calibrate on, there are {len(observed)}: "
            "lower the coverage or hold out more"
        )
    residual = stabilised(observed) - stabilised(expected)
    names = np.asarray(series)
    default_scale = _scale(residual)
    scales = {}
    for name in np.unique(names):
        own = residual[names == name]
        scales[str(name)] = _scale(own) if len(own) >= _FEWEST_FOR_A_SCALE else default_scale
    scaled = np.sort(residual / np.array([scales[str(name)] for name in names]))
    # Of n residuals and one to come, each rank is equally likely for the newcomer: hence n + 1.
    rank = math.floor(round(_tail(coverage) * (len(scaled) + 1), _DIGITS))
    return Band(
        coverage=coverage,
        lower_quantile=float(min(scaled[rank - 1], -_SMALLEST_SCALE)),
        upper_quantile=float(max(scaled[len(scaled) - rank], _SMALLEST_SCALE)),
        scales=scales,
        default_scale=default_scale,
    )


def rows_needed(coverage: float) -> int:
    """Return how many windows a band of this coverage is calibrated on at least: one in each tail."""
    return math.ceil(round(1.0 / _tail(coverage), _DIGITS)) - 1


def _tail(coverage: float) -> float:
    return (1.0 - coverage) / 2.0


def _scale(residual: Floats) -> float:
    return max(float(np.quantile(np.abs(residual), _SCALE_QUANTILE)), _SMALLEST_SCALE)
