"""The band around a predicted number, made from a model's own residuals (split conformal prediction).

The evaluation job ships with this very file and calibrates by it, so it uses numpy alone, in the syntax of
the oldest Python among the job images.

The band reaches as far to either side as the quantiles of the residuals do (Vovk, Gammerman and Shafer,
"Algorithmic Learning in a Random World", 2005, section 4.1). Counts of events have more to them:
`vigil.calibration`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RULE = "conformal"

# 1 - 0.9 is a little less than 0.1: what is a whole number but for that is taken as one.
_DIGITS = 6
# A band has some width even around a model that never erred: a share of all residuals' spread, and of the
# numbers' size where there is none.
_SMALLEST_SHARE_OF_SPREAD = 1e-3
_SMALLEST_SHARE_OF_SIZE = 1e-9
_SPREAD_QUANTILE = 0.99


@dataclass(frozen=True)
class Band:
    """Turns a predicted number into a lower and an upper bound.

    Attributes:
        coverage: share of rows that should fall inside.
        below: how far the band reaches below what is predicted.
        above: how far it reaches above.
    """

    coverage: float
    below: float
    above: float

    def to_json(self) -> dict[str, Any]:
        """Return the band as JSON-like content."""
        return {"rule": RULE, "coverage": self.coverage, "below": self.below, "above": self.above}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Band:
        """Read a band from JSON-like content.

        Raises:
            ValueError: the content follows another rule.
        """
        if content.get("rule") != RULE or "below" not in content:
            raise ValueError(
                "the band follows the rule {!r} of another version: train anew".format(content.get("rule"))
            )
        return cls(float(content["coverage"]), float(content["below"]), float(content["above"]))

    def bounds(self, expected: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper bound of each row, in the unit of what is expected; shapes (n,)."""
        return expected - self.below, expected + self.above


def calibrate(expected: Floats, observed: Floats, coverage: float) -> Band:
    """Make a band from predictions of rows that the model was not trained on.

    Args:
        expected: predicted numbers, shape (n,).
        observed: true numbers, shape (n,).
        coverage: share of rows that should fall inside, between 0 and 1.

    Raises:
        ValueError: there are too few rows for so wide a band: a tail must hold at least one of them.
    """
    needed = rows_needed(coverage)
    if len(observed) < needed:
        raise ValueError(
            f"a coverage of {coverage} needs {needed} rows to calibrate on, there are {len(observed)}: "
            "lower the coverage or hold out more"
        )
    residuals = np.sort(observed - expected)
    rank = tail_rank(coverage, len(residuals))
    smallest = _smallest_reach(observed, residuals)
    return Band(
        coverage=coverage,
        below=max(-float(residuals[rank - 1]), smallest),
        above=max(float(residuals[len(residuals) - rank]), smallest),
    )


def rows_needed(coverage: float) -> int:
    """Return how many rows a band of this coverage is calibrated on at least: one in each tail."""
    return math.ceil(round(1.0 / _tail(coverage), _DIGITS)) - 1


def tail_rank(coverage: float, rows: int) -> int:
    """Return which of so many residuals, in order, bounds a tail of a band of this coverage."""
    # Of n residuals and one to come, each rank is equally likely for the newcomer: hence n + 1.
    return math.floor(round(_tail(coverage) * (rows + 1), _DIGITS))


def _tail(coverage: float) -> float:
    return (1.0 - coverage) / 2.0


def _smallest_reach(observed: Floats, residuals: Floats) -> float:
    spread = float(np.quantile(np.abs(residuals), _SPREAD_QUANTILE))
    size = float(np.abs(observed).max()) or 1.0
    return max(_SMALLEST_SHARE_OF_SPREAD * spread, _SMALLEST_SHARE_OF_SIZE * size)
