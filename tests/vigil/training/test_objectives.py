"""Training, prediction, evaluation, gate, report and smoke test of each objective, on the embedded AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from tests.vigil.jobs_in_the_cloud import ROLE
from tests.vigil.training.history import small_spec
from tests.waiting import wait_for
from vigil.aws import Aws, S3Location
from vigil.bands import Band
from vigil.released_models import ReleasedModel
from vigil.sagemaker_jobs import (
    PROCESSING,
    RUNNING,
    TRAINING,
    TRANSFORM,
    JobKind,
    describe,
    result_of,
    start_or_adopt,
)
from vigil.smoke_tests import SmokeTest
from vigil.training.dataset import Dataset
from vigil.training.evaluation.gate import GateDecision, judge_candidate
from vigil.training.evaluation.job import read_evaluation, upload_evaluation
from vigil.training.evaluation.known_answers import smoke_test_of
from vigil.training.evaluation.report import Report, write_report
from vigil.training.request import (
    TrainingRun,
    candidate_model_request,
    candidate_transform_request,
    champion_transform_request,
    evaluation_request,
    plan_run,
    training_request,
)
from vigil.training.spec.gates import METRICS
from vigil.training.spec.model import ModelSpec, parse_model_spec

REGION = "eu-west-1"
FEATURES = ("x", "y", "z")
ROWS = {"train": 400, "validation": 120, "test": 100}
LINEAR = {"image": "linear-learner", "version": "1"}


@dataclass(frozen=True)
class Outcome:
    """What came of one run."""

    run: TrainingRun
    job: str
    evaluation: dict[str, Any]
    band: Band | None
    decision: GateDecision
    report: Report
    smoke_test: SmokeTest


def spec_of(objective: str, hyperparameters: dict[str, Any], **changes: Any) -> ModelSpec:
    algorithm = {"image": "sagemaker-xgboost", "version": "1.7-1", **changes.pop("algorithm", {})}
    spec = small_spec(
        name=objective,
        data={"kind": "tabular", "target": "kind", "objective": objective},
        split={"method": "random"},
        algorithm={**algorithm, "hyperparameters": hyperparameters},
    )
    del spec["band"]
    return parse_model_spec(spec | changes)


def write_dataset(s3: Any, run: TrainingRun, objective: Any, classes: tuple[str, ...]) -> Dataset:
    """Write a small table in the form in which every data set lies on S3."""
    generator = np.random.default_rng(4)
    features = generator.normal(size=(sum(ROWS.values()), len(FEATURES)))
    value = 10 * features[:, 0] - 5 * features[:, 1] + generator.normal(size=len(features))
    labels = (
        np.digitize(value, np.quantile(value, np.arange(1, len(classes)) / len(classes)))
        if classes
        else value
    )
    start = 0
    for part, count in ROWS.items():
        own = range(start, start + count)
        start += count
        plain = [",".join(map(repr, features[row].tolist())) for row in own]
        told = [repr(label) for label in labels[own.start : own.stop].tolist()]
        keyed = [f'"f, 1.csv:{row}"' for row in own]
        if part != "test":
            put(s3, run.dataset / f"{part}/{part}.csv", zip(told, plain, strict=True))
        if part != "train":
            put(s3, run.dataset / f"heldout/{part}.csv", zip(told, keyed, plain, strict=True))
    return Dataset(
        location=run.dataset,
        manifest=run.root / "manifest.json",
        model=run.model,
        objective=objective,
        label="kind",
        features=FEATURES,
        keys=("row",),
        rows=ROWS,
        method="random",
        checksum="0" * 64,
        classes=classes,
    )


def put(s3: Any, place: S3Location, rows: Any) -> None:
    body = "".join(f"{','.join(row)}\n" for row in rows)
    s3.put_object(Bucket=place.bucket, Key=place.key, Body=body.encode())


def run_job(aws: Aws, kind: JobKind, request: dict[str, Any]) -> dict[str, Any]:
    sagemaker = aws.client("sagemaker")
    name = start_or_adopt(sagemaker, kind, request)
    wait_for(lambda: describe(sagemaker, kind, name)[kind.status_field] not in RUNNING, f"{kind.noun} {name}")
    return result_of(kind, describe(sagemaker, kind, name))


def go_through(
    aws: Aws, bucket: str, spec: ModelSpec, classes: tuple[str, ...] = (), champion: Outcome | None = None
) -> Outcome:
    """Do everything between a data set and a decision."""
    s3, sagemaker = aws.client("s3"), aws.client("sagemaker")
    run_id = f"{bucket}-{'second' if champion else 'first'}"
    run = plan_run(spec, run_id, datetime(2026, 2, 1, 3, 5), bucket)
    dataset = write_dataset(s3, run, spec.objective, classes)
    trained = run_job(aws, TRAINING, training_request(run, spec, dataset, role=ROLE, region=REGION, key=None))
    job = trained["TrainingJobName"]
    image, artifact = spec.algorithm.uri(REGION), trained["ModelArtifacts"]["S3ModelArtifacts"]
    sagemaker.create_model(**candidate_model_request(run, job, image, artifact, role=ROLE))
    run_job(aws, TRANSFORM, candidate_transform_request(run, spec, dataset, job, key=None))
    serving, version = None, None
    if champion:
        serving, version = released(champion), released(champion).model_version
        run_job(
            aws, TRANSFORM, champion_transform_request(run, spec, dataset, champion.job, version, key=None)
        )
    upload_evaluation(s3, run, spec, dataset, serving)
    run_job(aws, PROCESSING, evaluation_request(run, spec, job, version, role=ROLE, region=REGION, key=None))
    evaluation, band = read_evaluation(s3, run.evaluation(version))
    return Outcome(
        run=run,
        job=job,
        evaluation=evaluation,
        band=band,
        decision=judge_candidate(evaluation, spec.gates),
        report=write_report(s3, run.evaluation(version)),
        smoke_test=smoke_test_of(s3, run, dataset),
    )


def released(outcome: Outcome) -> ReleasedModel:
    """Return the version that an earlier run would have released."""
    unused = {field.name for field in fields(ReleasedModel)} - {"model_version", "band"}
    return ReleasedModel(model_version=f"{outcome.run.model}/1", band=outcome.band, **dict.fromkeys(unused))


def assert_whole(outcome: Outcome, spec: ModelSpec, answers: int) -> None:
    """Hold what must be true of every objective."""
    assert outcome.decision.passed, outcome.decision.reasons
    assert set(outcome.evaluation["candidate"]["metrics"]) == set(METRICS[spec.objective])
    assert outcome.evaluation["rows"]["test"] == ROWS["test"]
    assert outcome.report.text.startswith(f"# {spec.name}, run {outcome.run.run}")
    assert len(outcome.report.pictures) == 2
    assert len(outcome.smoke_test.rows) == 5
    assert all(len(row) == len(FEATURES) for row in outcome.smoke_test.rows)
    assert all(len(row) == answers for row in outcome.smoke_test.answers)
    assert SmokeTest.from_json(json.loads(json.dumps(outcome.smoke_test.to_json()))) == outcome.smoke_test


def test_two_classes_are_told_and_a_second_candidate_beats_a_weak_champion(aws: Aws, bucket: str) -> None:
    classes = ("no", "yes")
    weak = spec_of("binary", {"objective": "binary:logistic", "num_round": 1, "max_depth": 1}, gates={})
    first = go_through(aws, bucket, weak, classes)
    assert_whole(first, weak, answers=1)
    gates = {
        "min_auc": 0.95,
        "min_recall": 0.8,
        "not_worse_than_champion": {"metric": "f1", "by": 0.0},
        "better_than_champion": {"metric": "auc", "confidence": 0.95},
    }
    strong = spec_of("binary", {"objective": "binary:logistic", "num_round": 30}, gates=gates)
    second = go_through(aws, bucket, strong, classes, champion=first)
    assert_whole(second, strong, answers=1)
    assert second.decision.champion == "binary/1"
    assert second.evaluation["champion"]["metrics"] == first.evaluation["candidate"]["metrics"]
    assert second.decision.confidence["auc"] >= 0.95
    assert np.sum(second.evaluation["candidate"]["confusion"]) == ROWS["test"]
    assert "| Truth / told | no | yes |" in second.report.text
    lost = judge_candidate(first.evaluation, strong.gates)
    assert not lost.passed
    assert lost.notes


def test_several_classes_are_told_by_probabilities(aws: Aws, bucket: str) -> None:
    hyperparameters = {"objective": "multi:softprob", "num_class": 3, "num_round": 20}
    spec = spec_of("multiclass", hyperparameters, gates={"min_accuracy": 0.7, "min_auc": 0.9})
    outcome = go_through(aws, bucket, spec, ("low", "middle", "high"))
    assert_whole(outcome, spec, answers=3)
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in outcome.smoke_test.answers)
    assert list(outcome.evaluation["candidate"]["by_class"]) == ["low", "middle", "high"]


def test_classes_told_without_scores_have_no_area_and_cannot_pass_a_gate_on_it(aws: Aws, bucket: str) -> None:
    hyperparameters = {"objective": "multi:softmax", "num_class": 3, "num_round": 20}
    spec = spec_of("multiclass", hyperparameters, gates={"min_accuracy": 0.7})
    outcome = go_through(aws, bucket, spec, ("low", "middle", "high"))
    assert_whole(outcome, spec, answers=1)
    assert outcome.evaluation["candidate"]["metrics"]["auc"] is None
    demand = spec.gates.model_copy(update={"min_auc": 0.5})
    (reason,) = judge_candidate(outcome.evaluation, demand).reasons
    assert reason == "auc was not measured, so min_auc (0.5) cannot be checked."


@pytest.mark.parametrize(
    ("objective", "classes"), [("binary", ("no", "yes")), ("multiclass", ("a", "b", "c"))]
)
def test_the_linear_learner_tells_scores_and_a_label(
    aws: Aws, bucket: str, objective: str, classes: tuple[str, ...]
) -> None:
    hyperparameters = {"predictor_type": f"{objective}_classifier", "feature_dim": len(FEATURES)}
    if objective == "multiclass":
        hyperparameters["num_classes"] = len(classes)
    spec = spec_of(objective, hyperparameters, algorithm=LINEAR, gates={"min_accuracy": 0.7, "min_auc": 0.8})
    outcome = go_through(aws, bucket, spec, classes)
    assert_whole(outcome, spec, answers=2 if objective == "binary" else 4)


def test_numbers_of_a_table_get_a_plain_band_that_covers_its_share(aws: Aws, bucket: str) -> None:
    spec = spec_of(
        "regression",
        {"objective": "reg:squarederror", "num_round": 40},
        band={"coverage": 0.9},
        gates={"max_wape": 0.4, "min_coverage": 0.75},
    )
    outcome = go_through(aws, bucket, spec)
    assert_whole(outcome, spec, answers=1)
    assert outcome.band is not None
    # Counts never lie below zero, other numbers do.
    below_zero = np.array([-20.0])
    lower, upper = outcome.band.bounds(below_zero)
    assert lower[0] < below_zero[0] < upper[0] < 0
