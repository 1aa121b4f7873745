"""The whole weekly run without Airflow, on a real database and the embedded AWS."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.release.releasing import REGION, ROLE, settle
from tests.vigil.training.history import MONDAY, daily_counts, insert_series, small_spec
from tests.waiting import wait_for
from vigil.aws import Aws, S3Location
from vigil.calibration import Calibration
from vigil.database import Database
from vigil.features import FEATURE_NAMES
from vigil.release.deployment import State, plan_deployment, promote, start_deployment
from vigil.release.registry import Candidate, RegisteredModel, register
from vigil.release.shifting import Shifting
from vigil.release.verification import verify_deployment
from vigil.released_models import champion
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
from vigil.training.counts.export import export_windows
from vigil.training.dataset import Dataset
from vigil.training.evaluation.gate import judge_candidate, judged_against
from vigil.training.evaluation.job import BAND, EVALUATION, read_evaluation, upload_evaluation
from vigil.training.evaluation.known_answers import SMOKE_TEST, smoke_test_of
from vigil.training.preparing import prepare_dataset
from vigil.training.request import (
    TrainingRun,
    candidate_model_request,
    candidate_transform_request,
    champion_transform_request,
    evaluation_request,
    plan_run,
    training_request,
)
from vigil.training.spec.model import ModelSpec, parse_model_spec

BUCKET = "loop"
DAYS = 10
LINEAR = {
    "image": "linear-learner",
    "version": "1",
    "hyperparameters": {"predictor_type": "regressor", "feature_dim": len(FEATURE_NAMES), "epochs": 5},
}


@pytest.fixture
def history(connection: Connection[Any]) -> None:
    insert_series(connection, "orders", daily_counts(DAYS, 60, seed=1))
    insert_series(connection, "log-ins, failed", daily_counts(DAYS, 20, seed=2))


@pytest.fixture
def bucket(aws: Aws) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})


def run_job(aws: Aws, kind: JobKind, request: dict[str, Any]) -> dict[str, Any]:
    sagemaker = aws.client("sagemaker")
    name = start_or_adopt(sagemaker, kind, request)
    wait_for(lambda: describe(sagemaker, kind, name)[kind.status_field] not in RUNNING, f"{kind.noun} {name}")
    return result_of(kind, describe(sagemaker, kind, name))


def train(aws: Aws, database: Database, run: TrainingRun, spec: ModelSpec) -> tuple[Dataset, str, str]:
    s3, sagemaker = aws.client("s3"), aws.client("sagemaker")
    until = MONDAY + timedelta(days=DAYS)
    manifest = export_windows(database, s3, run.export, until - spec.data.history, until)
    dataset = prepare_dataset(s3, manifest.location, spec, run.dataset)
    request = training_request(run, spec, dataset, role=ROLE, region=REGION, key=None)
    trained = run_job(aws, TRAINING, request)
    job, artifact = trained["TrainingJobName"], trained["ModelArtifacts"]["S3ModelArtifacts"]
    sagemaker.create_model(
        **candidate_model_request(
            run, job, trained["AlgorithmSpecification"]["TrainingImage"], artifact, role=ROLE
        )
    )
    run_job(aws, TRANSFORM, candidate_transform_request(run, spec, dataset, job, key=None))
    return dataset, job, artifact


def release(
    aws: Aws, connection: Connection[Any], database: Database, run_id: str, spec: ModelSpec
) -> RegisteredModel:
    s3, sagemaker = aws.client("s3"), aws.client("sagemaker")
    run = plan_run(spec, run_id, MONDAY + timedelta(days=DAYS), BUCKET)
    dataset, job, artifact = train(aws, database, run, spec)
    with connection.cursor() as cursor:
        serving = champion(cursor, spec.name)
    connection.rollback()
    version = serving.model_version if serving else None
    if serving:
        model = serving.sagemaker_model
        run_job(
            aws,
            TRANSFORM,
            champion_transform_request(run, spec, dataset, model, serving.model_version, key=None),
        )
    upload_evaluation(s3, run, spec, dataset, serving)
    run_job(aws, PROCESSING, evaluation_request(run, spec, job, version, role=ROLE, region=REGION, key=None))
    evaluation, band = read_evaluation(s3, run.evaluation(version))
    assert judged_against(evaluation) == version
    decision = judge_candidate(evaluation, spec.gates)
    assert decision.passed, decision
    prefix, smoke_test = run.evaluation(version), smoke_test_of(s3, run, dataset)
    candidate = Candidate(
        image=spec.algorithm.uri(REGION),
        model_data_url=artifact,
        training_job=job,
        dataset=dataset.location / "schema.json",
        manifest=dataset.manifest,
        evaluation=prefix / EVALUATION,
        band=prefix / BAND,
        smoke_test=run.root / SMOKE_TEST,
        report=prefix / "report.md",
        metrics=decision.metrics,
        run=run.run,
    )
    registered = register(sagemaker, spec.name, candidate, approved=True, reasons=["The gate was passed."])
    deployment = plan_deployment(
        registered,
        model=spec.name,
        endpoint=spec.endpoint.name,
        hosting=spec.endpoint.hosting,
        shifting=Shifting(),
        due_at=MONDAY,
    )
    start_deployment(
        connection,
        sagemaker,
        deployment,
        band=band,
        metrics=decision.metrics,
        smoke_test=smoke_test,
        role=ROLE,
        tags=run.tags,
    )
    assert settle(sagemaker, deployment).state is State.SERVING
    verified = verify_deployment(sagemaker, aws.client("sagemaker-runtime"), deployment, smoke_test)
    assert verified.model_data_url == artifact
    promote(connection, deployment)
    return registered


def test_two_runs_release_two_versions_and_the_second_is_compared_with_the_first(
    aws: Aws, bucket: None, history: None, database: Database, connection: Connection[Any]
) -> None:
    spec = parse_model_spec(small_spec(name="loop"))
    first = release(aws, connection, database, "first", spec)
    assert first.model_version == "loop/1"
    linear = parse_model_spec(small_spec(name="loop", algorithm=LINEAR))
    second = release(aws, connection, database, "second", linear)
    assert second.model_version == "loop/2"
    with connection.cursor() as cursor:
        now_serving = champion(cursor, "loop")
        cursor.execute("SELECT model_version, status FROM released_models ORDER BY model_version")
        assert cursor.fetchall() == (("loop/1", "retired"), ("loop/2", "champion"))
    assert now_serving is not None
    assert now_serving.variant == "v2"
    assert isinstance(now_serving.band, Calibration)
    assert now_serving.smoke_test is not None
    assert set(now_serving.band.tails) == {"orders", "log-ins, failed"}
    evaluation = _evaluation_of(aws, second)
    assert evaluation["champion"]["model_version"] == "loop/1"
    assert evaluation["rows"]["test"] == sum(
        row["rows"] for row in evaluation["candidate"]["by_series"].values()
    )


def _evaluation_of(aws: Aws, registered: RegisteredModel) -> dict[str, Any]:
    location = S3Location.parse(registered.evaluation)
    body = aws.client("s3").get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
    content: dict[str, Any] = json.loads(body)
    return content
