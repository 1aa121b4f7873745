from __future__ import annotations

import warnings

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vigil.features import FEATURE_NAMES, OFFSETS, features_of, lookback_of
from vigil.windows import WINDOW_SECONDS, WINDOWS_PER_DAY, WINDOWS_PER_WEEK

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
    target = data.draw(st.integers(0, len(counts) - 1))
    gathered = lookback_of(counts, np.array([target]))[0]
    for place, offset in enumerate(OFFSETS):
        expected = counts[target - offset] if offset <= target else np.nan
        np.testing.assert_equal(gathered[place], expected)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1e6))
def test_a_window_is_never_described_by_its_own_count_nor_by_a_later_one(seed: int, other: float) -> None:
    counts = np.random.default_rng(seed).integers(0, 1_000, 5_000).astype(float)
    target = np.array([4500])
    changed = counts.copy()
    changed[4500:] = other
    np.testing.assert_array_equal(lookback_of(counts, target), lookback_of(changed, target))


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
