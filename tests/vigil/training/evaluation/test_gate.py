from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.training.evaluation.gate import judge_candidate, judged_against
from vigil.training.spec.gates import Gates

METRICS = {"rmse": 5.0, "mae": 3.0, "wape": 0.3, "bias": -0.5, "coverage": 0.985}


def evaluation(champion: dict[str, Any] | None = None, **metrics: float | None) -> dict[str, Any]:
    return {
        "band_coverage": 0.99,
        "candidate": {"metrics": {**METRICS, **metrics}},
        "champion": {"model_version": "small/1", "metrics": {**METRICS, **champion}}
        if champion is not None
        else None,
    }


CLASSES = {"accuracy": 0.9, "precision": 0.8, "recall": 0.7, "f1": 0.75, "specificity": 0.95, "auc": 0.9}


def class_evaluation(champion: dict[str, Any] | None = None, **metrics: float | None) -> dict[str, Any]:
    return {
        "candidate": {"metrics": {**CLASSES, **metrics}},
        "champion": {"model_version": "small/1", "metrics": {**CLASSES, **champion}}
        if champion is not None
        else None,
    }


def gates(**thresholds: Any) -> Gates:
    return Gates.model_validate(thresholds)


@pytest.mark.parametrize(
    ("thresholds", "reasons"),
    [
        ({}, ()),
        (
            {"max_rmse": 5.0, "max_mae": 3.0, "max_wape": 0.3, "min_coverage": 0.985, "max_coverage": 0.985},
            (),
        ),
        ({"max_rmse": 4.9}, ("rmse is 5, above max_rmse (4.9).",)),
        ({"max_wape": 0.2}, ("wape is 0.3, above max_wape (0.2).",)),
        ({"max_abs_bias": 0.5}, ()),
        ({"max_abs_bias": 0.4}, ("bias is 0.5, above max_abs_bias (0.4).",)),
        ({"min_coverage": 0.99}, ("coverage is 0.985, below min_coverage (0.99).",)),
        ({"max_coverage": 0.98}, ("coverage is 0.985, above max_coverage (0.98).",)),
        (
            {"max_mae": 1, "max_wape": 0.1},
            ("mae is 3, above max_mae (1).", "wape is 0.3, above max_wape (0.1)."),
        ),
    ],
)
def test_each_missed_threshold_is_a_reason(thresholds: dict[str, float], reasons: tuple[str, ...]) -> None:
    decision = judge_candidate(evaluation(), gates(**thresholds))
    assert decision.reasons == reasons
    assert decision.passed == (not reasons)
    assert decision.thresholds == thresholds
    assert decision.metrics == METRICS


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_metric_that_is_no_number_fails(value: float | None) -> None:
    decision = judge_candidate(evaluation(wape=value), gates(max_wape=0.5))
    assert decision.reasons == ("wape was not measured, so max_wape (0.5) cannot be checked.",)


def test_a_metric_that_is_missing_fails() -> None:
    content = evaluation()
    del content["candidate"]["metrics"]["mae"]
    assert not judge_candidate(content, gates(max_mae=5)).passed


@pytest.mark.parametrize(
    ("metric", "ours", "theirs", "by", "passed"),
    [
        ("wape", 0.32, 0.30, 0.02, True),
        ("wape", 0.33, 0.30, 0.02, False),
        ("wape", 0.20, 0.30, 0.0, True),
        ("bias", -2.0, 1.0, 0.5, False),
        ("bias", -1.2, 1.0, 0.5, True),
        ("coverage", 0.97, 0.99, 0.01, False),
        ("coverage", 1.0, 0.985, 0.01, True),
    ],
)
def test_the_candidate_may_be_worse_than_the_champion_by_so_much_and_no_more(
    metric: str, ours: float, theirs: float, by: float, passed: bool
) -> None:
    demand = gates(not_worse_than_champion={"metric": metric, "by": by})
    decision = judge_candidate(evaluation({metric: theirs}, **{metric: ours}), demand)
    assert decision.passed == passed
    assert decision.champion == "small/1"
    assert all("worse than the champion small/1" in reason for reason in decision.reasons)


@pytest.mark.parametrize(
    ("metric", "ours", "theirs", "by", "passed"),
    [
        ("auc", 0.83, 0.85, 0.02, True),
        ("auc", 0.82, 0.85, 0.02, False),
        ("auc", 0.95, 0.85, 0.0, True),
        ("recall", 0.5, 0.5, 0.0, True),
        ("recall", 0.49, 0.5, 0.0, False),
    ],
)
def test_more_is_better_of_a_classifier(
    metric: str, ours: float, theirs: float, by: float, passed: bool
) -> None:
    demand = gates(not_worse_than_champion={"metric": metric, "by": by})
    assert judge_candidate(class_evaluation({metric: theirs}, **{metric: ours}), demand).passed == passed


@given(st.sampled_from(sorted(CLASSES)), st.floats(0, 1), st.floats(0, 1))
def test_every_metric_of_a_classifier_has_a_least_value(metric: str, value: float, least: float) -> None:
    decision = judge_candidate(class_evaluation(**{metric: value}), gates(**{f"min_{metric}": least}))
    assert decision.passed == (value >= least)
    assert all(f"{metric} is" in reason for reason in decision.reasons)


def test_without_a_champion_there_is_nothing_to_compare_with_and_the_decision_says_so() -> None:
    demand = gates(
        not_worse_than_champion={"metric": "wape", "by": 0},
        better_than_champion={"metric": "wape", "confidence": 0.9},
    )
    decision = judge_candidate(evaluation(), demand)
    assert decision.passed
    assert decision.champion is judged_against(evaluation()) is None
    (note,) = decision.notes
    assert "not_worse_than_champion and better_than_champion did not apply" in note
    assert not judge_candidate(evaluation(), gates(max_rmse=9)).notes


@pytest.mark.parametrize(("share", "passed"), [(0.95, True), (0.9, True), (0.899, False), (None, False)])
def test_the_candidate_must_be_better_as_surely_as_was_asked(share: float | None, passed: bool) -> None:
    content = evaluation({}) | {"confidence": {"wape": share, "rmse": 1.0}}
    decision = judge_candidate(content, gates(better_than_champion={"metric": "wape", "confidence": 0.9}))
    assert decision.passed == passed
    assert decision.confidence == {"wape": share, "rmse": 1.0}
    if share is None:
        assert "was not measured, so better_than_champion (0.9) cannot be checked" in decision.reasons[0]
    elif not passed:
        assert "confidence of 0.899, below better_than_champion (0.9)" in decision.reasons[0]


def test_an_evaluation_without_confidence_cannot_show_that_the_candidate_is_better() -> None:
    demand = gates(better_than_champion={"metric": "wape", "confidence": 0.9})
    assert not judge_candidate(evaluation({}), demand).passed


def test_a_decision_survives_json() -> None:
    decision = judge_candidate(
        evaluation(), gates(max_rmse=1, not_worse_than_champion={"metric": "mae", "by": 0})
    )
    content = json.loads(json.dumps(decision.to_json()))
    assert content["reasons"] == list(decision.reasons)
    assert content["notes"] == list(decision.notes)


def test_a_champion_that_was_not_measured_cannot_be_beaten() -> None:
    demand = gates(not_worse_than_champion={"metric": "wape", "by": 0})
    (reason,) = judge_candidate(evaluation({"wape": None}), demand).reasons
    assert "the champion's wape was not measured" in reason
