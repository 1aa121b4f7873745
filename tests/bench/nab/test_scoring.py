from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.nab.folder import Label
from bench.nab.scoring import LOW_FN, LOW_FP, STANDARD, Detected, Profile, score, score_file, worth

LABELS = (Label(200, 299), Label(600, 699))
PROFILES = (STANDARD, LOW_FP, LOW_FN)


def file(*rows: int, labels: tuple[Label, ...] = LABELS, of: int = 1000) -> Detected:
    return Detected(of, np.array(sorted(rows), dtype=np.int64), labels)


def sigmoid(position: float) -> float:
    return 2 / (1 + math.exp(5 * position)) - 1


def test_worth_falls_from_one_to_minus_one() -> None:
    assert worth(-1) == pytest.approx(0.98661430)
    assert worth(0) == 0
    assert worth(3) == pytest.approx(-0.99999939)
    assert worth(3.001) == -1


def test_nothing_found_is_zero_and_every_first_row_is_a_hundred() -> None:
    for found, expected in ((file(), 0.0), (file(200, 600), 100.0)):
        assert vars(score([found])) == pytest.approx(
            dict.fromkeys(("standard", "low_fp", "low_fn"), expected)
        )


def test_a_hit_in_the_middle_and_a_miss() -> None:
    # Row 250 of 200 to 299: y = -(299 - 250 + 1) / 100 = -0.5.
    gained = sigmoid(-0.5) / sigmoid(-1)
    assert gained == pytest.approx(0.85979, abs=1e-5)
    assert score_file(file(250), STANDARD) == pytest.approx(gained - 1)
    assert score_file(file(250), LOW_FN) == pytest.approx(gained - 2)
    # (0.85979 - 1 + 2) / 4 and (0.85979 - 2 + 4) / 6
    scores = score([file(250)])
    assert scores.standard == scores.low_fp == pytest.approx(46.4948, abs=1e-3)
    assert scores.low_fn == pytest.approx(47.6632, abs=1e-3)


def test_the_earliest_detection_of_a_window_counts() -> None:
    assert score_file(file(250, 260, 299), STANDARD) == score_file(file(250), STANDARD)


def test_a_false_detection_costs_by_its_distance_behind_the_window_before_it() -> None:
    nothing = score_file(file(), STANDARD)
    assert score_file(file(160), STANDARD) == pytest.approx(nothing - 0.11)
    # Row 310: y = (310 - 299) / (100 - 1) = 1 / 9.
    cost = 0.11 * -sigmoid(1 / 9)
    assert score_file(file(310), STANDARD) == pytest.approx(nothing - cost)
    assert score_file(file(310), LOW_FP) == pytest.approx(nothing - 2 * cost)
    # Far behind, by more than three widths.
    assert score_file(file(999), STANDARD) == pytest.approx(nothing - 0.11, abs=1e-3)


def test_probation_is_never_scored() -> None:
    assert score_file(file(0, 149), STANDARD) == score_file(file(), STANDARD)
    assert score_file(file(150), STANDARD) < score_file(file(), STANDARD)
    # At most 750 rows, however long the file.
    long = file(750, of=100_000, labels=(Label(900, 999),))
    assert score_file(long, STANDARD) == pytest.approx(-1.11)


def test_a_window_of_one_row_can_be_missed_by_a_little() -> None:
    one = (Label(500, 500),)
    assert score_file(file(500, labels=one), STANDARD) == pytest.approx(1)
    assert score_file(file(502, labels=one), STANDARD) == pytest.approx(-1 - 0.11 * -sigmoid(2))


def test_files_are_summed_before_they_are_normalised() -> None:
    both = score([file(200, 600), file(labels=(Label(300, 310),))])
    # Two windows found, one missed: (2 - 1 + 3) / 6.
    assert both.standard == pytest.approx(100 * 4 / 6)
    unlabelled = score([file(200, 600), file(500, labels=())])
    assert unlabelled.standard == pytest.approx(100 * (2 - 0.11 + 2) / 4)


def test_without_labels_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="nothing is labelled"):
        score([file(labels=())])


rows = st.lists(st.integers(0, 999), max_size=20)


@given(rows)
def test_no_score_is_above_that_of_a_perfect_detector(detections: list[int]) -> None:
    scores = score([file(*detections)])
    assert max(vars(scores).values()) <= 100 + 1e-9


@given(rows, st.integers(150, 999), st.sampled_from(PROFILES))
def test_a_detection_outside_never_gains_and_one_inside_never_costs(
    detections: list[int], row: int, profile: Profile
) -> None:
    before, after = score_file(file(*detections), profile), score_file(file(*detections, row), profile)
    if any(label.holds(row) for label in LABELS):
        assert after >= before - 1e-12
    else:
        assert after <= before + 1e-12
