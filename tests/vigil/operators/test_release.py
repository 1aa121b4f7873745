from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from pymysql.connections import Connection

from tests.vigil.release.releasing import BAND, Registry
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.operators.release import DeployModelOperator, EndpointTrigger, TakeReleaseLeaseSensor
from vigil.release.leases import LeaseLostError, take_lease
from vigil.settings import Settings

MODEL = "event-counts"
CONTEXT: Any = {"run_id": "one", "dag_run": SimpleNamespace(run_after=datetime(2026, 1, 5, tzinfo=UTC))}
OTHER_CONTEXT: Any = {**CONTEXT, "run_id": "two"}


@pytest.fixture
def registered(aws: Aws, vigil_environment: Settings) -> Iterator[dict[str, Any]]:
    """An approved version whose artifact is no model."""
    s3, bucket = aws.client("s3"), vigil_environment.bucket
    evaluation = {"candidate": {"metrics": {"wape": 0.3}}, "champion": None}
    for key, content in (("evaluation.json", evaluation), ("band.json", BAND.to_json())):
        s3.put_object(Bucket=bucket, Key=f"evaluation/{key}", Body=json.dumps(content).encode())
    registry = Registry(s3, aws.client("sagemaker"), bucket, b"no archive at all")
    package = registry.approve(1)
    yield {
        "model_version": package.model_version,
        "model_package_arn": package.model_package_arn,
        "approval": package.approval,
    }
    endpoints = aws.client("sagemaker").list_endpoints(NameContains=MODEL)["Endpoints"]
    for endpoint in endpoints:
        aws.client("sagemaker").delete_endpoint(EndpointName=endpoint["EndpointName"])
    wait_for(
        lambda: not aws.client("sagemaker").list_endpoints(NameContains=MODEL)["Endpoints"], "endpoints to go"
    )


def deploy(registered: dict[str, Any]) -> DeployModelOperator:
    return DeployModelOperator(task_id="deploy", model=MODEL, registered=registered)


def take_lease_as(context: Any) -> bool:
    return bool(TakeReleaseLeaseSensor(task_id="lease", model=MODEL).poke(context).is_done)


async def first_event(trigger: Any) -> dict[str, Any]:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("The trigger ended without an event")


def status_of(connection: Connection[Any], version: str) -> str | None:
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("SELECT status FROM released_models WHERE model_version = %s", (version,))
        row = cursor.fetchone()
    return row[0] if row else None


def test_a_version_that_does_not_come_up_fails_the_task_and_is_marked(
    registered: dict[str, Any], connection: Connection[Any]
) -> None:
    assert take_lease_as(CONTEXT)
    operator = deploy(registered)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(CONTEXT)
    event = asyncio.run(first_event(deferred.value.trigger))
    assert (event["timed_out"], event["moved"]) == (False, True)
    with pytest.raises(AirflowFailException, match="was not taken into service"):
        operator.resume(CONTEXT, event)
    assert status_of(connection, registered["model_version"]) == "failed"


def test_without_the_lease_nothing_is_touched(
    aws: Aws, registered: dict[str, Any], connection: Connection[Any]
) -> None:
    with pytest.raises(LeaseLostError):
        deploy(registered).execute(CONTEXT)
    assert status_of(connection, registered["model_version"]) is None
    assert aws.client("sagemaker").list_endpoints(NameContains=MODEL)["Endpoints"] == []


def test_a_rejected_version_is_skipped(registered: dict[str, Any]) -> None:
    with pytest.raises(AirflowSkipException):
        deploy({**registered, "approval": "Rejected"}).execute(CONTEXT)


def test_of_two_releases_one_waits(registered: dict[str, Any]) -> None:
    assert take_lease_as(CONTEXT)
    assert not take_lease_as(OTHER_CONTEXT)
    assert take_lease_as(CONTEXT), "a retry holds what its first try took"


def test_a_lease_of_somebody_else_is_waited_for(
    registered: dict[str, Any], connection: Connection[Any]
) -> None:
    take_lease(connection, MODEL, "somebody else")
    assert not take_lease_as(CONTEXT)


def test_a_triggerer_can_build_the_trigger_again() -> None:
    trigger = EndpointTrigger(
        endpoint="e",
        aws_conn_id="aws_default",
        poll_s=1.0,
        deadline=time.time(),
        round_number=2,
        moved=True,
    )
    path, arguments = trigger.serialize()
    again = import_string(path)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()


def test_the_trigger_fires_at_once_when_there_is_no_endpoint(
    vigil_environment: Settings,
) -> None:
    trigger = EndpointTrigger(
        endpoint="nowhere",
        aws_conn_id="aws_default",
        poll_s=0.1,
        deadline=time.time() + 30,
        round_number=1,
        moved=False,
    )
    assert asyncio.run(first_event(trigger)) == {"timed_out": False, "round_number": 1, "moved": False}
