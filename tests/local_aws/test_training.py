from __future__ import annotations

import io
import itertools
import json
import os
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws_support import (
    XGBOOST,
    artifact,
    channel,
    log_lines,
    settled,
    train,
    training_request,
    wait_until,
)

SLOW = {"num_round": "1000000", "objective": "reg:squarederror"}


def error_of(caught: Any) -> tuple[str, str]:
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_job_walks_through_the_clouds_statuses_with_times(trained):
    transitions = trained["SecondaryStatusTransitions"]
    assert [one["Status"] for one in transitions] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    for before, after in itertools.pairwise(transitions):
        assert before["StartTime"] <= before["EndTime"] <= after["StartTime"]
    assert trained["SecondaryStatus"] == "Completed"
    assert trained["CreationTime"] <= trained["TrainingStartTime"] <= trained["TrainingEndTime"]
    assert trained["TrainingTimeInSeconds"] >= 1
    assert trained["BillableTimeInSeconds"] == trained["TrainingTimeInSeconds"]


def test_the_model_lands_where_the_cloud_puts_it(trained, s3, bucket):
    expected = f"s3://{bucket}/models/{trained['TrainingJobName']}/output/model.tar.gz"
    assert artifact(trained) == expected
    body = s3.get_object(Bucket=bucket, Key=expected.split("/", 3)[3])["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert archive.getnames() == ["xgboost-model"]


def test_the_last_metrics_of_the_log_are_the_jobs_metrics(trained, client):
    metrics = {one["MetricName"]: one["Value"] for one in trained["FinalMetricDataList"]}
    assert metrics.keys() == {"train:rmse", "validation:rmse"}
    lines = log_lines(client("logs"), "/aws/sagemaker/TrainingJobs", f"{trained['TrainingJobName']}/algo-1-")
    rounds = [line for line in lines if line.startswith("[")]
    assert len(rounds) == 20
    assert rounds[-1] == (
        f"[19]#011train-rmse:{metrics['train:rmse']:.5f}#011validation-rmse:{metrics['validation:rmse']:.5f}"
    )


def test_a_name_can_be_used_once(trained, sagemaker, bucket, data):
    request = training_request(trained["TrainingJobName"], bucket, [channel("train", f"{data}/train/")])
    with pytest.raises(ClientError) as caught:
        sagemaker.create_training_job(**request)
    code, message = error_of(caught)
    assert code == "ResourceInUse"
    assert message.startswith("Training job names must be unique within an AWS account and region")
    assert trained["TrainingJobArn"] in message


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job"])
def test_an_unknown_job_is_not_found(operation, sagemaker, name):
    with pytest.raises(ClientError) as caught:
        getattr(sagemaker, operation)(TrainingJobName=name)
    assert error_of(caught) == ("ValidationException", "Requested resource not found.")


def test_a_finished_job_cannot_be_stopped(trained, sagemaker):
    with pytest.raises(ClientError) as caught:
        sagemaker.stop_training_job(TrainingJobName=trained["TrainingJobName"])
    code, message = error_of(caught)
    assert code == "ValidationException"
    assert message == "The request was rejected because the training job is in status Completed."


def test_stop_ends_the_whole_process_group(sagemaker, bucket, data, name):
    request = training_request(name, bucket, [channel("train", f"{data}/train/")], HyperParameters=SLOW)
    sagemaker.create_training_job(**request)
    wait_until(lambda: _processes_of(name))
    sagemaker.stop_training_job(TrainingJobName=name)
    job = settled(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "Stopping" in [one["Status"] for one in job["SecondaryStatusTransitions"]]
    assert _processes_of(name) == []


def test_a_job_stopped_at_once_never_trains(sagemaker, bucket, data, name):
    request = training_request(name, bucket, [channel("train", f"{data}/train/")], HyperParameters=SLOW)
    sagemaker.create_training_job(**request)
    sagemaker.stop_training_job(TrainingJobName=name)
    job = settled(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert _processes_of(name) == []


def test_the_maximum_run_time_ends_a_job(sagemaker, bucket, data, name):
    job = train(
        sagemaker, bucket, data, name, HyperParameters=SLOW, StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert _processes_of(name) == []


def test_missing_input_fails_in_the_clouds_words(sagemaker, bucket, name):
    uri = f"s3://{bucket}/nothing/here/"
    sagemaker.create_training_job(**training_request(name, bucket, [channel("train", uri)]))
    job = settled(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed")
    assert uri in job["FailureReason"]
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == job["FailureReason"]


def test_a_bad_hyperparameter_is_the_callers_mistake(sagemaker, bucket, data, name):
    given = {"num_round": "x", "objective": "reg:squarederror"}
    job = train(sagemaker, bucket, data, name, HyperParameters=given)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "ClientError: Hyperparameter num_round: could not parse value 'x', exit code: 2"
    )


def test_an_unknown_image_fails_naming_the_file_to_extend(sagemaker, bucket, data, name):
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/own-image:3"
    algorithm = {"TrainingImage": image, "TrainingInputMode": "File"}
    job = train(sagemaker, bucket, data, name, AlgorithmSpecification=algorithm)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert image in job["FailureReason"]
    assert "local_aws/algorithms/registry.py" in job["FailureReason"]


@pytest.mark.parametrize("tail", [":1.5-1", "@sha256:" + "0" * 64, ""])
def test_a_stand_in_is_chosen_by_repository_whatever_the_tag(tail):
    from local_aws.algorithms.registry import repository

    assert repository(XGBOOST.split(":")[0] + tail) == "sagemaker-xgboost"


def test_own_metric_definitions_are_read_from_the_log(sagemaker, bucket, data, name):
    algorithm = {
        "TrainingImage": XGBOOST,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "round", "Regex": r"^\[(\d+)\]"}],
    }
    job = train(sagemaker, bucket, data, name, AlgorithmSpecification=algorithm)
    assert {one["MetricName"]: one["Value"] for one in job["FinalMetricDataList"]}["round"] == 19


def test_a_changed_job_state_is_told_to_eventbridge(client, sagemaker, bucket, data, name):
    sqs, events = client("sqs"), client("events")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    pattern = {"source": ["aws.sagemaker"], "detail": {"TrainingJobName": [name]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:123456789012:{name}"}])
    train(sagemaker, bucket, data, name)
    states: list[str] = []

    def told() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            assert event["detail-type"] == "SageMaker Training Job State Change"
            states.append(event["detail"]["TrainingJobStatus"])
        return "Completed" in states

    wait_until(told)
    assert states[0] == "InProgress"


def _processes_of(job: str) -> list[int]:
    """Find the processes that have the job's name in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if f"TRAINING_JOB_NAME={job}".encode() in file.read().split(b"\0"):
                    found.append(int(pid))
        except OSError:
            continue
    return found


def test_a_job_trains_with_an_image_by_digest_and_is_the_newest_completed(
    sagemaker, bucket, data, trained, name
):
    image = f"{XGBOOST.rsplit(':', 1)[0]}@sha256:{'5e' * 32}"
    algorithm = {"TrainingImage": image, "TrainingInputMode": "File"}
    job = train(sagemaker, bucket, data, f"trained-{name}", AlgorithmSpecification=algorithm)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["AlgorithmSpecification"]["TrainingImage"] == image
    found = sagemaker.list_training_jobs(
        NameContains="trained-", StatusEquals="Completed", SortBy="CreationTime", SortOrder="Descending"
    )["TrainingJobSummaries"]
    names = [one["TrainingJobName"] for one in found]
    assert names.index(f"trained-{name}") < names.index(trained["TrainingJobName"])
