"""How well scores tell one class from the rest: the ROC curve, and the area under it.

The area is the share of pairs, one row of the class and one of the rest, in which the row of the class has
the higher score; a tie counts half (H. B. Mann and D. R. Whitney, "On a Test of Whether one of Two Random
Variables is Stochastically Larger than the Other", 1947). A row's placement is the share of its own pairs
that come out right. Sums of placements resample as means do, where the area itself would have to be sorted
anew each time (E. DeLong, D. DeLong and D. Clarke-Pearson, "Comparing the Areas under Two or More Correlated
Receiver Operating Characteristic Curves: A Nonparametric Approach", 1988).
"""

import numpy as np

_POINTS = 200


class Curve:
    """The ROC curve of one class against the rest.

    Attributes:
        area: under the curve; nan if there is no row of the class, or none of the rest.
        influence: by how much each row moves the area, times n; shape (n,), sum 0.
        false_positive_rates: at falling thresholds, from 0 to 1.
        true_positive_rates: at the same thresholds.
    """

    def __init__(self, area, influence, false_positive_rates, true_positive_rates):
        self.area = area
        self.influence = influence
        self.false_positive_rates = false_positive_rates
        self.true_positive_rates = true_positive_rates


def curve_of(scores, positive):
    """Return the curve of some scores.

    Args:
        scores: higher for what is more likely of the class; shape (n,).
        positive: whether a row is of the class; booleans, shape (n,).
    """
    rows, positives = len(scores), np.count_nonzero(positive)
    negatives = rows - positives
    if not positives or not negatives:
        return Curve(np.nan, np.zeros(rows), np.array([]), np.array([]))
    levels, place = np.unique(scores, return_inverse=True)
    at_level = np.bincount(place[positive], minlength=len(levels))
    others_at_level = np.bincount(place[~positive], minlength=len(levels))
    others_below = np.cumsum(others_at_level) - others_at_level
    above = positives - np.cumsum(at_level)
    placement = np.where(
        positive,
        ((others_below + others_at_level / 2) / negatives)[place],
        ((above + at_level / 2) / positives)[place],
    )
    area = placement[positive].mean()
    share = np.where(positive, positives / rows, negatives / rows)
    return Curve(
        area,
        (placement - area) / share,
        _from_the_top(others_at_level) / negatives,
        _from_the_top(at_level) / positives,
    )


def _from_the_top(counts):
    return np.concatenate([[0], np.cumsum(counts[::-1])])


def thinned(curve):
    """Return a bounded number of points of a curve, as JSON knows them."""
    false, true = curve.false_positive_rates, curve.true_positive_rates
    # Even steps along the curve's length keep its steep start as well as its flat end.
    along = false + true
    wanted = np.linspace(0, 2, min(_POINTS, len(along)))
    places = np.unique(np.concatenate([[0], np.searchsorted(along, wanted, side="left")]))
    places = places[places < len(along)]
    return {
        "false_positive_rates": false[places].tolist(),
        "true_positive_rates": true[places].tolist(),
    }
