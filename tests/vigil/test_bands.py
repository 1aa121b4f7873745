from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.bands import Band, calibrate, counts_of, stabilised

spreads = st.tuples(st.floats(0.01, 10), st.floats(0.01, 10))
bands = st.builds(
    Band,
    coverage=st.floats(0.5, 0.999),
    lower_quantile=st.floats(-20, -0.01),
    upper_quantile=st.floats(0.01, 20),
    scales=st.dictionaries(st.sampled_from(["orders", "clicks"]), spreads),
    default_scale=spreads,
    scale=st.sampled_from(["anscombe", "plain"]),
)
bands_of_counts = bands.map(lambda band: replace(band, scale="anscombe"))
counts = st.floats(0, 1e6)


@given(bands)
def test_a_band_survives_json(band: Band) -> None:
    assert Band.from_json(json.loads(json.dumps(band.to_json()))) == band


def test_a_band_of_another_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="'stddev'"):
        Band.from_json({"rule": "stddev"})


def test_a_band_that_names_no_scale_is_of_counts_and_one_of_another_is_refused() -> None:
    band = Band(0.9, -1.0, 1.0, {}, (1.0, 1.0))
    content = band.to_json()
    del content["scale"]
    assert Band.from_json(content) == band
    with pytest.raises(ValueError, match="the scale 'log', not 'anscombe' or 'plain'"):
        Band.from_json({**content, "scale": "log"})


@given(bands_of_counts, counts)
def test_the_expected_count_lies_inside_its_band(band: Band, expected: float) -> None:
    lower, upper = band.bounds(["orders"], np.array([expected]))
    assert 0 <= lower[0] <= expected * (1 + 1e-9) + 1e-9
    assert upper[0] * (1 + 1e-9) + 1e-9 >= expected


@given(bands, counts, counts)
def test_bounds_never_fall_when_more_is_expected(band: Band, one: float, other: float) -> None:
    low, high = sorted((one, other))
    lower, upper = band.bounds(["orders", "orders"], np.array([low, high]))
    assert lower[0] <= lower[1]
    assert upper[0] <= upper[1]


@given(bands_of_counts, counts, st.integers(0, 1_000_000))
def test_the_score_leaves_plus_and_minus_one_where_the_count_leaves_the_band(
    band: Band, expected: float, observed: int
) -> None:
    lower, upper = band.bounds(["orders"], np.array([expected]))
    (score,) = band.scores(["orders"], np.array([expected]), np.array([float(observed)]))
    if observed > upper[0] * (1 + 1e-9) + 1e-9:
        assert score >= 1 - 1e-6
    if observed < lower[0] * (1 - 1e-9) - 1e-9:
        assert score <= -1 + 1e-6
    if lower[0] * (1 + 1e-9) + 1e-9 < observed < upper[0] * (1 - 1e-9) - 1e-9:
        assert -1 - 1e-6 <= score <= 1 + 1e-6


@given(st.floats(0, 1e9))
def test_the_stabilising_scale_can_be_undone(count: float) -> None:
    assert counts_of(stabilised(np.array([count])))[0] == pytest.approx(count, rel=1e-9, abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.9, 0.95, 0.98]))
def test_the_band_covers_its_share_of_windows_it_has_not_seen(seed: int, coverage: float) -> None:
    generator = np.random.default_rng(seed)
    rates = generator.uniform(20, 200, 8_000)
    observed = generator.poisson(rates).astype(float)
    names = np.where(np.arange(8_000) % 2, "orders", "clicks")
    band = calibrate(list(names[:4_000]), rates[:4_000], observed[:4_000], coverage)
    lower, upper = band.bounds(list(names[4_000:]), rates[4_000:])
    inside = np.mean((observed[4_000:] >= lower) & (observed[4_000:] <= upper))
    # Both the calibration and this check are samples: five standard deviations of either, together.
    assert abs(inside - coverage) < 5 * np.sqrt(2 * coverage * (1 - coverage) / 4_000) + 0.005


def test_a_perfect_model_still_gets_a_band_that_can_be_divided_by() -> None:
    exact = np.full(500, 10.0)
    band = calibrate(["orders"] * 500, exact, exact, 0.98)
    assert band.lower_quantile < 0 < band.upper_quantile
    assert np.isfinite(band.scores(["orders"], np.array([10.0]), np.array([11.0]))).all()


def test_too_few_windows_for_a_coverage_are_refused() -> None:
    with pytest.raises(ValueError, match="needs 1999 rows to calibrate on, there are 3"):
        calibrate(["orders"] * 3, np.ones(3), np.ones(3), 0.999)


def test_the_tails_of_the_calibration_windows_lie_outside_as_often_as_promised() -> None:
    generator = np.random.default_rng(4)
    rates = np.full(1_000, 50.0)
    observed = generator.poisson(rates).astype(float)
    band = calibrate(["orders"] * 1_000, rates, observed, 0.98)
    scores = band.scores(["orders"] * 1_000, rates, observed)
    assert np.sum(scores > 1 + 1e-9) <= 10
    assert np.sum(scores < -1 - 1e-9) <= 10


def test_a_series_with_heavy_tails_does_not_widen_the_band_of_a_calm_one() -> None:
    random = np.random.default_rng(3)
    expected = np.full(6_000, 50.0)
    calm = random.poisson(50, 6_000).astype(float)
    wild = calm * random.choice([1, 30], 6_000, p=[0.97, 0.03])
    series = ["calm"] * 6_000 + ["wild"] * 6_000
    band = calibrate(series, np.tile(expected, 2), np.concatenate([calm, wild]), 0.999)
    _, upper = band.bounds(["calm", "wild"], np.array([50.0, 50.0]))
    assert upper[0] < 120
    assert upper[1] > 1_000


@given(bands, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_plain_band_keeps_its_shape_wherever_it_lies(band: Band, one: float, other: float) -> None:
    plain = replace(band, scale="plain")
    expected = np.array([one, other])
    lower, upper = plain.bounds(["orders", "orders"], expected)
    assert (lower < expected).all()
    assert (upper > expected).all()
    assert (upper - lower)[0] == pytest.approx((upper - lower)[1], rel=1e-6, abs=1e-6)
    assert plain.scores(["orders"] * 2, expected, upper) == pytest.approx([1, 1], rel=1e-4)
    assert plain.scores(["orders"] * 2, expected, lower) == pytest.approx([-1, -1], rel=1e-4)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e6]), st.sampled_from([0.9, 0.98]))
def test_a_plain_band_covers_its_share_in_any_unit(seed: int, unit: float, coverage: float) -> None:
    generator = np.random.default_rng(seed)
    expected = generator.normal(0, 50, 8_000) * unit
    observed = expected + generator.standard_t(5, 8_000) * unit
    band = calibrate([""] * 4_000, expected[:4_000], observed[:4_000], coverage, "plain")
    lower, upper = band.bounds([""] * 4_000, expected[4_000:])
    inside = np.mean((observed[4_000:] >= lower) & (observed[4_000:] <= upper))
    assert abs(inside - coverage) < 5 * np.sqrt(2 * coverage * (1 - coverage) / 4_000) + 0.005


@pytest.mark.parametrize("size", [0.0, 1e-9, 1.0, -1e9])
def test_a_perfect_model_of_any_numbers_gets_a_plain_band_that_can_be_divided_by(size: float) -> None:
    exact = np.full(500, size)
    band = calibrate([""] * 500, exact, exact, 0.98, "plain")
    assert band.scale == "plain"
    assert np.isfinite(band.scores([""], np.array([size]), np.array([size + 1]))).all()


def test_a_plain_band_has_sides_of_their_own() -> None:
    generator = np.random.default_rng(8)
    skewed = generator.exponential(1.0, 5_000)
    band = calibrate([""] * 5_000, np.zeros(5_000), skewed, 0.98, "plain")
    lower, upper = band.bounds([""], np.zeros(1))
    assert -0.01 < lower[0] < 0
    assert upper[0] == pytest.approx(-np.log(0.01), rel=0.15)
