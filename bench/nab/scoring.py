"""The scores of the Numenta Anomaly Benchmark, NAB (Lavin and Ahmad, arXiv 1510.03336).

Of a labelled window the best detection counts, the earlier the better; a window without one costs; and so
does every detection outside, the more the farther behind the last window it lies. Zero is what a detector
gets that finds nothing, a hundred what one gets that finds every window at its first row and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.nab.folder import Label

_PROBATION_SHARE, _LONGEST_PROBATION = 0.15, 750
_FAR = 3.0


@dataclass(frozen=True)
class Profile:
    """What hits, misses and false detections are worth.

    Attributes:
        hit: gained by a window that is detected at its first row.
        miss: lost by a window that is not.
        false: lost by a detection far outside any window.
    """

    hit: float
    miss: float
    false: float


STANDARD, LOW_FP, LOW_FN = Profile(1, 1, 0.11), Profile(1, 1, 0.22), Profile(1, 2, 0.11)


@dataclass(frozen=True)
class Scores:
    """NAB's three scores.

    Attributes:
        standard: by the standard profile.
        low_fp: by the one to which false detections cost twice as much.
        low_fn: by the one to which misses cost twice as much.
    """

    standard: float
    low_fp: float
    low_fn: float


@dataclass(frozen=True)
class Detected:
    """The detections in one file.

    Attributes:
        rows: in the file.
        detections: places of rows in the order of time.
        labels: in order.
    """

    rows: int
    detections: NDArray[np.int64]
    labels: Sequence[Label]


def score(files: Sequence[Detected]) -> Scores:
    """Return the scores of a detector over some files.

    Raises:
        ValueError: nothing is labelled.
    """
    windows = sum(len(file.labels) for file in files)
    if not windows:
        raise ValueError("nothing is labelled, so there is nothing to score")
    return Scores(*(_normalised(files, windows, profile) for profile in (STANDARD, LOW_FP, LOW_FN)))


def _normalised(files: Sequence[Detected], windows: int, profile: Profile) -> float:
    raw = sum(score_file(file, profile) for file in files)
    null, perfect = -profile.miss * windows, profile.hit * windows
    return 100 * (raw - null) / (perfect - null)


def score_file(file: Detected, profile: Profile) -> float:
    """Return the raw score of one file; rows of the probation, the first 15 %, are left out."""
    probation = min(int(_PROBATION_SHARE * file.rows), _LONGEST_PROBATION)
    detections = [row for row in file.detections.tolist() if row >= probation]
    gained = sum(_gain(label, detections, profile) for label in file.labels)
    outside = [row for row in detections if not any(label.holds(row) for label in file.labels)]
    return gained - profile.false * sum(_cost(row, file.labels) for row in outside)


def _gain(label: Label, detections: Sequence[int], profile: Profile) -> float:
    within = [row for row in detections if label.holds(row)]
    if not within:
        return -profile.miss
    # The earliest is the best: worth falls from one end of the window to the other.
    return profile.hit * worth(-(label.last - min(within) + 1) / label.width) / worth(-1)


def _cost(row: int, labels: Sequence[Label]) -> float:
    before = [label for label in labels if label.last < row]
    if not before:
        return 1.0
    label = max(before, key=lambda label: label.last)
    return -worth((row - label.last) / max(label.width - 1, 1))


def worth(position: float) -> float:
    """Return what a detection is worth, from 1 in a window to -1 far behind it.

    Args:
        position: -1 at the first row of a window, 0 behind its last one, in widths of it.
    """
    return -1.0 if position > _FAR else 2 / (1 + math.exp(5 * position)) - 1
