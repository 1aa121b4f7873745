from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from airflow.sdk._shared.module_loading import import_string

from tests.vigil.jobs_in_the_cloud import (
    ENDLESS_ROUNDS,
    bucket_with_training_data,
    training_request,
    unique,
)
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.operators.job_trigger import SageMakerJobTrigger
from vigil.sagemaker_jobs import TRAINING, describe, start_or_adopt


def trigger_for(name: str, deadline: float | None = None) -> SageMakerJobTrigger:
    return SageMakerJobTrigger(
        kind="training_job",
        job_name=name,
        aws_conn_id="aws_default",
        poll_s=0.1,
        deadline=deadline or time.time() + 60,
    )


async def first_event(trigger: SageMakerJobTrigger) -> dict[str, Any]:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("The trigger ended without an event")


def start(aws: Aws, name: str, rounds: str) -> None:
    request = training_request(bucket_with_training_data(aws), name, rounds)
    start_or_adopt(aws.client("sagemaker"), TRAINING, request)


def status(aws: Aws, name: str) -> str:
    description = describe(aws.client("sagemaker"), TRAINING, name)
    assert description is not None
    return str(description["TrainingJobStatus"])


def test_it_fires_with_the_status_of_a_completed_job(aws: Aws) -> None:
    name = unique("fires")
    start(aws, name, "5")
    assert asyncio.run(first_event(trigger_for(name))) == {"job_name": name, "status": "Completed"}


def test_a_triggerer_can_build_it_again() -> None:
    trigger = trigger_for("again", deadline=123.0)
    path, arguments = trigger.serialize()
    again = import_string(path)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()


def test_a_kill_by_a_user_stops_the_job(aws: Aws) -> None:
    name = unique("killed")
    start(aws, name, ENDLESS_ROUNDS)

    async def wait_and_be_killed() -> None:
        trigger = trigger_for(name)
        waiting = asyncio.create_task(first_event(trigger))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await trigger.on_kill()

    asyncio.run(wait_and_be_killed())
    wait_for(lambda: status(aws, name) == "Stopped", "the job to stop")


def test_a_restart_of_the_triggerer_leaves_the_job_alone(aws: Aws) -> None:
    name = unique("restarted")
    start(aws, name, ENDLESS_ROUNDS)

    async def wait_and_be_restarted() -> None:
        trigger = trigger_for(name)
        waiting = asyncio.create_task(first_event(trigger))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await trigger.cleanup()

    asyncio.run(wait_and_be_restarted())
    assert status(aws, name) == "InProgress"
    asyncio.run(trigger_for(name).on_kill())


def test_a_passed_deadline_stops_the_job_and_says_so(aws: Aws) -> None:
    name = unique("late")
    start(aws, name, ENDLESS_ROUNDS)
    event = asyncio.run(first_event(trigger_for(name, deadline=time.time() - 1)))
    assert event == {"job_name": name, "status": "TimedOut"}
    wait_for(lambda: status(aws, name) == "Stopped", "the job to stop")


def test_a_kill_after_the_end_is_harmless(aws: Aws) -> None:
    name = unique("over")
    start(aws, name, "5")
    asyncio.run(first_event(trigger_for(name)))
    asyncio.run(trigger_for(name).on_kill())
    assert status(aws, name) == "Completed"


@pytest.mark.parametrize(("error", "status"), [("ThrottlingException", 400), ("ServiceUnavailable", 503)])
def test_it_survives_what_may_pass(aws: Aws, local_aws: str, error: str, status: int) -> None:
    name = unique("patient")
    start(aws, name, "5")
    fault = {
        "service": "sagemaker",
        "operation": "DescribeTrainingJob",
        "error": error,
        "message": "Not now.",
        "status": status,
        # More than botocore itself puts up with.
        "times": 7,
    }
    httpx.post(f"{local_aws}/_faults", json=fault).raise_for_status()
    assert asyncio.run(first_event(trigger_for(name)))["status"] == "Completed"
    left = httpx.get(f"{local_aws}/_faults").json()
    assert not left, "every fault must have been met"
