from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigil.bands import Band
from vigil.calibration import (
    Calibration,
    Judgement,
    SeriesWindows,
    band_of,
    calibrate_windows,
    judge_history,
    judge_windows,
)
from vigil.deviations import longest_span
from vigil.grid import FIVE_MINUTES, Grid
from vigil.series_statistics import nothing_known

DAY = 288
FIRST = 20_000 * DAY
HOURS = Grid(3_600)


def history(
    days: float, rate: float, seed: int = 0, series: str = "orders", first: int = FIRST
) -> SeriesWindows:
    """Return Poisson counts of a model that knows their rates, which go up and down each day."""
    place = np.arange(int(days * DAY))
    rates = rate * (1.2 + np.sin(2 * np.pi * place / DAY))
    observed = np.random.default_rng(seed).poisson(rates).astype(float)
    return SeriesWindows(series, first, observed, rates)


def strict(calibration: Calibration) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(calibration.to_json(), allow_nan=False))
    return content


@pytest.mark.parametrize("rates", [(50.0,), (0.5, 8.0, 400.0)], ids=["one series", "three of all sizes"])
def test_the_band_covers_its_share_of_fresh_windows(rates: tuple[float, ...]) -> None:
    calibration = calibrate_windows(
        [history(14, rate, seed, f"series {rate}") for seed, rate in enumerate(rates)], 0.99
    )
    inside = []
    for seed, rate in enumerate(rates):
        fresh = history(21, rate, 100 + seed, f"series {rate}")
        judged = judge_history(calibration, fresh)
        inside.append((judged.lower <= fresh.observed) & (fresh.observed <= judged.upper))
    assert np.mean(inside) == pytest.approx(0.99, abs=0.01)


def test_so_many_windows_are_rare_as_their_rarity_says() -> None:
    calibration = calibrate_windows([history(21, 30, seed, f"{seed}") for seed in range(4)], 0.99)
    judged = [judge_history(calibration, history(28, 30, 50 + seed, f"{seed}")).windows for seed in range(4)]
    settled = np.abs(np.concatenate([windows[14 * DAY :] for windows in judged]))
    assert np.mean(settled >= 10) == pytest.approx(1 / 10, rel=0.5)
    assert np.mean(settled >= 100) < 3 / 100
    assert np.mean(settled >= 10_000) < 10 / 10_000


@pytest.mark.parametrize(
    "parts",
    [
        [history(0.2, 20)],
        [history(1, 20)],
        [history(3, 20), history(0.01, 5, series="brief")],
        [SeriesWindows("silent", FIRST, np.zeros(300), np.zeros(300))],
        [SeriesWindows("huge", FIRST, np.full(300, 4e9), np.full(300, 4e9))],
    ],
    ids=["some hours", "a day", "one of moments", "no event ever", "billions"],
)
def test_a_calibration_survives_strict_json_however_little_it_was_drawn_from(
    parts: list[SeriesWindows],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibration = calibrate_windows(parts, 0.9)
    again = band_of(strict(calibration))
    assert isinstance(again, Calibration)
    assert strict(again) == strict(calibration)
    for part in parts:
        one, other = judge_history(calibration, part), judge_history(again, part)
        np.testing.assert_allclose(one.windows, other.windows, rtol=1e-2)
        for bounds in (one.lower, one.upper):
            assert np.isfinite(bounds).all()


def test_bands_of_other_numbers_and_calibrations_are_told_apart_by_their_rule() -> None:
    band = Band(0.9, 1.0, 2.0)
    assert band_of(band.to_json()) == band
    with pytest.raises(ValueError, match="'conformal', not 'calibration'"):
        Calibration.from_json(band.to_json())
    with pytest.raises(ValueError, match="'calibration' of another version: train anew"):
        Band.from_json(calibrate_windows([history(1, 20)], 0.9).to_json())


def test_too_few_windows_are_refused_with_the_way_out() -> None:
    part = history(1, 20)
    part.expected[150:] = np.nan
    with pytest.raises(
        ValueError,
        match=r"0\.99 needs 199 windows to calibrate on, there are 150: lower the coverage or hold",
    ):
        calibrate_windows([part], 0.99)
    with pytest.raises(ValueError, match="there are 0"):
        calibrate_windows([], 0.99)


def judged(calibration: Calibration, part: SeriesWindows) -> Judgement:
    """Judge the last window, without statistics."""
    unknown = nothing_known()
    return judge_windows(
        calibration,
        part,
        np.full(len(part.observed), unknown.level),
        unknown.tails[None],
        np.array([len(part.observed) - 1]),
    )


def test_a_series_that_the_calibration_has_not_seen_is_judged_as_one_in_the_middle() -> None:
    calibration = calibrate_windows([history(3, 20, seed, f"{seed}") for seed in range(5)], 0.99)
    expected = np.full(200, 20.0)
    for count, sign in ((20.0, 0), (200.0, 1), (0.0, -1)):
        observed = np.append(expected[:-6], [count] * 6)
        told = judged(calibration, SeriesWindows("never seen", FIRST, observed, expected))
        assert np.isfinite([told.lower, told.upper, told.windows]).all()
        assert bool(told.leans[0]) == (sign != 0)
        assert told.lower[0] < 20 < told.upper[0]
        if sign:
            assert np.sign(told.windows[0]) == sign
            assert abs(told.windows[0]) > 1_000


def test_a_series_with_heavy_tails_does_not_widen_the_band_of_a_calm_one() -> None:
    generator = np.random.default_rng(3)
    expected = np.full(21 * DAY, 50.0)
    calm = generator.poisson(50, 21 * DAY).astype(float)
    wild = calm * generator.choice([1, 30], 21 * DAY, p=[0.97, 0.03])
    parts = [SeriesWindows("calm", FIRST, calm, expected), SeriesWindows("wild", FIRST, wild, expected)]
    calibration = calibrate_windows(parts, 0.99)
    calm_judged, wild_judged = (judge_history(calibration, part) for part in parts)
    assert calm_judged.upper.max() < 120
    assert wild_judged.upper[-1] > 500


def test_windows_that_are_missing_change_no_rarity_by_their_absence() -> None:
    """A gap deviates by nothing; counted in, it would make every other window look rare."""
    whole = history(20, 30)
    padded = SeriesWindows(
        "orders",
        FIRST,
        np.append(whole.observed, np.full(40 * DAY, np.nan)),
        np.append(whole.expected, np.full(40 * DAY, np.nan)),
    )
    one, other = (calibrate_windows([part], 0.99).rarity for part in (whole, padded))
    assert other == one


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20 * 24 - 1))
def test_a_history_is_judged_by_nothing_that_comes_after(seed: int, cut: int) -> None:
    calibration = calibrate_windows([history(3, 20)], 0.99)
    generator = np.random.default_rng(seed)
    observed = generator.poisson(20, 20 * 24).astype(float)
    expected = np.full(20 * 24, 20.0)
    whole = judge_history(
        narrowed(calibration), SeriesWindows("orders", 20_000 * 24, observed, expected), HOURS
    )
    early = judge_history(
        narrowed(calibration),
        SeriesWindows("orders", 20_000 * 24, observed[: cut + 1], expected[: cut + 1]),
        HOURS,
    )
    np.testing.assert_allclose(early.windows, whole.windows[: cut + 1], rtol=1e-9)
    np.testing.assert_allclose(early.upper, whole.upper[: cut + 1], rtol=1e-12)


def narrowed(calibration: Calibration) -> Calibration:
    """Return the calibration for a grid of hours, which has fewer spans."""
    spans = len(nothing_known(HOURS).tails[0])
    return Calibration(
        calibration.band,
        {},
        calibration.default_tails[:, :spans],
        calibration.rarity,
    )


def test_a_history_and_its_windows_one_by_one_are_judged_alike() -> None:
    """Live judging sees half a day before a window; calibrating sees everything."""
    part = history(2, 20, seed=9)
    calibration = calibrate_windows([history(3, 20)], 0.99)
    unknown = nothing_known()
    levels = np.full(len(part.observed), 21.0)
    tails = np.broadcast_to(unknown.tails, (len(part.observed), *unknown.tails.shape))
    whole = judge_windows(calibration, part, levels, tails, slice(None))
    for place in (143, 200, 575):
        span = slice(place - longest_span() + 1, place + 1)
        windows = SeriesWindows("orders", part.first + span.start, part.observed[span], part.expected[span])
        alone = judge_windows(
            calibration, windows, levels[span], tails[:1], np.array([longest_span() - 1]), FIVE_MINUTES
        )
        assert alone.windows[0] == pytest.approx(whole.windows[place], rel=1e-6)
        assert (alone.lower[0], alone.upper[0]) == (whole.lower[place], whole.upper[place])


def test_a_model_of_hours_is_calibrated_on_the_grid_of_hours() -> None:
    part = history(4, 20)
    calibration = calibrate_windows([part], 0.9, HOURS)
    assert len(calibration.default_tails[0]) == len(nothing_known(HOURS).tails[0])
    assert np.isfinite(judge_history(calibration, part, HOURS).windows).all()
