from __future__ import annotations

import warnings

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vigil.features import FEATURE_NAMES, features_of, lookback_of, most_at_once, offsets_on
from vigil.grid import Grid
from vigil.windows import WINDOW_SECONDS, WINDOWS_PER_DAY, WINDOWS_PER_WEEK

OFFSETS = offsets_on().all
RECENT = offsets_on().recent
known_or_not = st.one_of(st.just(float("nan")), st.integers(0, 10_000).map(float))
lookbacks = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, len(OFFSETS)), elements=known_or_not))


def starts(count: int, first: int = 1_767_225_600) -> np.ndarray:
    return first + WINDOW_SECONDS * np.arange(count, dtype=np.int64)


@given(lookbacks)
def test_features_are_finite_whatever_is_unknown(lookback: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        described = features_of(starts(len(lookback)), lookback)
    assert described.shape == (len(lookback), len(FEATURE_NAMES))
    assert np.isfinite(described).all()


@given(lookbacks)
def test_a_window_is_described_the_same_alone_and_among_others(lookback: np.ndarray) -> None:
    together = features_of(starts(len(lookback)), lookback)
    alone = [
        features_of(starts(len(lookback))[place : place + 1], lookback[place : place + 1])
        for place in range(len(lookback))
    ]
    np.testing.assert_array_equal(together, np.concatenate(alone))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrays(np.float64, st.integers(1, 5000), elements=known_or_not), st.data())
def test_the_lookback_holds_the_count_that_lies_so_far_back(counts: np.ndarray, data: st.DataObject) -> None:
    """As it was in the last three hours, and as it is usual before them."""
    target = data.draw(st.integers(0, len(counts) - 1))
    usual = counts + 1
    gathered = lookback_of(counts, usual, np.array([target]))[0]
    for place, offset in enumerate(OFFSETS):
        taken = counts if place < len(RECENT) else usual
        expected = taken[target - offset] if offset <= target else np.nan
        np.testing.assert_equal(gathered[place], expected)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1e6))
def test_a_window_is_never_described_by_its_own_count_nor_by_a_later_one(seed: int, other: float) -> None:
    counts = np.random.default_rng(seed).integers(0, 1_000, 5_000).astype(float)
    target = np.array([4500])
    changed = counts.copy()
    changed[4500:] = other
    np.testing.assert_array_equal(lookback_of(counts, counts, target), lookback_of(changed, changed, target))


def test_the_named_lags_are_the_counts_they_name() -> None:
    lookback = np.array([[float(offset) for offset in OFFSETS]])
    described = dict(zip(FEATURE_NAMES, features_of(starts(1), lookback)[0], strict=True))
    assert described["lag_1"] == 1
    assert described["lag_3"] == 3
    assert described["median_of_hour"] == 6.5
    assert described["yesterday"] == WINDOWS_PER_DAY
    assert described["last_week"] == WINDOWS_PER_WEEK


def test_monday_midnight_begins_the_week_of_features() -> None:
    monday = 1_767_571_200  # 2026-01-05 00:00 UTC
    described = features_of(np.array([monday]), np.zeros((1, len(OFFSETS))))[0]
    named = dict(zip(FEATURE_NAMES, described, strict=True))
    assert (named["minute_of_day"], named["weekday"]) == (0, 0)


def named_at(start: int, holidays: frozenset[int] = frozenset()) -> dict[str, float]:
    described = features_of(np.array([start]), np.zeros((1, len(OFFSETS))), holidays)[0]
    return dict(zip(FEATURE_NAMES, described.tolist(), strict=True))


def test_a_holiday_is_a_weekday_of_its_own_and_changes_nothing_else() -> None:
    noon = 20_000 * 86_400 + 43_200
    plain, holiday = named_at(noon), named_at(noon, frozenset({20_000}))
    assert holiday["weekday"] == 7
    assert plain["weekday"] < 7
    assert {name for name in plain if plain[name] != holiday[name]} == {"weekday"}
    assert named_at(noon, frozenset({19_999, 20_001})) == plain


@given(st.integers(0, 2**32 - 1))
def test_an_anomaly_is_seen_for_three_hours_and_then_as_far_as_it_was_usual(seed: int) -> None:
    usual = np.random.default_rng(seed).integers(0, 50, 20 * WINDOWS_PER_DAY).astype(float)
    place = 15 * WINDOWS_PER_DAY
    observed = usual.copy()
    observed[place] += 1_000
    targets = np.arange(place + 1, len(usual))
    seconds = starts(len(usual))[targets]
    described, calm = lookback_of(observed, usual, targets), lookback_of(usual, usual, targets)
    seen = ~(np.isclose(described, calm, equal_nan=True)).all(axis=1)
    assert seen[: len(RECENT)].all()
    assert not seen[len(RECENT) :].any()
    assert len(RECENT) * WINDOW_SECONDS == 3 * 3600
    lag_1 = FEATURE_NAMES.index("lag_1")
    assert features_of(seconds, described)[0, lag_1] == usual[place] + 1_000


def test_windows_judged_at_once_look_back_on_none_of_each_other_as_a_usual_one() -> None:
    assert min(offsets_on().slots) == most_at_once()
    assert max(RECENT) < most_at_once()


@given(st.sampled_from([60, 300, 600, 900, 3_600, 7_200, 43_200, 86_400]), st.integers(0, 2**32 - 1))
def test_features_on_any_grid_are_those_of_five_minutes_by_name_and_finite(seconds: int, seed: int) -> None:
    grid = Grid(seconds)
    counts = np.random.default_rng(seed).integers(0, 50, 40).astype(float)
    targets = np.arange(len(counts))
    lookback = lookback_of(counts, counts, targets, grid)
    assert lookback.shape[1] == len(offsets_on(grid).all)
    described = features_of(targets * seconds, lookback, grid=grid)
    assert described.shape == (len(counts), len(FEATURE_NAMES))
    assert np.isfinite(described).all()
    assert min(offsets_on(grid).slots) >= most_at_once(grid) >= 1


def test_the_median_of_an_hour_does_not_move_for_one_wild_count() -> None:
    lookback = np.full((1, len(OFFSETS)), 10.0)
    lookback[0, 0] = 5_000.0
    named = dict(zip(FEATURE_NAMES, features_of(starts(1), lookback)[0].tolist(), strict=True))
    assert (named["lag_1"], named["median_of_hour"], named["median_of_three_hours"]) == (5_000, 10, 10)
    assert named["mean_of_hour"] == (5_000 + 11 * 10) / 12
