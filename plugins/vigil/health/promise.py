"""What the evaluation of a released version promised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vigil.released_models import ReleasedModel


@dataclass(frozen=True)
class Promise:
    """What a version did on the test part of its evaluation.

    Attributes:
        coverage: share of windows inside the band; None if unknown.
        wape: of all series together; None if unknown.
        bias_share: bias as a share of what was observed.
        mean_observed: events of a window; None if unknown.
        by_series: WAPE of each series that the evaluation has seen.
    """

    coverage: float | None
    wape: float | None
    bias_share: float
    mean_observed: float | None
    by_series: Mapping[str, float]

    def wape_of(self, series: str, mean_observed: float) -> float | None:
        """Return the WAPE promised of a series.

        One that the evaluation has not seen gets that of all series, but a rarer one scatters more: a count
        of n events errs by about the root of n, so the share grows as the root shrinks.

        Args:
            series: its name; empty for all series together.
            mean_observed: its events of a window; above 0.
        """
        if series in self.by_series:
            return self.by_series[series]
        if self.wape is None or not series or self.mean_observed is None:
            return self.wape
        return self.wape * max(1.0, math.sqrt(self.mean_observed / mean_observed))


def promise_of(model: ReleasedModel) -> Promise:
    """Return what a version promised; without a measured coverage, the one that its band was made for."""
    metrics = model.metrics
    wape, mae, bias = metrics.get("wape"), metrics.get("mae"), metrics.get("bias")
    mean_observed = mae / wape if wape and mae else None
    coverage = metrics.get("coverage")
    if coverage is None and model.band:
        coverage = model.band.coverage
    return Promise(
        coverage=coverage,
        wape=wape,
        bias_share=bias / mean_observed if bias and mean_observed else 0.0,
        mean_observed=mean_observed,
        by_series={
            series: own["wape"]
            for series, own in metrics.get("by_series", {}).items()
            if own.get("wape") is not None
        },
    )
