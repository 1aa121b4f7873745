from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.bands import Band, calibrate, rows_needed, tail_rank

reaches = st.floats(0.01, 1e6)
bands = st.builds(Band, coverage=st.floats(0.5, 0.999), below=reaches, above=reaches)


@given(bands)
def test_a_band_survives_json(band: Band) -> None:
    assert Band.from_json(json.loads(json.dumps(band.to_json(), allow_nan=False))) == band


@pytest.mark.parametrize("content", [{"rule": "stddev"}, {}])
def test_a_band_of_another_rule_is_refused(content: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="of another version: train anew"):
        Band.from_json(content)


def test_a_band_of_the_version_that_had_scales_is_refused_with_the_way_out() -> None:
    former = {"rule": "conformal", "coverage": 0.9, "lower_quantile": -1.0, "scales": {}, "scale": "plain"}
    with pytest.raises(ValueError, match="train anew"):
        Band.from_json(former)


@given(bands, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_band_keeps_its_shape_wherever_it_lies(band: Band, one: float, other: float) -> None:
    expected = np.array([one, other])
    lower, upper = band.bounds(expected)
    assert (lower < expected).all()
    assert (upper > expected).all()
    assert (upper - lower)[0] == pytest.approx((upper - lower)[1], rel=1e-6, abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e6]), st.sampled_from([0.9, 0.98]))
def test_a_band_covers_its_share_of_rows_it_has_not_seen_in_any_unit(
    seed: int, unit: float, coverage: float
) -> None:
    generator = np.random.default_rng(seed)
    expected = generator.normal(0, 50, 8_000) * unit
    observed = expected + generator.standard_t(5, 8_000) * unit
    band = calibrate(expected[:4_000], observed[:4_000], coverage)
    lower, upper = band.bounds(expected[4_000:])
    inside = np.mean((observed[4_000:] >= lower) & (observed[4_000:] <= upper))
    # Both the calibration and this check are samples: five standard deviations of either, together.
    assert abs(inside - coverage) < 5 * np.sqrt(2 * coverage * (1 - coverage) / 4_000) + 0.005


@pytest.mark.parametrize("size", [0.0, 1e-9, 1.0, -1e9])
def test_a_perfect_model_of_any_numbers_gets_a_band_with_a_width(size: float) -> None:
    exact = np.full(500, size)
    lower, upper = calibrate(exact, exact, 0.98).bounds(exact[:1])
    assert lower[0] < size < upper[0]


def test_a_band_has_sides_of_their_own() -> None:
    skewed = np.random.default_rng(8).exponential(1.0, 5_000)
    lower, upper = calibrate(np.zeros(5_000), skewed, 0.98).bounds(np.zeros(1))
    assert -0.01 < lower[0] < 0
    assert upper[0] == pytest.approx(-np.log(0.01), rel=0.15)


def test_too_few_rows_for_a_coverage_are_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"needs 1999 rows to calibrate on, there are 3: lower .* or hold"):
        calibrate(np.ones(3), np.ones(3), 0.999)


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95, 0.98, 0.99, 0.999])
def test_the_fewest_rows_have_one_in_each_tail(coverage: float) -> None:
    assert tail_rank(coverage, rows_needed(coverage)) == 1
    assert tail_rank(coverage, rows_needed(coverage) - 1) == 0


def test_rows_of_the_calibration_lie_outside_as_often_as_promised() -> None:
    observed = np.random.default_rng(4).poisson(50, 1_000).astype(float)
    lower, upper = calibrate(np.full(1_000, 50.0), observed, 0.98).bounds(np.full(1_000, 50.0))
    assert np.sum(observed > upper) <= 10
    assert np.sum(observed < lower) <= 10
