"""The scale on which counts of any size scatter about alike.

F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data", Biometrika 35, 1948.

The evaluation job ships with this very file, so it uses numpy alone, in the syntax of the oldest Python among
the job images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def stabilised(counts: Floats) -> Floats:
    """Return counts on the Anscombe scale, `2 sqrt(count + 3/8)`; expectations below zero count as zero."""
    values: Floats = 2.0 * np.sqrt(np.maximum(counts, 0.0) + 0.375)
    return values


def counts_of(values: Floats) -> Floats:
    """Return the counts at these points of the Anscombe scale, never below zero."""
    counts: Floats = np.maximum((np.maximum(values, 0.0) / 2.0) ** 2 - 0.375, 0.0)
    return counts
