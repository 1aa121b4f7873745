from __future__ import annotations

import io
import tarfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import xgboost

from tests.vigil.detection.doubles import NOW, VARIANT, VERSION
from tests.vigil.jobs_in_the_cloud import ROLE, XGBOOST
from tests.waiting import wait_for
from vigil.aws import Aws, S3Location
from vigil.detection.expectations.transforming import Machines, TransformPredictor
from vigil.errors import CloudError
from vigil.released_models import ReleasedModel

FEATURES = np.random.default_rng(3).random((500, 3)) * 50
KEY = "arn:aws:kms:eu-west-1:123456789012:key/any"
MACHINES = Machines("ml.m5.large", 1, 60.0)


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    return xgboost.train({}, xgboost.DMatrix(FEATURES, FEATURES.sum(axis=1)), num_boost_round=3)


@pytest.fixture
def predictor(aws: Aws, booster: xgboost.Booster) -> Iterator[TransformPredictor]:
    """Asks a model of this test's own, for a run of its own."""
    name = f"judging-{uuid.uuid4().hex[:10]}"
    s3, sagemaker = aws.client("s3"), aws.client("sagemaker")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    content, packed = booster.save_raw("ubj"), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("xgboost-model")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    s3.put_object(Bucket=name, Key="model.tar.gz", Body=packed.getvalue())
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": XGBOOST, "ModelDataUrl": f"s3://{name}/model.tar.gz"},
        ExecutionRoleArn=ROLE,
    )
    model = ReleasedModel(
        model_version=VERSION,
        model="event-counts",
        endpoint="event-counts",
        variant=VARIANT,
        model_package_arn="",
        endpoint_config="",
        sagemaker_model=name,
        model_data_url="",
        training_job="",
        band=None,
        metrics={},
        status="champion",
        due_at=NOW,
        released_at=NOW,
        retired_at=None,
        smoke_test=None,
    )
    place = S3Location(name, "judging")
    yield TransformPredictor(sagemaker, s3, place, name[-8:], model, MACHINES, 0.05, KEY)
    sagemaker.delete_model(ModelName=name)


def jobs_of(predictor: TransformPredictor) -> list[str]:
    found = predictor.sagemaker.list_transform_jobs(NameContains=predictor.run)
    return [job["TransformJobStatus"] for job in found["TransformJobSummaries"]]


def test_a_job_answers_what_the_model_says_in_the_order_of_the_windows(
    predictor: TransformPredictor, booster: xgboost.Booster
) -> None:
    predictions = predictor.predict(FEATURES)
    np.testing.assert_allclose(predictions.expected, booster.predict(xgboost.DMatrix(FEATURES)), rtol=1e-6)
    assert predictions.variants == [VARIANT] * len(FEATURES)
    assert predictions.calls == 1
    (job,) = predictor.sagemaker.list_transform_jobs(NameContains=predictor.run)["TransformJobSummaries"]
    described = predictor.sagemaker.describe_transform_job(TransformJobName=job["TransformJobName"])
    assert described["TransformOutput"]["KmsKeyId"] == KEY
    answers = S3Location.parse(described["TransformOutput"]["S3OutputPath"]) / "input.csv.out"
    assert predictor.s3.head_object(Bucket=answers.bucket, Key=answers.key)["SSEKMSKeyId"] == KEY


def test_a_second_try_of_the_run_adopts_the_job_of_the_first(predictor: TransformPredictor) -> None:
    first = predictor.predict(FEATURES)
    second = replace(predictor).predict(FEATURES)
    np.testing.assert_array_equal(first.expected, second.expected)
    assert jobs_of(predictor) == ["Completed"]


def test_other_windows_are_another_job(predictor: TransformPredictor) -> None:
    assert len(predictor.predict(FEATURES[:7]).expected) == 7
    assert len(predictor.predict(FEATURES[:8]).expected) == 8
    assert jobs_of(predictor) == ["Completed"] * 2


def test_a_job_that_takes_too_long_is_stopped_and_told(predictor: TransformPredictor) -> None:
    hasty = replace(predictor, machines=replace(MACHINES, max_runtime_s=0.0))
    with pytest.raises(
        CloudError, match=r"took longer than 0 min and was stopped: raise bulk\.max_runtime_min"
    ):
        hasty.predict(FEATURES)
    wait_for(lambda: jobs_of(predictor) == ["Stopped"], "the end of the job")


def test_a_task_that_is_killed_stops_its_job(predictor: TransformPredictor) -> None:
    failures: list[CloudError] = []

    def judge() -> None:
        try:
            predictor.predict(np.tile(FEATURES, (400, 1)))
        except CloudError as failure:
            failures.append(failure)

    task = threading.Thread(target=judge)
    task.start()
    wait_for(lambda: "InProgress" in jobs_of(predictor), "the job")
    predictor.stop()
    task.join(60)
    assert jobs_of(predictor) == ["Stopped"]
    assert "ended as Stopped" in str(failures[0])


def test_an_output_that_is_gone_is_told(predictor: TransformPredictor) -> None:
    predictor.predict(FEATURES)
    for found in predictor.s3.list_objects_v2(Bucket=predictor.prefix.bucket, Prefix="judging")["Contents"]:
        if found["Key"].endswith(".out"):
            predictor.s3.delete_object(Bucket=predictor.prefix.bucket, Key=found["Key"])
    with pytest.raises(CloudError, match=r"its output .* is gone: trigger a new run"):
        predictor.predict(FEATURES)


def test_of_no_windows_nobody_is_asked(predictor: TransformPredictor) -> None:
    assert predictor.predict(FEATURES[:0]).calls == 0
    assert jobs_of(predictor) == []


def test_another_version_is_another_job(predictor: TransformPredictor) -> None:
    predictor.predict(FEATURES[:5])
    replace(predictor, model=replace(predictor.model, model_version="event-counts/2")).predict(FEATURES[:5])
    assert jobs_of(predictor) == ["Completed"] * 2
