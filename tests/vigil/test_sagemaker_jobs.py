from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.vigil.jobs_in_the_cloud import (
    ENDLESS_ROUNDS,
    bucket_with_training_data,
    training_request,
    unique,
)
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.sagemaker_jobs import (
    TRAINING,
    JobFailedError,
    describe,
    last_log_lines,
    may_pass,
    result_of,
    start_or_adopt,
    stop,
)


@pytest.fixture
def sagemaker(aws: Aws) -> Any:
    return aws.client("sagemaker")


def ended(sagemaker: Any, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        description = describe(sagemaker, TRAINING, name)
        assert description is not None
        return None if description["TrainingJobStatus"] in ("InProgress", "Stopping") else description

    return wait_for(look, f"{name} to end")


def jobs_named(sagemaker: Any, name: str) -> list[str]:
    found = sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
    return sorted(job["TrainingJobName"] for job in found)


def test_a_job_that_does_not_exist_has_no_description(sagemaker: Any) -> None:
    assert describe(sagemaker, TRAINING, unique("missing")) is None


def test_a_second_start_adopts_the_running_job(aws: Aws, sagemaker: Any) -> None:
    name = unique("adopted")
    request = training_request(bucket_with_training_data(aws), name, ENDLESS_ROUNDS)
    assert start_or_adopt(sagemaker, TRAINING, request) == name
    assert start_or_adopt(sagemaker, TRAINING, request) == name
    assert jobs_named(sagemaker, name) == [name]
    stop(sagemaker, TRAINING, name)
    ended(sagemaker, name)


def test_a_completed_job_is_adopted_with_its_result_and_log(aws: Aws, sagemaker: Any) -> None:
    name = unique("completed")
    request = training_request(bucket_with_training_data(aws), name)
    start_or_adopt(sagemaker, TRAINING, request)
    description = ended(sagemaker, name)
    assert start_or_adopt(sagemaker, TRAINING, request) == name
    assert jobs_named(sagemaker, name) == [name]
    assert result_of(TRAINING, description)["ModelArtifacts"]["S3ModelArtifacts"].endswith("model.tar.gz")
    assert any("rmse" in line for line in last_log_lines(aws.client("logs"), TRAINING, name))


def test_many_starts_at_once_make_one_job(aws: Aws, sagemaker: Any) -> None:
    name = unique("race")
    request = training_request(bucket_with_training_data(aws), name)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: start_or_adopt(sagemaker, TRAINING, request), range(8)))
    assert set(names) == {name}
    assert jobs_named(sagemaker, name) == [name]
    ended(sagemaker, name)


def test_a_stopped_job_is_a_failure_and_the_next_attempt_gets_a_name_of_its_own(
    aws: Aws, sagemaker: Any
) -> None:
    name = unique("stopped")
    bucket = bucket_with_training_data(aws)
    start_or_adopt(sagemaker, TRAINING, training_request(bucket, name, ENDLESS_ROUNDS))
    assert stop(sagemaker, TRAINING, name)
    with pytest.raises(JobFailedError, match=f"{name} ended as Stopped"):
        result_of(TRAINING, ended(sagemaker, name))
    assert start_or_adopt(sagemaker, TRAINING, training_request(bucket, name)) == f"{name}-r2"
    assert ended(sagemaker, f"{name}-r2")["TrainingJobStatus"] == "Completed"


def test_a_failure_names_its_reason_and_is_not_worth_paying_for_again(aws: Aws, sagemaker: Any) -> None:
    name = unique("failed")
    request = training_request(bucket_with_training_data(aws), name, objective="reg:nonsense")
    start_or_adopt(sagemaker, TRAINING, request)
    with pytest.raises(JobFailedError, match="reg:nonsense") as failure:
        result_of(TRAINING, ended(sagemaker, name))
    assert not failure.value.worth_a_retry


def test_stopping_what_has_ended_or_never_was_is_harmless(aws: Aws, sagemaker: Any) -> None:
    name = unique("ended")
    start_or_adopt(sagemaker, TRAINING, training_request(bucket_with_training_data(aws), name))
    ended(sagemaker, name)
    assert not stop(sagemaker, TRAINING, name)
    assert not stop(sagemaker, TRAINING, unique("never"))
    assert describe(sagemaker, TRAINING, name)["TrainingJobStatus"] == "Completed"


def test_a_long_name_keeps_room_for_its_attempt(aws: Aws, sagemaker: Any) -> None:
    name = unique("long-" * 10)[-63:].strip("-")
    bucket = bucket_with_training_data(aws)
    start_or_adopt(sagemaker, TRAINING, training_request(bucket, name, ENDLESS_ROUNDS))
    stop(sagemaker, TRAINING, name)
    ended(sagemaker, name)
    second = start_or_adopt(sagemaker, TRAINING, training_request(bucket, name))
    assert second.endswith("-r2")
    assert len(second) <= 63
    ended(sagemaker, second)


@pytest.mark.parametrize(
    ("code", "status", "passes"),
    [
        ("ThrottlingException", 400, True),
        ("InternalFailure", 500, True),
        ("ServiceUnavailable", 503, True),
        ("AccessDeniedException", 400, False),
        ("ValidationException", 400, False),
    ],
)
def test_a_question_is_asked_again_if_aws_may_answer_it_later(code: str, status: int, passes: bool) -> None:
    response: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert may_pass(ClientError(response, "DescribeTrainingJob")) is passes


def test_a_question_that_did_not_reach_aws_is_asked_again() -> None:
    assert may_pass(EndpointConnectionError(endpoint_url="https://api.sagemaker.example"))
