from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.deviations import (
    deviations_of,
    extremes_of,
    leaning,
    longest_span,
    residuals_of,
    spans_on,
    tails_of,
)
from vigil.grid import FIVE_MINUTES, Grid

seeds = st.integers(0, 2**32 - 1)
SPANS = spans_on()
EXPECTATION, LEVEL = 0, 1


def calm(windows: int, rate: float = 50.0) -> np.ndarray:
    return np.full(windows, rate)


def test_spans_reach_from_one_window_to_half_a_day() -> None:
    assert SPANS == (1, 3, 12, 48, 144)
    assert longest_span() == 144


@pytest.mark.parametrize("seconds", [60, 300, 900, 3_600, 43_200, 86_400])
def test_spans_on_any_grid_ascend_from_a_single_window(seconds: int) -> None:
    spans = spans_on(Grid(seconds))
    assert spans[0] >= 1
    assert list(spans) == sorted(set(spans))


def test_a_spike_is_seen_on_the_short_spans_and_a_slow_shift_on_the_long_ones() -> None:
    expected = calm(600)
    spike, shift = expected.copy(), expected.copy()
    spike[400] += 100
    shift[300:] += 4
    sharp = residuals_of(spike, expected, expected)[400, EXPECTATION]
    assert (np.diff(sharp) < 0).all()
    slow = residuals_of(shift, expected, expected)[500, EXPECTATION]
    assert (np.diff(slow) > 0).all()
    assert slow[0] < 1 < slow[-1]


def test_residuals_on_the_scale_of_counts_are_as_computed_by_hand() -> None:
    residuals = residuals_of(np.array([9.0, 0.0]), np.array([4.0, 4.0]), np.array([np.nan, 6.0]))
    assert residuals[0, EXPECTATION, 0] == pytest.approx(2 * (9.375**0.5 - 4.375**0.5))
    assert residuals[1, EXPECTATION, 1] == pytest.approx(2 * (9.375**0.5 - 8.375**0.5))
    assert residuals[1, LEVEL, 4] == pytest.approx(2 * (0.375**0.5 - 6.375**0.5))
    assert np.isnan(residuals[0, LEVEL]).all()


@given(seeds, st.integers(1, 400))
def test_a_window_that_is_unknown_takes_no_part(seed: int, windows: int) -> None:
    """What was observed and what was expected of it are left out together."""
    generator = np.random.default_rng(seed)
    observed = generator.poisson(20, windows).astype(float)
    expected = np.full(windows, 20.0)
    unknown = generator.random(windows) < 0.3
    hidden = np.where(unknown, np.nan, observed)
    residuals = residuals_of(hidden, expected, expected)
    assert np.isnan(residuals[unknown]).all()
    assert np.isfinite(residuals[~unknown]).all()
    np.testing.assert_array_equal(residuals, residuals_of(hidden, np.where(unknown, 1e6, 20.0), expected))


@given(seeds, st.integers(1, 300), st.integers(0, 400))
def test_so_much_of_the_past_as_the_longest_span_reaches_is_enough(
    seed: int, judged: int, earlier: int
) -> None:
    generator = np.random.default_rng(seed)
    windows = earlier + longest_span() - 1 + judged
    observed = generator.poisson(30, windows).astype(float)
    observed[generator.random(windows) < 0.1] = np.nan
    expected = generator.uniform(20, 40, windows)
    level = np.full(windows, 30.0)
    whole = residuals_of(observed, expected, level)[-judged:]
    sliced = residuals_of(observed[earlier:], expected[earlier:], level[earlier:])[-judged:]
    np.testing.assert_allclose(sliced, whole, rtol=1e-9, atol=1e-9)


@given(seeds)
def test_no_window_is_judged_by_a_later_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    observed = generator.poisson(20, 300).astype(float)
    changed = observed.copy()
    changed[200:] = generator.poisson(90, 100)
    expected = calm(300, 20.0)
    np.testing.assert_array_equal(
        residuals_of(observed, expected, expected)[:200], residuals_of(changed, expected, expected)[:200]
    )


def test_counts_of_millions_and_of_nothing_have_finite_residuals() -> None:
    for rate in (0.0, 4e9):
        assert np.isfinite(residuals_of(calm(300, rate), calm(300, 4e9 - rate), calm(300, rate))).all()


@given(seeds, st.floats(1, 100))
def test_a_series_that_strays_so_much_more_every_day_deviates_no_farther(seed: int, times: float) -> None:
    residuals = np.random.default_rng(seed).normal(0, 5, (288, 2, 5))
    one = deviations_of(residuals, np.broadcast_to(tails_of(extremes_of(residuals, 1)[None]), (288, 2, 5, 2)))
    more = residuals * times
    other = deviations_of(more, np.broadcast_to(tails_of(extremes_of(more, 1)[None]), (288, 2, 5, 2)))
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_the_view_that_finds_a_window_farther_off_says_how_far_and_to_which_side() -> None:
    residuals = np.zeros((3, 2, 5))
    residuals[0, EXPECTATION], residuals[0, LEVEL] = 3.0, -6.0
    residuals[1, EXPECTATION], residuals[1, LEVEL] = 3.0, 1.0
    residuals[2] = np.nan
    tails = np.ones((3, 2, 5, 2))
    tails[..., 0] = 4.0
    assert deviations_of(residuals, tails).tolist() == [3.0, 3.0, 0.0]
    tails[..., 0] = 1.0
    assert deviations_of(residuals, tails).tolist() == [-6.0, 3.0, 0.0]


def test_a_view_that_is_unknown_leaves_the_word_to_the_other() -> None:
    residuals = np.ones((1, 2, 5))
    residuals[0, EXPECTATION] = np.nan
    residuals[0, LEVEL] = -2.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert deviations_of(residuals, np.ones((1, 2, 5, 2))).tolist() == [-2.0]


def test_one_wild_day_of_fourteen_hardly_moves_the_tails_and_a_wild_life_makes_them() -> None:
    days = np.full((14, 2, 5, 2), 4.0)
    days[3] = 400.0
    assert tails_of(days) == pytest.approx(np.full((2, 5, 2), 4.0))
    days[:] = 400.0
    assert tails_of(days) == pytest.approx(np.full((2, 5, 2), 400.0))


def test_tails_are_never_thinner_than_the_scatter_of_counts() -> None:
    assert (tails_of(np.zeros((14, 2, 5, 2))) == 1.5).all()
    assert (tails_of(np.full((14, 2, 5, 2), -3.0)) == 1.5).all()


def test_what_no_day_knows_is_not_known() -> None:
    days = np.full((14, 2, 5, 2), 4.0)
    days[:, LEVEL] = np.nan
    days[:13, EXPECTATION] = np.nan
    tails = tails_of(days)
    assert (tails[EXPECTATION] == 4.0).all()
    assert np.isnan(tails[LEVEL]).all()


def test_extremes_are_how_far_windows_stray_to_either_side() -> None:
    residuals = np.zeros((10, 2, 5))
    residuals[4, EXPECTATION, 0], residuals[5, EXPECTATION, 0] = 7.0, -3.0
    residuals[:, LEVEL] = 2.0
    residuals[:6, LEVEL] = np.nan
    extremes = extremes_of(residuals, fewest=5)
    assert extremes[EXPECTATION, 0].tolist() == [3.0, 7.0]
    assert np.isnan(extremes[LEVEL]).all()
    assert extremes_of(residuals, fewest=4)[LEVEL, 0].tolist() == [-2.0, 2.0]


def test_a_window_leans_where_it_lies_beyond_half_of_its_band_on_the_side_of_its_deviation() -> None:
    deviations = np.array([5.0, 5.0, 5.0, -5.0, -5.0, 0.0, 5.0])
    positions = np.array([0.5, 0.49, -3.0, -0.5, 3.0, 9.0, np.nan])
    assert leaning(deviations, positions).tolist() == [True, False, False, True, False, False, False]


def test_a_spike_is_over_when_its_window_is() -> None:
    observed, expected = calm(200, 20.0), calm(200, 20.0)
    observed[100] = 200
    residuals = residuals_of(observed, expected, expected)
    deviations = deviations_of(residuals, np.full((200, 2, 5, 2), 1.5))
    leans = leaning(deviations, residuals[:, EXPECTATION, 0] / 4.5)
    assert deviations[101:].max() > 1
    assert np.flatnonzero(leans).tolist() == [100]


def test_five_minutes_are_the_grid_of_the_pipeline() -> None:
    assert (FIVE_MINUTES.windows_per_day, FIVE_MINUTES.windows_per_month) == (288, 8640.0)
