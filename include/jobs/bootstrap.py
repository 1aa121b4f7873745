"""How sure a metric is: what it would have been on other rows of the same kind.

A resample weighs each row by an independent Poisson number of mean 1, in place of drawing rows with
replacement: the two are alike for many rows, and this one goes through them once, in constant memory.
Sources: B. Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; N. Chamandy, O. Muralidharan, A.
Najmi and S. Naidu, "Estimating Uncertainty for Massive Data Streams", Google, 2012.

Rows are taken as independent, which windows of one series are only roughly.
"""

import math

import numpy as np

RESAMPLES = 1000
_SEED = 1729
# Rows of which all weights are held at once: 16 MB of them.
_BLOCK = 2048
_LEVELS = 65536
# Sums of the same numbers differ in their last digits by the order of summing.
_SAME = 1e-9


def _poisson_table():
    """Return the inverse of the Poisson distribution of mean 1, at the middle of each of 65,536 levels."""
    probabilities = [math.exp(-1) / math.factorial(count) for count in range(20)]
    levels = (np.arange(_LEVELS) + 0.5) / _LEVELS
    return np.searchsorted(np.cumsum(probabilities), levels).astype(float)


def resampled_sums(columns):
    """Return the weighted sums of some columns in each resample.

    Args:
        columns: one array of shape (n,) for each.

    Returns:
        Shape (RESAMPLES, columns).
    """
    generator = np.random.RandomState(_SEED)
    table = _poisson_table()
    sums = np.zeros((RESAMPLES, len(columns)))
    for start in range(0, len(columns[0]), _BLOCK):
        block = np.column_stack([column[start : start + _BLOCK] for column in columns])
        levels = np.frombuffer(generator.bytes(2 * RESAMPLES * len(block)), dtype=np.uint16)
        sums += table[levels].reshape(RESAMPLES, len(block)) @ block
    return sums


def resampled_counts(counts):
    """Yield in each resample how many there are of every kind of row.

    Rows of one kind need no weight each: the sum of their Poisson weights is Poisson too.

    Args:
        counts: rows of each kind, shape (k,).
    """
    generator = np.random.RandomState(_SEED)
    for _ in range(RESAMPLES):
        yield generator.poisson(counts)


def deviations_of(metrics, resampled):
    """Return the standard deviation of each metric over the resamples; nan for one that is not defined.

    Args:
        metrics: value of each, by name.
        resampled: values of each, by name, shape (RESAMPLES,).
    """
    deviations = {}
    for name, value in metrics.items():
        defined = resampled[name][np.isfinite(resampled[name])]
        deviations[name] = np.std(defined) if np.isfinite(value) and len(defined) else np.nan
    return deviations


def confidence_of(ours, theirs, best):
    """Return the share of resamples in which ours is strictly nearer to the best value than theirs.

    Args:
        ours: values of a metric on each resample, shape (RESAMPLES,); nan is never the better one.
        theirs: the other model's on the same resamples, shape (RESAMPLES,).
        best: value that the metric has at its best.
    """
    our_distance, their_distance = np.abs(ours - best), np.abs(theirs - best)
    return np.mean(our_distance < their_distance * (1 - _SAME))
