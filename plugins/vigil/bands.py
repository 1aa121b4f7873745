"""The band around an expected value, made from a model's own residuals (split conformal prediction).

The evaluation job ships with this very file and calibrates by it, so it uses numpy alone, in the syntax of
the oldest Python among the job images.

Residuals of counts are taken on the Anscombe scale, `2 sqrt(count + 3/8)`, where counts of any size scatter
about alike (F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data", 1948);
residuals of other numbers, which may be negative, on the plain scale, as they are. What spread is left
differs by series and by side, so each series has a scale below and one above, its own 0.99 quantiles, and the
scaled residuals of all series are pooled. Scales from the middle of the distribution would let the series
with the heaviest tails widen the band of all others. The band is the quantiles of the pool (Vovk, Gammerman
and Shafer, "Algorithmic Learning in a Random World", 2005, section 4.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Scale = Literal["anscombe", "plain"]

ANSCOMBE: Scale = "anscombe"
PLAIN: Scale = "plain"

_SCALE_QUANTILE = 0.99
# Below so many residuals a series' own scales are mostly noise, and it takes the pool's.
_FEWEST_FOR_A_SCALE = 200
# A Poisson count has a spread of 1; half of it keeps a series that never moved from dividing by nothing.
_SMALLEST_SCALE = 0.5
# Other numbers have no spread of their own: what a series' scale is at least is a share of all residuals'
# spread, and of the numbers' size where there is none.
_SMALLEST_SHARE_OF_SPREAD = 1e-3
_SMALLEST_SHARE_OF_SIZE = 1e-9
_SMALLEST_QUANTILE = 1e-6
# 1 - 0.9 is a little less than 0.1: what is a whole number but for that is taken as one.
_DIGITS = 6


@dataclass(frozen=True)
class Band:
    """Turns an expected value into a lower and an upper bound.

    Attributes:
        coverage: share of rows that should fall inside.
        lower_quantile: of the pooled scaled residuals; negative.
        upper_quantile: of the pooled scaled residuals; positive.
        scales: spread of each series below and above what was expected, on the band's scale.
        default_scale: the two of a series that the calibration has not seen.
        scale: on which residuals are taken: `anscombe` for counts, `plain` for other numbers.
    """

    coverage: float
    lower_quantile: float
    upper_quantile: float
    scales: dict[str, tuple[float, float]]
    default_scale: tuple[float, float]
    scale: Scale = ANSCOMBE

    def to_json(self) -> dict[str, Any]:
        """Return the band as JSON-like content."""
        return {
            "rule": "conformal",
            "coverage": self.coverage,
            "lower_quantile": self.lower_quantile,
            "upper_quantile": self.upper_quantile,
            "scales": {name: list(scale) for name, scale in self.scales.items()},
            "default_scale": list(self.default_scale),
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Band:
        """Read a band from JSON-like content; one that names no scale is of counts.

        Raises:
            ValueError: the content follows another rule or scale.
        """
        if content.get("rule") != "conformal":
            raise ValueError("the band follows the rule {!r}, not 'conformal'".format(content.get("rule")))
        scale = content.get("scale", ANSCOMBE)
        if scale not in (ANSCOMBE, PLAIN):
            raise ValueError(f"the band has the scale {scale!r}, not {ANSCOMBE!r} or {PLAIN!r}")
        return cls(
            coverage=float(content["coverage"]),
            lower_quantile=float(content["lower_quantile"]),
            upper_quantile=float(content["upper_quantile"]),
            scales={str(name): _pair(scale) for name, scale in content["scales"].items()},
            default_scale=_pair(content["default_scale"]),
            scale=scale,
        )

    def bounds(self, series: Sequence[str], expected: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper bound of each row, in the unit of what is expected; shapes (n,)."""
        middle = _on_scale(expected, self.scale)
        below, above = self._reach(series)
        if self.scale == PLAIN:
            return middle - below, middle + above
        return counts_of(middle - below), counts_of(middle + above)

    def scores(self, series: Sequence[str], expected: Floats, observed: Floats) -> Floats:
        """Return how far each row is from what was expected; -1 and 1 are the bounds; shape (n,)."""
        residual = _on_scale(observed, self.scale) - _on_scale(expected, self.scale)
        below, above = self._reach(series)
        scores: Floats = np.where(residual < 0, residual / below, residual / above)
        return scores

    def _reach(self, series: Sequence[str]) -> tuple[Floats, Floats]:
        """Return how far the band reaches below and above each row, on its scale; shapes (n,)."""
        scales = np.array([self.scales.get(name, self.default_scale) for name in series], dtype=float)
        scales = scales.reshape(len(series), 2)
        return -self.lower_quantile * scales[:, 0], self.upper_quantile * scales[:, 1]


def _pair(values: Sequence[float]) -> tuple[float, float]:
    below, above = values
    return float(below), float(above)


def _on_scale(values: Floats, scale: Scale) -> Floats:
    return values if scale == PLAIN else stabilised(values)


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
    scale: Scale = ANSCOMBE,
) -> Band:
    """Make a band from predictions of rows that the model was not trained on.

    Args:
        series: name of each row's series, n of them.
        expected: predicted values, shape (n,).
        observed: true values, shape (n,).
        coverage: share of rows that should fall inside, between 0 and 1.
        scale: on which residuals are taken.

    Raises:
        ValueError: there are too few rows for so wide a band: a tail must hold at least one of them.
    """
    needed = rows_needed(coverage)
    if len(observed) < needed:
        raise ValueError(
            f"a coverage of {coverage} needs {needed} rows to calibrate on, there are {len(observed)}: "
            "lower the coverage or hold out more"
        )
    residual = _on_scale(observed, scale) - _on_scale(expected, scale)
    smallest = _smallest_scale(observed, residual, scale)
    names = np.asarray(series)
    default_scale = _scale(residual, smallest)
    scales = {}
    scaled = np.empty_like(residual)
    for name in np.unique(names):
        own = names == name
        enough = np.count_nonzero(own) >= _FEWEST_FOR_A_SCALE
        below, above = scales[str(name)] = _scale(residual[own], smallest) if enough else default_scale
        scaled[own] = np.where(residual[own] < 0, residual[own] / below, residual[own] / above)
    scaled.sort()
    # Of n residuals and one to come, each rank is equally likely for the newcomer: hence n + 1.
    rank = math.floor(round(_tail(coverage) * (len(scaled) + 1), _DIGITS))
    return Band(
        coverage=coverage,
        lower_quantile=float(min(scaled[rank - 1], -_SMALLEST_QUANTILE)),
        upper_quantile=float(max(scaled[len(scaled) - rank], _SMALLEST_QUANTILE)),
        scales=scales,
        default_scale=default_scale,
        scale=scale,
    )


def rows_needed(coverage: float) -> int:
    """Return how many rows a band of this coverage is calibrated on at least: one in each tail."""
    return math.ceil(round(1.0 / _tail(coverage), _DIGITS)) - 1


def _tail(coverage: float) -> float:
    return (1.0 - coverage) / 2.0


def _smallest_scale(observed: Floats, residual: Floats, scale: Scale) -> float:
    if scale == ANSCOMBE:
        return _SMALLEST_SCALE
    spread = float(np.quantile(np.abs(residual), _SCALE_QUANTILE))
    size = float(np.abs(observed).max()) or 1.0
    return max(_SMALLEST_SHARE_OF_SPREAD * spread, _SMALLEST_SHARE_OF_SIZE * size)


def _scale(residual: Floats, smallest: float) -> tuple[float, float]:
    below, above = np.quantile(residual, [1.0 - _SCALE_QUANTILE, _SCALE_QUANTILE])
    return max(-float(below), smallest), max(float(above), smallest)
