"""Metrics that are not defined: nan while computing, null in JSON.

A ratio whose denominator is zero, as precision is where nothing was told positive, has no value. Zero would
say that the model is bad, and one that it is good; both would be made up.
"""

import numpy as np


def ratio(numerator, denominator):
    """Return the quotient, nan where the denominator is zero; both of one shape, or a number."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    )
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def mean_of_defined(values):
    """Return the mean of the values that are defined, nan if none is."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0.0).sum(), defined.sum())


def as_json(metrics):
    """Return metrics by name as JSON knows them."""
    return {name: float(value) if np.isfinite(value) else None for name, value in metrics.items()}
