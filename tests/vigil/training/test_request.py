from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from tests.vigil.training.history import small_spec
from vigil.aws import S3Location
from vigil.features import FEATURE_NAMES
from vigil.training.dataset import Dataset
from vigil.training.request import (
    TrainingRun,
    candidate_model_request,
    candidate_transform_request,
    champion_transform_request,
    evaluation_request,
    features_in_predictions,
    plan_run,
    training_request,
)
from vigil.training.spec.model import load_model_spec, parse_model_spec

ROLE = "arn:aws:iam::123456789012:role/vigil"
REGION = "eu-west-1"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/any"
SPEC = parse_model_spec(small_spec())
LONG = parse_model_spec(small_spec(name="a" * 40))
AT = datetime(2026, 2, 1, 3, 5)


def run_of(spec: Any = SPEC) -> TrainingRun:
    return plan_run(spec, "scheduled__2026-02-01T03:05:00+00:00", AT, "bucket")


def dataset_of(run: TrainingRun) -> Dataset:
    return Dataset(
        location=run.dataset,
        manifest=run.export / "manifest.json",
        model=run.model,
        objective="regression",
        label="observed",
        features=FEATURE_NAMES,
        keys=("series", "window_start"),
        rows={"train": 7, "validation": 2, "test": 1},
        method="chronological",
        checksum="0" * 64,
    )


def requests_of(spec: Any, key: str | None = KEY) -> dict[str, dict[str, Any]]:
    run = run_of(spec)
    dataset = dataset_of(run)
    where: dict[str, Any] = {"role": ROLE, "region": REGION, "key": key}
    artifact = "s3://bucket/model.tar.gz"
    return {
        "CreateTrainingJob": training_request(run, spec, dataset, **where),
        "CreateModel": candidate_model_request(run, "job", "image", artifact, role=ROLE),
        "CreateTransformJob": candidate_transform_request(run, spec, dataset, "model", key=key),
        "CreateTransformJob ": champion_transform_request(run, spec, dataset, "model", "small/3", key=key),
        "CreateProcessingJob": evaluation_request(run, spec, "job", "small/3", **where),
        "CreateProcessingJob ": evaluation_request(run, spec, "job", None, **where),
    }


@pytest.mark.parametrize(
    "spec",
    [SPEC, LONG, load_model_spec("event-counts"), load_model_spec("event-counts-linear")],
    ids=lambda spec: spec.name,
)
def test_every_request_is_one_that_sagemaker_takes(spec: Any) -> None:
    service = botocore.session.get_session().get_service_model("sagemaker")
    for operation, request in requests_of(spec).items():
        shape = service.operation_model(operation.strip()).input_shape
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()
        name = next(value for key, value in request.items() if key.endswith("Name"))
        limit = shape.members[next(key for key in request if key.endswith("Name"))].metadata["max"]
        assert 0 < len(name) <= limit - len("-r99")


def test_the_same_run_asks_for_the_same_and_another_for_something_else() -> None:
    assert requests_of(SPEC) == requests_of(SPEC)
    runs = {
        run_of(),
        plan_run(SPEC, "manual__1", AT, "bucket"),
        plan_run(SPEC, run_of().run, datetime(2026, 2, 8), "bucket"),
        plan_run(parse_model_spec(small_spec(split={"seed": 2})), "manual__1", AT, "bucket"),
    }
    assert len({run.run for run in runs}) == len(runs)


def test_a_retry_on_other_data_is_another_job() -> None:
    run = run_of()
    one, other = dataset_of(run), replace(dataset_of(run), checksum="1" * 64)
    for build in (
        lambda data: training_request(run, SPEC, data, role=ROLE, region=REGION, key=KEY)["TrainingJobName"],
        lambda data: candidate_transform_request(run, SPEC, data, "model", key=KEY)["TransformJobName"],
        lambda data: champion_transform_request(run, SPEC, data, "model", "v/1", key=KEY)["TransformJobName"],
    ):
        assert build(one) != build(other)


def test_no_two_jobs_of_a_run_have_one_name_even_if_the_models_name_is_long() -> None:
    names = [
        next(value for key, value in request.items() if key.endswith("JobName"))
        for operation, request in requests_of(LONG).items()
        if "Job" in operation
    ]
    assert len(set(names)) == len(names) == 5


def test_every_job_that_can_be_limited_is_limited_and_tagged() -> None:
    for operation, request in requests_of(SPEC).items():
        assert {"Key": "run", "Value": run_of().run} in request["Tags"]
        if operation.strip() in ("CreateTrainingJob", "CreateProcessingJob"):
            assert request["StoppingCondition"]["MaxRuntimeInSeconds"] > 0


def test_every_job_encrypts_what_it_writes_with_the_key_and_is_called_the_same_without_one() -> None:
    outputs = ("OutputDataConfig", "ProcessingOutputConfig", "TransformOutput")
    bare = requests_of(SPEC, key=None)
    jobs = {operation: request for operation, request in requests_of(SPEC).items() if "Job" in operation}
    assert len(jobs) == 5
    for operation, request in jobs.items():
        (output,) = request.keys() & set(outputs)
        assert request[output].pop("KmsKeyId") == KEY
        assert request == bare[operation]


def test_training_reads_csv_from_the_two_channels() -> None:
    channels = requests_of(SPEC)["CreateTrainingJob"]["InputDataConfig"]
    assert [(c["ChannelName"], c["ContentType"]) for c in channels] == [
        ("train", "text/csv"),
        ("validation", "text/csv"),
    ]


def test_the_champion_is_read_only_when_there_is_one() -> None:
    both = requests_of(SPEC)
    with_champion = both["CreateProcessingJob"]["ProcessingInputs"]
    without = both["CreateProcessingJob "]["ProcessingInputs"]
    assert [i["InputName"] for i in with_champion] == ["code", "config", "candidate", "champion"]
    assert [i["InputName"] for i in without] == ["code", "config", "candidate"]


def test_all_that_a_run_writes_lies_under_its_root_but_the_export() -> None:
    run = run_of()
    assert run.export == S3Location("bucket", f"exports/small/{run.run}")
    places = [run.dataset, run.artifacts, run.code, run.candidate_predictions]
    places += [run.champion_predictions("small/3"), run.evaluation(None), run.evaluation("small/3")]
    assert len({str(place) for place in places}) == len(places)
    assert all(str(place).startswith(f"{run.root}/") for place in places)
    assert run.root == S3Location("bucket", f"training/small/{run.run}")


def data_processing(**changes: Any) -> dict[str, str]:
    run = run_of()
    dataset = replace(dataset_of(run), **changes)
    of_candidate = candidate_transform_request(run, SPEC, dataset, "model", key=KEY)
    of_champion = champion_transform_request(run, SPEC, dataset, "m", "v/1", key=KEY)
    processing: dict[str, str] = of_candidate["DataProcessing"]
    assert of_champion["DataProcessing"] == processing
    return processing


def test_a_number_comes_back_behind_its_keys_without_the_features() -> None:
    assert data_processing() == {
        "InputFilter": "$[3:]",
        "JoinSource": "Input",
        "OutputFilter": "$[0,1,2,-1]",
    }
    assert data_processing(keys=("row",))["OutputFilter"] == "$[0,1,-1]"
    assert features_in_predictions(dataset_of(run_of())) == 0


@pytest.mark.parametrize("objective", ["binary", "multiclass"])
def test_an_answer_of_unknown_width_comes_back_behind_the_whole_row(objective: Any) -> None:
    assert data_processing(keys=("row",), objective=objective) == {
        "InputFilter": "$[2:]",
        "JoinSource": "Input",
    }
    assert features_in_predictions(replace(dataset_of(run_of()), objective=objective)) == len(FEATURE_NAMES)
