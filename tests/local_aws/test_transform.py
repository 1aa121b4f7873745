from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from local_aws_support import csv_bytes, settled, table

from local_aws.sagemaker.columns import column_filter, join_columns, split_columns
from local_aws.sagemaker.errors import JobFailed


def request(name: str, model: str, bucket: str, **changes: Any) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/in/"}}
    return {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {
            "S3OutputPath": f"s3://{bucket}/{name}/out",
            "Accept": "text/csv",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    } | changes


def run(sagemaker: Any, name: str, model: str, bucket: str, **changes: Any) -> Any:
    sagemaker.create_transform_job(**request(name, model, bucket, **changes))
    return settled(sagemaker.describe_transform_job, "TransformJobStatus", TransformJobName=name)


def lines(s3: Any, bucket: str, key: str) -> list[list[float]]:
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert text.endswith("\n")
    return [[float(field) for field in line.split(",")] for line in text.splitlines()]


def test_every_row_gets_its_answer_beside_the_wanted_columns(sagemaker, s3, bucket, model, client, name):
    rows = np.column_stack([np.arange(50), table(50, seed=7)])
    s3.put_object(Bucket=bucket, Key=f"{name}/in/a.csv", Body=csv_bytes(rows))
    s3.put_object(Bucket=bucket, Key=f"{name}/in/deep/b.csv", Body=csv_bytes(rows[:3]))
    processing = {"InputFilter": "$[2:]", "JoinSource": "Input", "OutputFilter": "$[0,1,-1]"}
    job = run(sagemaker, name, model, bucket, DataProcessing=processing)
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    answers = np.array(lines(s3, bucket, f"{name}/out/a.csv.out"))
    assert answers.shape == (50, 3)
    assert answers[:, 0].tolist() == list(range(50))
    np.testing.assert_allclose(answers[:, 1], rows[:, 1], atol=1e-4)
    errors = answers[:, 2] - answers[:, 1]
    assert np.abs(errors).mean() < np.abs(rows[:, 1] - rows[:, 1].mean()).mean() / 2
    assert lines(s3, bucket, f"{name}/out/deep/b.csv.out") == answers[:3].tolist()


def test_batches_of_one_record_answer_the_same_as_large_ones(sagemaker, s3, bucket, model, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/in/a.csv", Body=csv_bytes(table(20)[:, 1:]))
    run(sagemaker, name, model, bucket)
    many = lines(s3, bucket, f"{name}/out/a.csv.out")
    target = f"s3://{bucket}/{name}/single"
    output = {"S3OutputPath": target, "Accept": "text/csv", "AssembleWith": "Line"}
    changes = {
        "TransformJobName": f"{name}-single",
        "BatchStrategy": "SingleRecord",
        "TransformOutput": output,
    }
    sagemaker.create_transform_job(**request(name, model, bucket, **changes))
    settled(sagemaker.describe_transform_job, "TransformJobStatus", TransformJobName=f"{name}-single")
    assert lines(s3, bucket, f"{name}/single/a.csv.out") == many
    assert len(many) == 20


def test_a_payload_limit_splits_the_input_and_loses_no_row(sagemaker, s3, bucket, model, name):
    rows = table(60_000)[:, 1:]
    assert len(csv_bytes(rows)) > 1 << 20
    s3.put_object(Bucket=bucket, Key=f"{name}/in/a.csv", Body=csv_bytes(rows))
    job = run(sagemaker, name, model, bucket, MaxPayloadInMB=1)
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert len(lines(s3, bucket, f"{name}/out/a.csv.out")) == 60_000


def test_answers_that_do_not_match_the_rows_fail_the_job(sagemaker, s3, bucket, model, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/in/a.csv", Body=csv_bytes(table(5)[:, 1:]))
    output = {
        "S3OutputPath": f"s3://{bucket}/{name}/out",
        "Accept": "application/json",
        "AssembleWith": "Line",
    }
    processing = {"JoinSource": "Input"}
    job = run(sagemaker, name, model, bucket, TransformOutput=output, DataProcessing=processing)
    assert job["TransformJobStatus"] == "Failed"
    assert "1 lines for 5 rows" in job["FailureReason"]


def test_a_model_that_refuses_the_rows_fails_the_job_with_its_words(sagemaker, s3, bucket, model, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/in/a.csv", Body=b"1,2\n")
    job = run(sagemaker, name, model, bucket)
    assert job["TransformJobStatus"] == "Failed"
    assert "is not consistent with feature size of trained model 3" in job["FailureReason"]


def test_a_broken_model_fails_the_job(sagemaker, s3, bucket, broken_model, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/in/a.csv", Body=b"1,2,3\n")
    job = run(sagemaker, name, broken_model, bucket)
    assert job["TransformJobStatus"] == "Failed"
    assert "Failed to extract model data" in job["FailureReason"]


def test_an_empty_prefix_fails_the_job(sagemaker, bucket, model, name):
    job = run(sagemaker, name, model, bucket)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")


def test_a_stopped_job_is_stopped(sagemaker, s3, bucket, model, client, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/in/a.csv", Body=csv_bytes(table(30_000)[:, 1:]))
    sagemaker.create_transform_job(**request(name, model, bucket, BatchStrategy="SingleRecord"))
    sagemaker.stop_transform_job(TransformJobName=name)
    job = settled(sagemaker.describe_transform_job, "TransformJobStatus", TransformJobName=name)
    assert job["TransformJobStatus"] == "Stopped"


def test_names_models_and_joins_are_checked(sagemaker, bucket, model, name):
    with pytest.raises(ClientError, match=f'Could not find model ".*model/{name}"'):
        sagemaker.create_transform_job(**request(name, name, bucket))
    output = {"S3OutputPath": f"s3://{bucket}/out", "AssembleWith": "None"}
    with pytest.raises(ClientError, match="SplitType and AssembleWith must be the same"):
        sagemaker.create_transform_job(
            **request(name, model, bucket, TransformOutput=output, DataProcessing={"JoinSource": "Input"})
        )
    with pytest.raises(ClientError, match="Could not find requested job with name") as caught:
        sagemaker.stop_transform_job(TransformJobName=name)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        ("$", "abcde"),
        ("$[0]", "a"),
        ("$[-1]", "e"),
        ("$[0,1,2,-1]", "abce"),
        ("$[1:]", "bcde"),
        ("$[3:]", "de"),
        ("$[:-1]", "abcd"),
        ("$[1:3]", "bc"),
        ("$[0, 2]", "ac"),
    ],
)
def test_a_column_filter_chooses_like_the_clouds_jsonpath(path, chosen):
    assert column_filter(path)(list("abcde")) == list(chosen)


@pytest.mark.parametrize("path", ["", "$.a", "$[a]", "[0]", "$[?(@.x)]", "$[0"])
def test_a_filter_that_is_not_for_csv_is_refused(path):
    with pytest.raises(JobFailed, match="not supported"):
        column_filter(path)


def test_a_filter_beyond_the_columns_is_refused():
    with pytest.raises(JobFailed, match="beyond the 2 there are"):
        column_filter("$[2]")(["a", "b"])


@given(
    st.lists(st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",))), min_size=1)
)
def test_columns_survive_being_joined_and_split(columns):
    assert split_columns(join_columns(columns)) == columns
