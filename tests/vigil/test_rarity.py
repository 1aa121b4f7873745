from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vigil.rarity import Rarity, rarity_of_pool

MONTH = 8_640.0
pools = st.lists(
    arrays(np.float64, st.integers(0, 60), elements=st.floats(-1e6, 1e6)), min_size=1, max_size=4
).filter(lambda parts: sum(map(len, parts)) > 0)


def drawn(parts: list[np.ndarray]) -> Rarity:
    return rarity_of_pool(parts, apart=144, windows_per_month=MONTH)


@given(pools, st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20))
def test_what_lies_farther_out_is_never_less_rare(parts: list[np.ndarray], deviations: list[float]) -> None:
    values = np.array(sorted(deviations, key=abs))
    rare = drawn(parts).windows_of(values)
    assert np.isfinite(rare).all()
    assert (np.abs(rare) >= 1).all()
    assert (np.diff(np.abs(rare)) >= -1e-9 * np.abs(rare[1:])).all()
    assert (rare[values < 0] < 0).all()
    assert (rare[values >= 0] > 0).all()


@given(pools)
def test_a_rarity_survives_json(parts: list[np.ndarray]) -> None:
    rarity = drawn(parts)
    assert Rarity.from_json(json.loads(json.dumps(rarity.to_json(), allow_nan=False))) == rarity


@given(pools, st.floats(1e-3, 300))
def test_the_deviation_that_is_as_rare_as_a_rate_asks_for_is_where_windows_become_anomalous(
    parts: list[np.ndarray], rate: float
) -> None:
    rarity = drawn(parts)
    asked = rarity.windows_at(rate)
    deviation = rarity.deviations[-1] + rarity.scale * math.log(asked / 100)
    assert rarity.windows_of(np.array([deviation]))[0] == pytest.approx(asked, rel=1e-6)
    beyond, within = deviation + 0.01 * rarity.scale, deviation - 0.01 * rarity.scale
    assert rarity.windows_of(np.array([beyond]))[0] > asked
    if asked > 100.5:
        assert rarity.windows_of(np.array([within]))[0] < asked


def test_fewer_false_incidents_ask_for_rarer_windows_and_never_less_than_one_in_a_hundred() -> None:
    rarity = Rarity((0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), scale=1.0, clusters_per_month=20.0)
    assert [rarity.windows_at(rate) for rate in (300, 20, 10, 1, 0.1)] == [100, 100, 200, 2_000, 20_000]


def test_only_what_lies_beyond_the_calibration_is_marked_as_extrapolated() -> None:
    rarity = Rarity((0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), scale=1.0, clusters_per_month=1.0)
    windows = rarity.windows_of(np.array([0.0, 5.9, 6.0, 6.1, -6.0, -7.0]))
    assert rarity.is_extrapolated(windows).tolist() == [False, False, False, True, False, True]
    assert windows[[0, 2, 4]] == pytest.approx([1, 100, -100])


@pytest.mark.parametrize("seed", range(3))
def test_beyond_what_was_seen_an_exponential_tail_is_told_near_the_truth(seed: int) -> None:
    sample = np.random.default_rng(seed).exponential(2.0, 50_000)
    rarity = drawn([sample])
    for windows in (10, 50, 1_000, 10_000):
        told = rarity.windows_of(np.array([2.0 * math.log(windows)]))[0]
        assert told == pytest.approx(windows, rel=0.35)


def test_a_few_anomalies_in_the_calibration_hardly_move_what_is_rare() -> None:
    sample = np.random.default_rng(7).exponential(1.0, 20_000)
    stained = sample.copy()
    stained[5_000:5_040] = 500.0
    clean, moved = (drawn([own]).windows_of(np.array([9.0]))[0] for own in (sample, stained))
    assert moved == pytest.approx(clean, rel=0.6)


@pytest.mark.parametrize(
    "parts",
    [[np.zeros(5_000)], [np.full(5_000, 3.0)], [np.array([2.0])], [np.empty(0), np.array([-1.0, 1.0])]],
    ids=["zeros", "one value", "one window", "a series without any"],
)
def test_poor_pools_do_not_make_what_is_ordinary_rare(parts: list[np.ndarray]) -> None:
    rarity = drawn(parts)
    assert rarity.scale > 0
    assert rarity.clusters_per_month > 0
    assert all(np.diff(rarity.deviations) > 0)
    everything = np.concatenate(parts)
    assert not rarity.is_extrapolated(rarity.windows_of(everything)).any()
    assert np.isfinite(rarity.windows_of(np.array([1e12]))).all()


def test_nothing_to_draw_from_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match="no window to calibrate on: hold out more"):
        drawn([np.empty(0)])


def test_what_comes_within_half_a_day_counts_once() -> None:
    deviations = np.zeros(10_000)
    for start in (1_000, 1_100, 3_000, 9_000):
        deviations[start : start + 30] = 5.0
    # 1000 to 1129 is one time, the third and the fourth are others: three in 10 000 windows.
    assert drawn([deviations]).clusters_per_month == pytest.approx(3 * MONTH / 10_000)
    halves = [deviations[:1_050], deviations[1_050:]]
    assert drawn(halves).clusters_per_month == pytest.approx(4 * MONTH / 10_000)


def test_windows_that_are_not_known_say_nothing_of_what_is_rare() -> None:
    known = np.random.default_rng(5).exponential(1.0, 20_000)
    thinned = np.full(60_000, np.nan)
    thinned[::3] = known
    sparse, dense = drawn([thinned]), drawn([known])
    assert (sparse.deviations, sparse.scale) == (dense.deviations, dense.scale)
