"""How grave an incident is, by the logarithm of how rare its windows are.

Rarities span many powers of ten, and a window twice as rare is hardly worse: it is their logarithm that
grows with the size of a deviation.
"""

from __future__ import annotations

import math

from vigil.detection.verdicts import Verdict

MINOR, MAJOR, CRITICAL = "minor", "major", "critical"
SEVERITIES = (MINOR, MAJOR, CRITICAL)

# Multiples of the logarithm at which windows are anomalous.
_MAJOR_FROM, _CRITICAL_ABOVE = 2.0, 4.0
# Of a series that expects so many events, not a single one is a failure rather than a dip.
_EVENTS_MISSED = 5.0
_RAREST = 1e300


def surprise(rarity: float) -> float:
    """Return the logarithm of a rarity, of whichever side; 0 for what is common."""
    return math.log(min(max(abs(rarity), 1.0), _RAREST))


def severity_of(verdict: Verdict, threshold: float) -> str:
    """Return how grave an anomalous window is.

    Args:
        verdict: on the window.
        threshold: rarity from which on windows are anomalous; above 1.
    """
    ratio = surprise(verdict.score) / surprise(threshold)
    if ratio > _CRITICAL_ABOVE:
        return CRITICAL
    if ratio >= _MAJOR_FROM or is_drop_to_zero(verdict.observed, verdict.expected):
        return MAJOR
    return MINOR


def is_drop_to_zero(observed: int, expected: float) -> bool:
    """Tell whether no event came although some were expected."""
    return observed == 0 and expected >= _EVENTS_MISSED


def graver(one: str, other: str) -> str:
    """Return the graver of two severities."""
    return max(one, other, key=SEVERITIES.index)
