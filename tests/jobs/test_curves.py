from __future__ import annotations

import math

import numpy as np
import pytest
from curves import curve_of, thinned
from hypothesis import assume, given
from hypothesis import strategies as st

rows = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60)


def parts(given_rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    scores, positive = zip(*given_rows, strict=True)
    assume(0 < sum(positive) < len(positive))
    return np.array(scores, dtype=float), np.array(positive)


@given(rows)
def test_the_area_is_the_share_of_pairs_in_the_right_order(given_rows: list[tuple[int, bool]]) -> None:
    scores, positive = parts(given_rows)
    pairs = [
        1.0 if own > other else 0.5 if own == other else 0.0
        for own in scores[positive]
        for other in scores[~positive]
    ]
    assert curve_of(scores, positive).area == pytest.approx(sum(pairs) / len(pairs))


@given(rows)
def test_the_area_follows_from_the_sum_of_ranks(given_rows: list[tuple[int, bool]]) -> None:
    scores, positive = parts(given_rows)
    ranks = [(np.sum(scores < score) + np.sum(scores <= score) + 1) / 2 for score in scores]
    count = positive.sum()
    mann_whitney = sum(np.array(ranks)[positive]) - count * (count + 1) / 2
    area = curve_of(scores, positive).area
    assert area == pytest.approx(mann_whitney / (count * (len(scores) - count)))


@given(rows)
def test_the_area_is_the_one_under_the_curve(given_rows: list[tuple[int, bool]]) -> None:
    curve = curve_of(*parts(given_rows))
    false, true = curve.false_positive_rates, curve.true_positive_rates
    assert np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2) == pytest.approx(curve.area)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


@given(rows)
def test_the_influences_of_all_rows_cancel_out(given_rows: list[tuple[int, bool]]) -> None:
    assert curve_of(*parts(given_rows)).influence.sum() == pytest.approx(0, abs=1e-9)


@given(rows)
def test_influences_give_the_area_of_weighted_rows_where_weights_are_near_one(
    given_rows: list[tuple[int, bool]],
) -> None:
    scores, positive = parts(given_rows)
    curve = curve_of(scores, positive)
    weights = 1 + 1e-4 * np.random.default_rng(1).standard_normal(len(scores))
    ahead = np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
    exact = weights[positive] @ ahead @ weights[~positive]
    exact /= weights[positive].sum() * weights[~positive].sum()
    near = curve.area + weights @ curve.influence / weights.sum()
    assert near == pytest.approx(exact, abs=1e-6)


def test_one_class_alone_has_no_curve() -> None:
    curve = curve_of(np.array([0.1, 0.2]), np.array([True, True]))
    assert math.isnan(curve.area)
    assert not curve.influence.any()


def test_a_thinned_curve_is_bounded_keeps_its_ends_and_hardly_moves() -> None:
    generator = np.random.default_rng(2)
    positive = generator.random(50_000) < 0.1
    curve = curve_of(generator.standard_normal(50_000) + 1.5 * positive, positive)
    points = thinned(curve)
    false, true = (np.array(points[name]) for name in ("false_positive_rates", "true_positive_rates"))
    assert len(false) == len(true) <= 201
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2) == pytest.approx(curve.area, abs=1e-3)
