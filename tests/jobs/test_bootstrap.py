from __future__ import annotations

import numpy as np
import pytest
from bootstrap import RESAMPLES, confidence_of, deviations_of, resampled_counts, resampled_sums


def test_resampled_means_scatter_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 5_000)
    sums = resampled_sums([np.ones(len(values)), values])
    means = sums[:, 1] / sums[:, 0]
    assert sums.shape == (RESAMPLES, 2)
    assert np.mean(means) == pytest.approx(np.mean(values), abs=0.01)
    assert np.std(means) == pytest.approx(np.std(values) / np.sqrt(len(values)), rel=0.1)
    assert np.mean(sums[:, 0]) == pytest.approx(5_000, rel=0.002)


def test_kinds_of_rows_resample_as_their_rows_do() -> None:
    counts = np.array([400, 30, 0])
    by_kind = np.array(list(resampled_counts(counts)))
    by_row = resampled_sums([np.repeat([1.0, 0.0], [400, 30]), np.repeat([0.0, 1.0], [400, 30])])
    assert by_kind.shape == (RESAMPLES, 3)
    assert not by_kind[:, 2].any()
    for column in range(2):
        assert np.mean(by_kind[:, column]) == pytest.approx(np.mean(by_row[:, column]), rel=0.05)
        assert np.std(by_kind[:, column]) == pytest.approx(np.std(by_row[:, column]), rel=0.1)


def test_the_same_rows_always_give_the_same() -> None:
    columns = [np.arange(5_000.0)]
    assert np.array_equal(resampled_sums(columns), resampled_sums(columns))
    one, other = (np.array(list(resampled_counts(np.array([7])))) for _ in range(2))
    assert np.array_equal(one, other)


def test_equal_models_are_never_the_better_one() -> None:
    values = np.random.default_rng(1).normal(0.0, 2.0, 3_000)
    sums = resampled_sums([np.ones(3_000), values, values[:], values + 0.0])
    ours, theirs = sums[:, 2] / sums[:, 0], sums[:, 3] / sums[:, 0]
    assert confidence_of(ours, theirs, 0.0) == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "best", "confidence"),
    [
        ([1, 2, 3, 4], [2, 2, 4, 3], 0, 0.5),
        ([-1, 1], [2, -2], 0, 1),
        ([0.97, 0.99], [0.96, 0.999], 0.98, 1),
        ([0.8, 0.9], [0.7, 0.95], 1, 0.5),
        ([np.nan, 0.9], [0.7, 0.8], 1, 0.5),
        ([0.9, 0.9], [np.nan, 0.8], 1, 0.5),
    ],
)
def test_better_is_nearer_to_the_best_value(
    ours: list[float], theirs: list[float], best: float, confidence: float
) -> None:
    assert confidence_of(np.array(ours), np.array(theirs), best) == confidence


def test_two_models_that_differ_by_chance_alone_are_not_told_apart() -> None:
    generator = np.random.default_rng(6)
    one, other = (np.abs(generator.standard_normal(2_000)) for _ in range(2))
    other += one.mean() - other.mean()
    sums = resampled_sums([np.ones(2_000), one, other])
    assert 0.4 < confidence_of(sums[:, 1] / sums[:, 0], sums[:, 2] / sums[:, 0], 0.0) < 0.6


def test_a_metric_that_is_not_defined_has_no_deviation() -> None:
    deviations = deviations_of({"a": np.nan, "b": 1.0}, {"a": np.ones(3), "b": np.array([1, np.nan, 3])})
    assert np.isnan(deviations["a"])
    assert deviations["b"] == 1
