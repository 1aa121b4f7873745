"""How far counts lie from what is usual: over several spans, seen from two views, in one number.

A spike of five minutes shows in its own window, a slow shift only in the sum of many. So each window is
held against what was to be expected over the spans that end with it, from five minutes to half a day. There
are two views of what was to be expected: what the model says, which follows the last hours and finds what is
sudden; and the level of the last week, which does not follow and finds what is large.

Residuals are taken on the Anscombe scale (`vigil.anscombe`), and each is divided by its series' own tail:
how far the series strays to that side on its wilder days, by the extremes of its last two weeks. One bad day
among them hardly moves the tail, so that an anomaly does not become what is usual; a series that strays every
day does. The mean of a view's ratios says how far off the view finds the window, and the farther one of the
two views is the window's deviation.

The evaluation job ships with this very file, so it uses numpy alone, in the syntax of the oldest Python among
the job images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vigil.anscombe import stabilised
from vigil.grid import FIVE_MINUTES, Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VIEWS = ("expectation", "level")

_SPAN_MINUTES = (5, 15, 60, 240, 720)
# Of the days of two weeks, so many stray no farther than the tail.
_SHARE_OF_DAYS = 6 / 7
# The spread of a Poisson count is 1 on this scale: a series that hardly ever sees an event would else be
# alarmed by every single one.
_SMALLEST_TAIL = 1.5
# A window leans to a side beyond so much of its band. Without this, a spike would go on for as long as the
# longest span remembers it.
_LEANING = 0.5


def spans_on(grid: Grid = FIVE_MINUTES) -> tuple[int, ...]:
    """Return the spans in windows, the shortest first; a grid of long windows has fewer of them."""
    return tuple(sorted({grid.windows_in(minutes) for minutes in _SPAN_MINUTES}))


def longest_span(grid: Grid = FIVE_MINUTES) -> int:
    """Return the longest span in windows."""
    return spans_on(grid)[-1]


def residuals_of(observed: Floats, expected: Floats, level: Floats, grid: Grid = FIVE_MINUTES) -> Floats:
    """Hold consecutive windows of one series against what was to be expected of them.

    Args:
        observed: events, shape (m,); NaN where unknown.
        expected: events, as the model says, shape (m,); NaN where it was not asked.
        level: events a window, by the week before, shape (m,); NaN where there was none.
        grid: of the windows.

    Returns:
        Shape (m, views, spans); NaN where the window itself is unknown to a view. A window that is unknown
        takes no part in the sums of others.
    """
    spans = spans_on(grid)
    residuals = np.full((len(observed), len(VIEWS), len(spans)), np.nan)
    for view, usual in enumerate((expected, level)):
        known = ~(np.isnan(observed) | np.isnan(usual))
        seen = _running_sum(np.where(known, observed, 0.0))
        due = _running_sum(np.where(known, usual, 0.0))
        for place, span in enumerate(spans):
            residual = stabilised(_last(seen, span)) - stabilised(_last(due, span))
            residuals[:, view, place] = np.where(known, residual, np.nan)
    return residuals


def _running_sum(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])


def _last(sums: Floats, span: int) -> Floats:
    """Return the sum over each window and those before it in the span, from running sums."""
    total: Floats = sums[1:].copy()
    total[span:] -= sums[1:-span]
    return total


def extremes_of(residuals: Floats, fewest: int) -> Floats:
    """Return how far windows stray to either side at most.

    Args:
        residuals: as `residuals_of` gives them, of a day or of several, shape (..., m, views, spans).
        fewest: known windows that a view needs, or its extremes are NaN; one at least.

    Returns:
        Shape (..., views, spans, 2): below and above; negative where no window lies to the side.
    """
    # What is NaN takes no part in these two.
    lowest, highest = np.fmin.reduce(residuals, axis=-3), np.fmax.reduce(residuals, axis=-3)
    enough = np.count_nonzero(~np.isnan(residuals[..., 0]), axis=-2) >= fewest
    extremes: Floats = np.where(enough[..., None, None], np.stack([-lowest, highest], axis=-1), np.nan)
    return extremes


def tails_of(extremes: Floats) -> Floats:
    """Return how far a series strays to either side on its wilder days, shape (views, spans, 2).

    Args:
        extremes: of some days, shape (days, views, spans, 2); NaN of a view that is unknown on a day.

    Returns:
        NaN of a view that is unknown on all of them.
    """
    tails = np.full(extremes.shape[1:], np.nan)
    for view in range(extremes.shape[1]):
        own = extremes[:, view]
        own = own[~np.isnan(own[:, 0, 0])]
        if len(own):
            tails[view] = np.maximum(np.quantile(own, _SHARE_OF_DAYS, axis=0), _SMALLEST_TAIL)
    return tails


def deviations_of(residuals: Floats, tails: Floats) -> Floats:
    """Return the deviation of each window, negative below what was expected; shape (n,).

    Args:
        residuals: shape (n, views, spans).
        tails: of the windows, shape (n, views, spans, 2).
    """
    ratios = residuals / np.where(residuals < 0, tails[..., 0], tails[..., 1])
    by_view = np.where(np.isnan(ratios), 0.0, ratios).mean(axis=2)
    farther = np.abs(by_view).argmax(axis=1)
    deviations: Floats = np.take_along_axis(by_view, farther[:, None], axis=1)[:, 0]
    return deviations


def leaning(deviations: Floats, positions: Floats) -> NDArray[np.bool_]:
    """Tell of windows whether they themselves lie to the side to which they deviate; shape (n,).

    Args:
        deviations: shape (n,).
        positions: of the windows in their bands, -1 and 1 being the bounds, shape (n,).
    """
    leans: NDArray[np.bool_] = np.sign(deviations) * positions >= _LEANING
    return leans
