from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from local_aws_support import (
    LINEAR_LEARNER,
    artifact,
    channel,
    csv_bytes,
    make_config,
    make_model,
    settled,
    table,
    training_request,
)

from local_aws.algorithms.contract import UserError
from local_aws.algorithms.hyperparameters import parse_all
from local_aws.algorithms.tables import read_csv
from local_aws.algorithms.xgboost_hyperparameters import KINDS


def put(s3: Any, bucket: str, key: str, rows: Any) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=rows if isinstance(rows, bytes) else csv_bytes(rows))


def run(sagemaker: Any, bucket: str, name: str, parameters: dict[str, str], **changes: Any) -> Any:
    changes.setdefault("InputDataConfig", [channel("train", f"s3://{bucket}/{name}/train/")])
    request = training_request(name, bucket, [], HyperParameters=parameters) | changes
    sagemaker.create_training_job(**request)
    return settled(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)


def linear(sagemaker: Any, bucket: str, name: str, parameters: dict[str, str]) -> Any:
    algorithm = {"TrainingImage": LINEAR_LEARNER, "TrainingInputMode": "File"}
    return run(sagemaker, bucket, name, parameters, AlgorithmSpecification=algorithm)


def metrics(job: Any) -> dict[str, float]:
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    return {one["MetricName"]: one["Value"] for one in job["FinalMetricDataList"]}


def answers(
    sagemaker: Any, client: Any, name: str, job: Any, image: str, body: bytes, **headers: str
) -> bytes:
    make_config(sagemaker, name, make_model(sagemaker, name, artifact(job), image))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert found["EndpointStatus"] == "InService", found["FailureReason"]
    runtime = client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=body, **headers)
    sagemaker.delete_endpoint(EndpointName=name)
    return bytes(answer["Body"].read())


def test_xgboost_beats_the_mean_by_far(trained):
    labels = table(400, 3)[:, 0]
    assert metrics(trained)["validation:rmse"] < labels.std() / 4


def test_xgboost_counts_with_poisson_and_stops_early(sagemaker, s3, bucket, name):
    random = np.random.default_rng(5)
    feature = random.uniform(0, 3, size=(1500, 1))
    counts = random.poisson(np.exp(feature[:, 0]))
    put(s3, bucket, f"{name}/train/a.csv", np.column_stack([counts, feature])[:1000])
    put(s3, bucket, f"{name}/validation/a.csv", np.column_stack([counts, feature])[1000:])
    channels = [channel(part, f"s3://{bucket}/{name}/{part}/") for part in ("train", "validation")]
    parameters = {
        "num_round": "400",
        "objective": "count:poisson",
        "early_stopping_rounds": "5",
        "eval_metric": "rmse",
    }
    found = metrics(run(sagemaker, bucket, name, parameters, InputDataConfig=channels))
    assert found["validation:rmse"] < counts.std() * 0.8


def test_xgboost_weighs_rows_by_their_second_column(sagemaker, s3, bucket, client, name):
    rows = [[0, 1, 5]] * 50 + [[100, 99, 5]] * 50
    put(s3, bucket, f"{name}/train/a.csv", rows)
    parameters = {
        "num_round": "30",
        "objective": "reg:squarederror",
        "csv_weights": "1",
        "eta": "1",
        "lambda": "0",
    }
    job = run(sagemaker, bucket, name, parameters)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    image = job["AlgorithmSpecification"]["TrainingImage"]
    assert float(answers(sagemaker, client, name, job, image, b"5")) == pytest.approx(99, abs=0.5)


def test_xgboost_knows_classes(sagemaker, s3, bucket, client, name):
    feature = np.linspace(0, 3, 300, endpoint=False)
    put(s3, bucket, f"{name}/train/a.csv", np.column_stack([np.floor(feature), feature]))
    parameters = {"num_round": "10", "objective": "multi:softprob", "num_class": "3"}
    job = run(sagemaker, bucket, name, parameters)
    assert metrics(job)["train:mlogloss"] < 0.3
    image = job["AlgorithmSpecification"]["TrainingImage"]
    lines = answers(sagemaker, client, name, job, image, b"0.5\n1.5\n2.5").decode().splitlines()
    chosen = [np.argmax([float(score) for score in line.split(",")]) for line in lines]
    assert chosen == [0, 1, 2]


def test_xgboost_reads_libsvm_which_is_its_default(sagemaker, s3, bucket, name):
    lines = "".join(f"{a + 2 * b} 0:{a} 1:{b}\n" for a in range(20) for b in range(20))
    put(s3, bucket, f"{name}/train/a.libsvm", lines.encode())
    source = channel("train", f"s3://{bucket}/{name}/train/")
    del source["ContentType"]
    parameters = {"num_round": "20", "objective": "reg:squarederror"}
    assert metrics(run(sagemaker, bucket, name, parameters, InputDataConfig=[source]))["train:rmse"] < 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_round": "0"}, "Hyperparameter num_round: 0 is not in [1, inf]"),
        ({"eta": "2"}, "Hyperparameter eta: 2 is not in [0, 1]"),
        ({"eta": "nan"}, "Hyperparameter eta: nan is not in [0, 1]"),
        ({"colour": "red"}, "Extraneous hyperparameter found: colour"),
        ({"objective": "reg:nope"}, "Hyperparameter objective: reg:nope is not in [reg:squarederror"),
    ],
)
def test_a_hyperparameter_out_of_its_range_is_refused(changes, reason):
    with pytest.raises(UserError, match=re.escape(reason)):
        parse_all(KINDS, {"num_round": "3"} | changes)


def test_the_number_of_rounds_is_required():
    with pytest.raises(UserError, match="Missing required hyperparameter: num_round"):
        parse_all(KINDS, {})


@pytest.mark.parametrize("content", ["label,a,b\n1,2,3\n", "1,2,3\n1,2\n", "1;2;3\n"])
def test_a_table_that_cannot_be_read_is_refused_naming_its_file(content, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(content)
    with pytest.raises(UserError, match=r"Could not read a\.csv as CSV of numbers without a header"):
        read_csv([file])


def test_files_of_one_channel_must_have_as_many_columns(tmp_path):
    for number, content in enumerate(["1,2\n", "1,2,3\n"]):
        (tmp_path / f"{number}.csv").write_text(content)
    with pytest.raises(UserError, match="differ in their number of columns"):
        read_csv(sorted(tmp_path.iterdir()))


def test_an_empty_field_is_a_missing_value(sagemaker, s3, bucket, name):
    put(s3, bucket, f"{name}/train/a.csv", b"1,,3\n2,5,\n3,1,1\n")
    job = run(sagemaker, bucket, name, {"num_round": "2"})
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]


def test_a_linear_regressor_finds_the_line(sagemaker, s3, bucket, client, name):
    features = np.random.default_rng(1).normal(size=(500, 2)) * [1, 1000]
    put(s3, bucket, f"{name}/train/a.csv", np.column_stack([features @ [2, 0.003] + 7, features]))
    parameters = {"predictor_type": "regressor", "mini_batch_size": "100", "epochs": "5", "feature_dim": "2"}
    job = linear(sagemaker, bucket, name, parameters)
    assert metrics(job)["train:mse"] < 0.01
    body = answers(sagemaker, client, name, job, LINEAR_LEARNER, b"1,1000\n0,0")
    scores = [one["score"] for one in json.loads(body)["predictions"]]
    assert scores == pytest.approx([12, 7], abs=0.1)


def test_a_binary_classifier_answers_scores_and_labels():
    from local_aws.algorithms.linear_learner import _metrics, _parse, _reply, fit_linear

    features = np.random.default_rng(2).normal(size=(500, 2)).astype(np.float32)
    labels = (features.sum(axis=1) > 0).astype(np.float32)
    for loss in ("auto", "hinge_loss"):
        model = fit_linear({"predictor_type": "binary_classifier", "loss": loss}, features, labels)
        assert _metrics(model, model.scores(features), labels)["binary_classification_accuracy"] > 0.97
        body = _reply(model, _parse(model, b"3,3\n-3,-3", "text/csv"), "application/json").body
        high, low = json.loads(body)["predictions"]
        assert (high["predicted_label"], low["predicted_label"]) == (1, 0)
        assert low["score"] < 0.1 < 0.9 < high["score"]


def test_a_multiclass_classifier_answers_a_score_for_each_class():
    from local_aws.algorithms.linear_learner import _metrics, _parse, _reply, fit_linear

    random = np.random.default_rng(3)
    labels = random.integers(0, 3, size=600)
    centres = np.array([[0, 5], [5, 0], [-5, -5]])
    features = (centres[labels] + random.normal(size=(600, 2))).astype(np.float32)
    given = {"predictor_type": "multiclass_classifier", "num_classes": 3}
    model = fit_linear(given, features, labels.astype(np.float32))
    assert _metrics(model, model.scores(features), labels)["multiclass_accuracy"] > 0.97
    answer = json.loads(_reply(model, _parse(model, b"5,0", "text/csv"), "application/jsonlines").body)
    assert answer["predicted_label"] == 1
    assert sum(answer["score"]) == pytest.approx(1)
    line = _reply(model, _parse(model, b"5,0", "text/csv"), "text/csv").body
    assert [float(field) for field in line.split(",")] == [*answer["score"], 1]


@pytest.mark.parametrize(
    "loss", ["absolute_loss", "quantile_loss", "huber_loss", "eps_insensitive_squared_loss"]
)
def test_every_regression_loss_beats_the_mean(loss, tmp_path):
    from local_aws.algorithms.linear_learner import fit_linear

    rows = table(400, 4).astype(np.float32)
    model = fit_linear(
        {"predictor_type": "regressor", "loss": loss, "quantile": 0.5}, rows[:, 1:], rows[:, 0]
    )
    errors = np.abs(model.scores(rows[:, 1:]) - rows[:, 0])
    assert errors.mean() < np.abs(rows[:, 0] - rows[:, 0].mean()).mean() / 2


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "Missing required hyperparameter: predictor_type"),
        ({"predictor_type": "regressor", "feature_dim": "9"}, "feature_dim is 9"),
        ({"predictor_type": "regressor", "loss": "logistic"}, "logistic is not in"),
        ({"predictor_type": "binary_classifier"}, "must be 0 and 1"),
        ({"predictor_type": "multiclass_classifier"}, "Missing required hyperparameter: num_classes"),
    ],
)
def test_linear_learner_refuses_what_does_not_fit(monkeypatch, tmp_path, parameters, reason):
    from local_aws.algorithms import linear_learner

    (tmp_path / "input/config").mkdir(parents=True)
    (tmp_path / "input/data/train").mkdir(parents=True)
    (tmp_path / "input/data/train/a.csv").write_bytes(csv_bytes(table(20)))
    (tmp_path / "input/config/hyperparameters.json").write_text(json.dumps(parameters))
    (tmp_path / "input/config/inputdataconfig.json").write_text('{"train": {"ContentType": "text/csv"}}')
    monkeypatch.setenv("LOCAL_AWS_ML_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=re.escape(reason)):
        linear_learner.train()


def test_the_cloud_fixes_linear_learners_metrics(sagemaker, s3, bucket, name):
    put(s3, bucket, f"{name}/train/a.csv", table(20))
    algorithm = {
        "TrainingImage": LINEAR_LEARNER,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "mine", "Regex": "(.*)"}],
    }
    job = run(sagemaker, bucket, name, {"predictor_type": "regressor"}, AlgorithmSpecification=algorithm)
    assert "You can't override the metric definitions" in job["FailureReason"]


def test_models_are_no_pickles(trained, s3, bucket):
    import io
    import tarfile

    body = s3.get_object(Bucket=bucket, Key=artifact(trained).split("/", 3)[3])["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        member = archive.extractfile("xgboost-model")
        assert member is not None
        assert not member.read(2).startswith(b"\x80")
