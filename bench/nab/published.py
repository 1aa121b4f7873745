"""The published rows: detectors on the six series, each at the threshold that it published for all of NAB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.nab.folder import Series
from bench.nab.scoring import Scores
from vigil.grid import FIVE_MINUTES

_SIX = frozenset(f"Twitter_volume_{name}" for name in ("AAPL", "CRM", "CVS", "GOOG", "KO", "UPS"))
_EVENTS = 2_015_149


@dataclass(frozen=True)
class Published:
    """The scores of a detector.

    Attributes:
        label: its name.
        default: at its own threshold.
        best: at the best one for the six series.
    """

    label: str
    default: Scores
    best: Scores


PUBLISHED = (
    Published("ARTime", Scores(82.6, 71.8, 88.4), Scores(83.9, 76.8, 89.3)),
    Published("CAD OSE", Scores(73.8, 73.1, 75.7), Scores(73.8, 73.1, 76.2)),
    Published("htmjava", Scores(72.2, 62.0, 76.7), Scores(72.8, 64.0, 77.1)),
    Published("Numenta HTM", Scores(69.3, 64.4, 73.2), Scores(72.9, 69.1, 75.6)),
    Published("KNN-CAD", Scores(65.8, 44.8, 74.0), Scores(67.5, 44.8, 77.4)),
    Published("Twitter ADVec", Scores(56.7, 36.1, 64.8), Scores(56.7, 36.1, 64.8)),
    Published("AWS Random Cut Forest", Scores(55.6, 55.1, 66.6), Scores(66.9, 57.1, 71.6)),
    Published("Windowed Gaussian", Scores(49.5, 12.5, 63.2), Scores(49.5, 12.5, 63.2)),
    Published("random", Scores(25.5, 13.5, 34.4), Scores(28.5, 19.9, 39.6)),
)


def are_the_six(series: Sequence[Series]) -> bool:
    """Tell whether these are the series that the published rows speak of, and not sums or parts of them."""
    return (
        frozenset(one.name for one in series) == _SIX
        and all(one.grid == FIVE_MINUTES for one in series)
        and sum(float(one.values.sum()) for one in series) == _EVENTS
    )
