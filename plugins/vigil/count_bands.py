"""The band around the expected counts of series, made from a model's own residuals (split conformal).

Residuals are taken on the Anscombe scale. What spread is left differs by series and by side, so each series
has a spread below and one above, the quantiles of its own residuals; the residuals of all series, each over
its spread, are pooled, and the band is the quantiles of the pool (Vovk, Gammerman and Shafer, "Algorithmic
Learning in a Random World", 2005, section 4.1).

The evaluation job ships with this very file, so it uses numpy alone, in the syntax of the oldest Python among
the job images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vigil.anscombe import counts_of, stabilised
from vigil.bands import rows_needed, tail_rank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Below so many residuals a series' own spreads are mostly noise, and it takes the pool's.
_FEWEST_FOR_A_SPREAD = 200
# A Poisson count has a spread of 1; half of it keeps a series that never moved from dividing by nothing.
_SMALLEST_SPREAD = 0.5
_SMALLEST_QUANTILE = 1e-6


@dataclass(frozen=True)
class CountBand:
    """Turns an expected count into a lower and an upper bound.

    Attributes:
        coverage: share of windows that should fall inside.
        lower_quantile: of the pooled ratios of residuals to spreads; negative.
        upper_quantile: of the pooled ratios; positive.
        spreads: of each series, below and above what was expected.
        default_spread: of a series that the calibration has not seen.
    """

    coverage: float
    lower_quantile: float
    upper_quantile: float
    spreads: Mapping[str, tuple[float, float]]
    default_spread: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the band as JSON-like content."""
        return {
            "coverage": self.coverage,
            "lower_quantile": self.lower_quantile,
            "upper_quantile": self.upper_quantile,
            "spreads": {name: list(spread) for name, spread in self.spreads.items()},
            "default_spread": list(self.default_spread),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CountBand:
        """Read a band from JSON-like content."""
        return cls(
            coverage=float(content["coverage"]),
            lower_quantile=float(content["lower_quantile"]),
            upper_quantile=float(content["upper_quantile"]),
            spreads={str(name): _pair(*spread) for name, spread in content["spreads"].items()},
            default_spread=_pair(*content["default_spread"]),
        )

    def bounds(self, series: str, expected: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper bound of windows of one series, in events; shapes (n,)."""
        below, above = self._reach(series)
        middle = stabilised(expected)
        return counts_of(middle - below), counts_of(middle + above)

    def positions(self, series: str, expected: Floats, observed: Floats) -> Floats:
        """Return where windows of one series lie in the band; -1 and 1 are the bounds; shape (n,)."""
        below, above = self._reach(series)
        residuals = stabilised(observed) - stabilised(expected)
        positions: Floats = residuals / np.where(residuals < 0, below, above)
        return positions

    def _reach(self, series: str) -> tuple[float, float]:
        below, above = self.spreads.get(series, self.default_spread)
        return -self.lower_quantile * below, self.upper_quantile * above


def _pair(below: float, above: float) -> tuple[float, float]:
    return float(below), float(above)


def band_around(residuals: Mapping[str, Floats], coverage: float) -> CountBand:
    """Make a band from residuals of windows that the model was not trained on.

    Args:
        residuals: known ones of each series, on the Anscombe scale.
        coverage: share of windows that should fall inside, between 0 and 1.

    Raises:
        ValueError: there are too few windows for so wide a band: a tail must hold at least one of them.
    """
    pool = np.concatenate([np.empty(0), *residuals.values()])
    if len(pool) < rows_needed(coverage):
        raise ValueError(
            f"a coverage of {coverage} needs {rows_needed(coverage)} windows to calibrate on, there are "
            f"{len(pool)}: lower the coverage or hold out more"
        )
    default = _spread(pool, coverage)
    spreads = {
        name: _spread(own, coverage) if len(own) >= _FEWEST_FOR_A_SPREAD else default
        for name, own in residuals.items()
    }
    ratios = np.sort(np.concatenate([_ratios(own, spreads[name]) for name, own in residuals.items()]))
    rank = tail_rank(coverage, len(ratios))
    return CountBand(
        coverage,
        float(min(ratios[rank - 1], -_SMALLEST_QUANTILE)),
        float(max(ratios[len(ratios) - rank], _SMALLEST_QUANTILE)),
        spreads,
        default,
    )


def _spread(residuals: Floats, coverage: float) -> tuple[float, float]:
    below, above = np.quantile(residuals, [(1.0 - coverage) / 2.0, (1.0 + coverage) / 2.0])
    return max(-float(below), _SMALLEST_SPREAD), max(float(above), _SMALLEST_SPREAD)


def _ratios(residuals: Floats, spread: tuple[float, float]) -> Floats:
    ratios: Floats = residuals / np.where(residuals < 0, spread[0], spread[1])
    return ratios
