from __future__ import annotations

from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.nab.contenders import Watched, watch
from bench.nab.folder import Series, read_folder
from bench.nab.replay import _is_training_due, _steps, replay
from bench.nab.telling import judged_of
from bench.nab.verdicts import number_of, verdicts_on
from tests.bench.nab.folders import hourly_counts, write_series
from vigil.detection.expectations.rules import sides_of
from vigil.features import most_at_once
from vigil.grid import FIVE_MINUTES, Grid
from vigil.training.spec.model import ModelSpec, load_model_spec

HOURLY = Grid(3600)
DAYS = 24


def quick(name: str = "event-counts") -> ModelSpec:
    """Return a shipped spec with trees that are grown in no time."""
    spec = load_model_spec(name)
    few = {"num_round": "15", "nthread": "1"} if name == "event-counts" else {}
    algorithm = spec.algorithm.model_copy(
        update={"hyperparameters": dict(spec.algorithm.hyperparameters) | few}
    )
    data = spec.data.model_copy(update={"warm_up_days": 1})
    return spec.model_copy(update={"algorithm": algorithm, "data": data})


def folder(counts: dict[str, NDArray[np.int64]], where: Path) -> list[Series]:
    for name, values in counts.items():
        write_series(where, name, values.tolist())
    return read_folder(where)


def ordinary() -> dict[str, NDArray[np.int64]]:
    return {f"series-{seed}": hourly_counts(DAYS, seed, 20 * (seed + 1)) for seed in range(4)}


def watched(series: list[Series], model: str = "event-counts") -> Watched:
    return watch(series, quick(model), lambda rows: None)


@cache
def outcome(changed_from: int, factor: int, where: Path) -> tuple[NDArray[np.float64], list[list[int]]]:
    """Return what is judged and told when two series are others from some row on."""
    counts = ordinary()
    for name in ("series-0", "series-2"):
        counts[name][changed_from:] = counts[name][changed_from:] * factor + 3
    own = where / f"{changed_from}-{factor}"
    own.mkdir()
    done = watched(folder(counts, own))
    numbers = [
        np.column_stack([one.history.expected, one.history.usual, *vars(one.history.judgement).values()])
        for one in done.series
    ]
    return np.stack(numbers), [one.told_by_rarity(5).alerts.tolist() for one in done.series]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replay")


@settings(max_examples=6, deadline=None)
@given(st.integers(9 * 24, DAYS * 24 - 1), st.sampled_from([0, 9]))
def test_the_future_of_a_series_changes_nothing_before_it(place: Path, changed: int, factor: int) -> None:
    numbers, alerts = outcome(DAYS * 24, 1, place)
    others, other_alerts = outcome(changed, factor, place)
    np.testing.assert_array_equal(numbers[:, :changed], others[:, :changed])
    for mine, theirs in zip(alerts, other_alerts, strict=True):
        assert [row for row in mine if row < changed] == [row for row in theirs if row < changed]
    # The test would also pass if nothing were judged at all.
    assert not np.isnan(numbers[:, -24:, 0]).any()


def test_a_spike_is_told_once_and_not_learned_from(tmp_path: Path) -> None:
    counts = ordinary()
    spike = 20 * 24 + 5
    counts["series-1"][spike : spike + 3] = 2_000
    done = watched(folder(counts, tmp_path))
    (judged,) = [one for one in done.series if one.history.series.name == "series-1"]
    told = judged.told_by_rarity(1)
    assert spike in told.alerts
    assert told.openings.tolist().count(spike) == 1
    assert judged.history.observed[spike] == 2_000
    assert judged.history.usual[spike] == round(judged.history.judgement.upper[spike])


def test_rows_before_the_first_model_have_no_expectation(tmp_path: Path) -> None:
    done = watched(folder(ordinary(), tmp_path))
    for one in done.series:
        judged = np.flatnonzero(~np.isnan(one.history.expected))
        # Four series of hourly counts hold 199 windows out after eleven days.
        assert judged[0] % 24 == 0
        assert judged[0] > 2 * 24
        assert (np.diff(judged) == 1).all()
        assert judged[-1] == DAYS * 24 - 1
        assert one.windows == len(judged)
    assert done.windows == sum(one.windows for one in done.series)


def test_usual_counts_follow_from_the_verdicts(tmp_path: Path) -> None:
    counts = ordinary()
    counts["series-3"][19 * 24 :] = 0
    replayed = replay(folder(counts, tmp_path), quick(), 1, lambda rows: None)
    changed = {}
    for one in judged_of(replayed):
        history, usual = one.history, one.history.observed.copy()
        for stretch in one.stretches:
            calibration, judgement = stretch.reign.model.calibration, history.judged(stretch.positions)
            sides = sides_of(judgement, calibration, 1).tolist()
            for verdict in verdicts_on(history, stretch.positions, judgement.windows, sides):
                if verdict.usual is not None:
                    usual[number_of(verdict.window_start, history.grid) - history.first] = verdict.usual
        np.testing.assert_array_equal(history.usual, usual)
        changed[history.series.name] = int(np.sum(usual != history.observed))
    assert changed["series-3"] > max(changed[name] for name in changed if name != "series-3")


def test_series_of_different_grids_have_models_of_their_own(tmp_path: Path) -> None:
    folder(ordinary(), tmp_path)
    for seed in range(3):
        values = np.random.default_rng(seed).poisson(30, 12 * 48).tolist()
        write_series(tmp_path, f"other-{seed}", values, timedelta(minutes=30))
    done = watched(read_folder(tmp_path))
    assert [one.history.series.name for one in done.series] == [
        "other-0",
        "other-1",
        "other-2",
        *(f"series-{seed}" for seed in range(4)),
    ]
    assert all(one.windows for one in done.series)


def test_short_files_and_files_with_gaps_do_no_harm(tmp_path: Path) -> None:
    counts = ordinary()
    folder(counts, tmp_path)
    write_series(tmp_path, "one-row", [7])
    write_series(tmp_path, "short", [7, 8, 9])
    gappy = (tmp_path / "series-0.csv").read_text().splitlines(keepends=True)
    (tmp_path / "series-0.csv").write_text("".join(gappy[:200] + gappy[400:]))
    done = watched(read_folder(tmp_path))
    by_name = {one.history.series.name: one for one in done.series}
    assert by_name["one-row"].windows == by_name["short"].windows == 0
    assert by_name["one-row"].told_by_rarity(1).alerts.tolist() == []
    assert 0 < by_name["series-0"].windows < by_name["series-1"].windows


def test_the_linear_learner_judges_too(tmp_path: Path) -> None:
    done = watched(folder(ordinary(), tmp_path), "event-counts-linear")
    assert done.windows
    assert all(np.isfinite(one.history.expected[-24:]).all() for one in done.series)


@given(st.integers(0, 10_000), st.integers(1, 5_000), st.sampled_from([FIVE_MINUTES, HOURLY, Grid(86_400)]))
def test_steps_cover_everything_and_look_not_back_on_themselves(first: int, length: int, grid: Grid) -> None:
    steps = list(_steps(first, first + length, grid))
    assert [start for start, _ in steps] == [first, *(stop for _, stop in steps[:-1])]
    assert steps[-1][1] == first + length
    for start, stop in steps:
        assert 0 < stop - start <= most_at_once(grid)
        assert start // grid.windows_per_day == (stop - 1) // grid.windows_per_day


def test_training_is_daily_until_there_is_a_model_and_weekly_then() -> None:
    due = [day for day in range(30) if _is_training_due(day * 288, day > 4, FIVE_MINUTES)]
    assert due == [2, 3, 4, 7, 14, 21, 28]
    assert not _is_training_due(7 * 288 + 1, True, FIVE_MINUTES)
