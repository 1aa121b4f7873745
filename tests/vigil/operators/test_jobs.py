from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from tests.vigil.jobs_in_the_cloud import (
    ENDLESS_ROUNDS,
    bucket_with_training_data,
    training_request,
    unique,
)
from tests.vigil.operators.asking import request_for
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.operators.job_trigger import SageMakerJobTrigger
from vigil.operators.jobs import SageMakerJobOperator
from vigil.operators.training import PredictWithChampionOperator
from vigil.sagemaker_jobs import TRAINING, describe
from vigil.settings import Settings
from vigil.training.spec.model import load_model_spec

pytestmark = pytest.mark.usefixtures("vigil_environment")
CONTEXT: Any = {}


class SmallTraining(SageMakerJobOperator):
    kind = TRAINING

    def __init__(self, *, job: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job

    def job_request(self, context: Any) -> dict[str, Any]:
        return self.job


def start(aws: Aws, name: str, rounds: str = "5") -> tuple[SmallTraining, SageMakerJobTrigger]:
    job = training_request(bucket_with_training_data(aws), name, rounds)
    operator = SmallTraining(job=job, task_id="train")
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(CONTEXT)
    trigger = deferred.value.trigger
    assert isinstance(trigger, SageMakerJobTrigger)
    return operator, trigger


def status(aws: Aws, name: str) -> str:
    description = describe(aws.client("sagemaker"), TRAINING, name)
    assert description is not None
    return str(description["TrainingJobStatus"])


def test_a_retry_waits_for_the_job_of_the_first_try(aws: Aws) -> None:
    name = unique("retry")
    job = training_request(bucket_with_training_data(aws), name, ENDLESS_ROUNDS)
    names = []
    for _ in range(2):
        with pytest.raises(TaskDeferred) as deferred:
            SmallTraining(job=job, task_id="train").execute(CONTEXT)
        names.append(deferred.value.trigger.job_name)
    assert names == [name, name]
    assert len(aws.client("sagemaker").list_training_jobs(NameContains=name)["TrainingJobSummaries"]) == 1
    aws.client("sagemaker").stop_training_job(TrainingJobName=name)


def test_killing_the_worker_stops_the_job(aws: Aws) -> None:
    name = unique("worker")
    operator, _ = start(aws, name, ENDLESS_ROUNDS)
    operator.on_kill()
    wait_for(lambda: status(aws, name) == "Stopped", "the job to stop")


def test_killing_the_worker_stops_a_later_attempt_too(aws: Aws) -> None:
    name = unique("attempt")
    operator, _ = start(aws, name, ENDLESS_ROUNDS)
    operator.on_kill()
    wait_for(lambda: status(aws, name) == "Stopped", "the first attempt to stop")
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(CONTEXT)
    assert deferred.value.trigger.job_name == f"{name}-r2"
    operator.on_kill()
    wait_for(lambda: status(aws, f"{name}-r2") == "Stopped", "the second attempt to stop")


def test_a_prediction_is_stopped_after_the_time_that_the_model_spec_allows() -> None:
    request = request_for("event-counts")
    operator = PredictWithChampionOperator(task_id="predict", request=request, dataset={}, champion=None)
    limit_s = load_model_spec("event-counts").transform.max_runtime_s
    assert operator.longest_run_s({}, {}) == limit_s > 0


def test_the_result_of_a_completed_job_is_returned(aws: Aws) -> None:
    name = unique("result")
    operator, _ = start(aws, name)
    wait_for(lambda: status(aws, name) == "Completed", "the job to end")
    assert operator.resume(CONTEXT, {"job_name": name, "status": "Completed"}) == {"job_name": name}


def test_a_stopped_job_fails_the_task_for_good(aws: Aws) -> None:
    name = unique("stopped")
    operator, _ = start(aws, name, ENDLESS_ROUNDS)
    aws.client("sagemaker").stop_training_job(TrainingJobName=name)
    wait_for(lambda: status(aws, name) == "Stopped", "the job to stop")
    with pytest.raises(AirflowFailException, match="ended as Stopped"):
        operator.resume(CONTEXT, {"job_name": name, "status": "Stopped"})


def test_a_job_past_its_deadline_fails_the_task(aws: Aws) -> None:
    name = unique("late")
    operator, _ = start(aws, name)
    with pytest.raises(AirflowFailException, match="ran past its deadline"):
        operator.resume(CONTEXT, {"job_name": name, "status": "TimedOut"})


def test_a_missing_setting_is_told_before_anything_is_paid_for(
    aws: Aws, vigil_environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__VIGIL__BUCKET")
    name = unique("unset")
    job = training_request(vigil_environment.bucket, name)
    with pytest.raises(Exception, match="AIRFLOW__VIGIL__BUCKET is not set"):
        SmallTraining(job=job, task_id="train").execute(CONTEXT)
    assert describe(aws.client("sagemaker"), TRAINING, name) is None


def test_a_misspelt_setting_is_told_with_the_nearest_known_one(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__VIGIL__ALOWED_LATENESS_S", "5")
    job = training_request("none", unique("misspelt"))
    with pytest.raises(Exception, match="ALOWED_LATENESS_S is unknown: did you mean allowed_lateness_s"):
        SmallTraining(job=job, task_id="train").execute(CONTEXT)
