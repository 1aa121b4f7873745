from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vigil.grid import FIVE_MINUTES, Grid
from vigil.series_statistics import (
    DAYS_BACK,
    LEVEL_DAYS,
    TAIL_DAYS,
    SeriesStatistics,
    nothing_known,
    statistics_by_day,
    tails_from_json,
)

FIRST_DAY = 20_000
EXPECTATION, LEVEL = 0, 1
# Fewer windows a day make the property quick; the rules are of days.
HALF_HOURS = Grid(1_800)
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Counts:
    first: int
    observed: np.ndarray
    expected: np.ndarray

    def since(self, window: int) -> Counts:
        skipped = max(0, window - self.first)
        return Counts(self.first + skipped, self.observed[skipped:], self.expected[skipped:])

    def until(self, window: int) -> Counts:
        kept = max(0, window - self.first)
        return Counts(self.first, self.observed[:kept], self.expected[:kept])

    def by_day(self, days: range, grid: Grid) -> list[SeriesStatistics]:
        return statistics_by_day(self.first, self.observed, self.expected, days, grid)


def drawn(seed: int, days: int, grid: Grid, gaps: float = 0.1) -> Counts:
    """Draw counts with gaps, that begin and end within a day, and that nobody judged at first."""
    generator = np.random.default_rng(seed)
    windows = days * grid.windows_per_day
    expected = 20 + 10 * np.sin(np.arange(windows)) + generator.integers(0, 3) * np.arange(windows) / windows
    observed = generator.poisson(expected).astype(float)
    observed[generator.random(windows) < gaps] = np.nan
    expected[: generator.integers(0, windows)] = np.nan
    return Counts(FIRST_DAY * grid.windows_per_day + int(generator.integers(0, 30)), observed, expected)


def assert_alike(some: list[SeriesStatistics], others: list[SeriesStatistics]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        np.testing.assert_equal(one.level, other.level)
        np.testing.assert_allclose(one.tails, other.tails, rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 50), st.sampled_from([0.0, 0.1, 0.6]))
@example(seed=0, days=26, gaps=0.0)
def test_statistics_drawn_a_day_at_a_time_equal_those_drawn_all_at_once(
    seed: int, days: int, gaps: float
) -> None:
    """From as much of the past as is read for one day, and not a window more."""
    grid = HALF_HOURS
    counts = drawn(seed, days, grid, gaps)
    every = range(FIRST_DAY, FIRST_DAY + days + 3)
    at_once = counts.by_day(every, grid)
    alone = []
    for day in every:
        end = day * grid.windows_per_day
        past = counts.since(end - DAYS_BACK * grid.windows_per_day).until(end)
        alone += past.by_day(range(day, day + 1), grid) if len(past.observed) else [nothing_known(grid)]
    assert_alike(alone, at_once)


def test_so_much_of_the_past_is_enough_on_five_minutes_too() -> None:
    counts = drawn(4, 30, FIVE_MINUTES)
    counts.expected[:] = 20.0
    day = FIRST_DAY + 29
    past = counts.since((day - DAYS_BACK) * 288)
    assert_alike(
        past.by_day(range(day, day + 1), FIVE_MINUTES), counts.by_day(range(day, day + 1), FIVE_MINUTES)
    )


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 40), st.integers(0, 40))
def test_the_day_and_what_comes_after_change_nothing(seed: int, days: int, cut: int) -> None:
    counts = drawn(seed, days, HALF_HOURS)
    day = FIRST_DAY + min(cut, days)
    place = max(0, day * HALF_HOURS.windows_per_day - counts.first)
    changed = Counts(counts.first, counts.observed.copy(), counts.expected.copy())
    changed.observed[place:] = 5_000.0
    changed.expected[place:] = np.nan
    until = range(FIRST_DAY, day + 1)
    assert_alike(changed.by_day(until, HALF_HOURS), counts.by_day(until, HALF_HOURS))


def steady(days: int, rate: float = 20.0) -> Counts:
    observed = np.random.default_rng(1).poisson(rate, days * 288).astype(float)
    return Counts(FIRST_DAY * 288, observed, np.full(days * 288, rate))


def statistics_after(counts: Counts, days: int) -> SeriesStatistics:
    (statistics,) = counts.by_day(range(FIRST_DAY + days, FIRST_DAY + days + 1), FIVE_MINUTES)
    return statistics


def test_one_wild_day_of_fourteen_hardly_moves_the_tails_and_leaves_the_level_alone() -> None:
    days = LEVEL_DAYS + TAIL_DAYS
    calm, wild = steady(days), steady(days)
    wild.observed[17 * 288 : 18 * 288 - 144] *= 20
    one, other = statistics_after(calm, days), statistics_after(wild, days)
    assert other.level == pytest.approx(one.level, abs=1)
    np.testing.assert_array_less(other.tails[:, :, 1], 1.5 * one.tails[:, :, 1])


def test_a_series_that_strays_every_day_gets_the_tails_of_it() -> None:
    days = LEVEL_DAYS + TAIL_DAYS
    calm, wild = steady(days), steady(days)
    wild.observed[100::288] = 400
    one, other = statistics_after(calm, days), statistics_after(wild, days)
    assert (other.tails[:, 0, 1] > 5 * one.tails[:, 0, 1]).all()
    assert other.tails[:, 0, 0] == pytest.approx(one.tails[:, 0, 0], rel=0.5)


def test_the_level_is_the_median_of_the_week_before_where_a_day_of_it_is_known() -> None:
    counts = steady(8)
    counts.observed[: 7 * 288] = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 288)
    assert statistics_after(counts, 7).level == 4
    assert statistics_after(counts, 1).level == 1
    counts.observed[287] = np.nan
    assert np.isnan(statistics_after(counts, 1).level)
    assert np.isnan(statistics_after(counts, 0).level)
    # Of the last days before it, which lie behind the counts, one is still known.
    assert statistics_after(counts, 8 + 6).level > 0
    assert np.isnan(statistics_after(counts, 8 + 7).level)


def test_a_view_knows_the_days_of_which_it_knows_half() -> None:
    counts = steady(2)
    counts.expected[: 288 - 144] = np.nan
    assert np.isfinite(statistics_after(counts, 1).tails[EXPECTATION]).all()
    counts.expected[288 - 144] = np.nan
    assert np.isnan(statistics_after(counts, 1).tails[EXPECTATION]).all()
    # No day before the first one gave it a level; the second day has one.
    assert np.isnan(statistics_after(counts, 1).tails[LEVEL]).all()
    assert np.isfinite(statistics_after(counts, 2).tails[LEVEL]).all()


def test_days_behind_the_end_of_the_counts_look_back_no_farther_than_others() -> None:
    counts = steady(20)
    counts.observed[19 * 288 + 5] = 500
    wild = statistics_after(counts, 20).tails[EXPECTATION, 0, 1]
    # Of fewer days before, the wild one weighs more.
    assert statistics_after(counts, 20 + TAIL_DAYS - 1 - 5).tails[EXPECTATION, 0, 1] > wild
    assert np.isfinite(statistics_after(counts, 19 + TAIL_DAYS).tails[EXPECTATION]).all()
    assert np.isnan(statistics_after(counts, 20 + TAIL_DAYS).tails).all()


def test_a_series_that_nobody_counted_has_no_statistics() -> None:
    nothing = Counts(FIRST_DAY * 288, np.full(3 * 288, np.nan), np.full(3 * 288, np.nan))
    for statistics in nothing.by_day(range(FIRST_DAY, FIRST_DAY + 4), FIVE_MINUTES):
        assert np.isnan(statistics.level)
        assert np.isnan(statistics.tails).all()


def test_a_series_without_an_event_and_one_of_billions_have_finite_statistics() -> None:
    for count in (0.0, 4e9):
        counts = Counts(FIRST_DAY * 288, np.full(20 * 288, count), np.full(20 * 288, count))
        statistics = statistics_after(counts, 20)
        assert statistics.level == count
        assert (statistics.tails == 1.5).all()


def test_tails_survive_strict_json_with_what_is_not_known() -> None:
    tails = statistics_after(steady(3), 3).tails
    tails[LEVEL] = np.nan
    text = json.dumps(SeriesStatistics(1.0, tails).tails_to_json(), allow_nan=False)
    np.testing.assert_allclose(tails_from_json(json.loads(text)), tails, atol=1e-4)
