"""Holds a day's figures against what was promised."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from vigil.health.figures import Figures
from vigil.health.promise import Promise
from vigil.health_limits import HealthLimits

State = Literal["unknown", "inside", "outside"]
# 1.5 times 0.2 is a little more than 0.3.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Miss:
    """A limit that was missed.

    Attributes:
        text: the figure and its limit, for people.
        times: how many times as far off as the limit allows; above 1.
    """

    text: str
    times: float


@dataclass(frozen=True)
class JudgedDay:
    """What is to be said of a day.

    Attributes:
        state: unknown when too little was judged to say anything.
        misses: of limits; there are some exactly when the state is outside.
    """

    state: State
    misses: tuple[Miss, ...] = ()

    @property
    def times(self) -> float:
        """Return how many times as far off as allowed the worst figure is."""
        return max((miss.times for miss in self.misses), default=0.0)

    @property
    def text(self) -> str:
        """Return the limits that were missed, for people."""
        return ", ".join(miss.text for miss in self.misses)


UNKNOWN = JudgedDay("unknown")


def judge_day(figures: Figures | None, promise: Promise, limits: HealthLimits, series: str = "") -> JudgedDay:
    """Say whether a day keeps what was promised.

    Args:
        figures: of the day; None if nothing was measured.
        promise: of the version that judged.
        limits: how far off it may be.
        series: whose figures they are; empty for all series together.
    """
    if figures is None or figures.windows < limits.least_windows:
        return UNKNOWN
    misses = (
        *_coverage(figures, promise, limits),
        *_wape(figures, promise, limits, series),
        *_bias(figures, promise, limits),
    )
    return JudgedDay("outside" if misses else "inside", misses)


def _coverage(figures: Figures, promise: Promise, limits: HealthLimits) -> Iterator[Miss]:
    if promise.coverage is None or figures.coverage is None:
        return
    least = promise.coverage - limits.coverage_below
    if figures.coverage < least - _ROUNDING:
        below = promise.coverage - figures.coverage
        yield Miss(
            f"coverage {figures.coverage:.1%} (at least {least:.1%})", times=below / limits.coverage_below
        )


def _wape(figures: Figures, promise: Promise, limits: HealthLimits, series: str) -> Iterator[Miss]:
    mean = figures.mean_observed
    if figures.observed < limits.least_events or figures.wape is None or mean is None:
        return
    promised = promise.wape_of(series, mean)
    if promised is None:
        return
    most = promised * limits.wape_factor
    if figures.wape > most + _ROUNDING:
        yield Miss(
            f"WAPE {figures.wape:.3f} (at most {most:.3f})", times=figures.wape / most if most else math.inf
        )


def _bias(figures: Figures, promise: Promise, limits: HealthLimits) -> Iterator[Miss]:
    if figures.observed < limits.least_events or figures.bias_share is None:
        return
    most = abs(promise.bias_share) + limits.bias_share
    if abs(figures.bias_share) > most + _ROUNDING:
        yield Miss(
            f"bias {figures.bias_share:+.1%} of the events (at most {most:.1%} either way)",
            times=abs(figures.bias_share) / most,
        )
