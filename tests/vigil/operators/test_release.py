from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from pymysql.connections import Connection

from tests.vigil.operators.asking import DUE, request_for
from tests.vigil.release.releasing import BAND, Registry
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.operators.approval import ApproveCandidateOperator
from vigil.operators.endpoint_trigger import EndpointTrigger
from vigil.operators.leases import ConfirmReleaseLeaseSensor, TakeReleaseLeaseSensor
from vigil.operators.release import DeployModelOperator
from vigil.release.leases import LeaseLostError, take_lease
from vigil.settings import Settings
from vigil.smoke_tests import SmokeTest

MODEL = "event-counts"
ONE, TWO = "test/one", "test/two"
CONTEXT: Any = {}


@pytest.fixture
def registered(aws: Aws, vigil_environment: Settings) -> Iterator[dict[str, Any]]:
    """An approved version whose artifact is no model."""
    s3, bucket = aws.client("s3"), vigil_environment.bucket
    evaluation = {"candidate": {"metrics": {"wape": 0.3}}, "champion": None}
    kept = {
        "evaluation/evaluation.json": evaluation,
        "evaluation/band.json": BAND.to_json(),
        "smoke-test.json": SmokeTest(((1.0,),), ((1.0,),)).to_json(),
    }
    for key, content in kept.items():
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(content).encode())
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
    request = request_for(MODEL)
    return DeployModelOperator(task_id="deploy", request=request, approved=registered)


def take_lease_as(dag_run: str) -> bool:
    request = request_for(MODEL, dag_run)
    return bool(TakeReleaseLeaseSensor(task_id="lease", request=request).poke(CONTEXT).is_done)


def confirm(
    registered: dict[str, Any], champion: str | None = None, dag_run: str = ONE
) -> ConfirmReleaseLeaseSensor:
    return ConfirmReleaseLeaseSensor(
        task_id="confirm", request=request_for(MODEL, dag_run), approved=registered, champion=champion
    )


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
    assert take_lease_as(ONE)
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
    with pytest.raises(AirflowSkipException, match="is Rejected: nothing is deployed"):
        confirm({**registered, "approval": "Rejected"}).poke(CONTEXT)


def test_a_person_who_has_answered_is_not_asked_again(registered: dict[str, Any]) -> None:
    killed_before_it_returned = {**registered, "approval": "PendingManualApproval"}
    operator = ApproveCandidateOperator(
        task_id="approve", request=request_for(MODEL), registered=killed_before_it_returned, report={}
    )
    assert operator.execute(CONTEXT) == {**registered, "approval": "Approved"}


def crown(connection: Connection[Any], version: str, due_at: datetime) -> None:
    """Write down a champion that serves."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO released_models (model_version, model, endpoint, variant, model_package_arn,"
            " endpoint_config, sagemaker_model, model_data_url, training_job, band, metrics, status, due_at,"
            " created_at) VALUES (%s, %s, %s, 'v9', 'arn', 'c', 'm', 's3://b/m', 'j', 'null', '{}',"
            " 'champion', %s, %s)",
            (version, MODEL, MODEL, due_at, due_at),
        )
    connection.commit()


def test_a_candidate_that_was_compared_with_the_champion_of_now_may_go_on(
    registered: dict[str, Any], connection: Connection[Any]
) -> None:
    assert confirm(registered).poke(CONTEXT).xcom_value == registered
    crown(connection, "event-counts/9", DUE - timedelta(days=7))
    assert confirm(registered, "event-counts/9").poke(CONTEXT).xcom_value == registered


def test_a_candidate_that_another_release_has_overtaken_is_rejected(
    aws: Aws, registered: dict[str, Any], connection: Connection[Any]
) -> None:
    crown(connection, "event-counts/9", DUE - timedelta(days=7))
    with pytest.raises(AirflowSkipException, match="event-counts/9 became the champion after"):
        confirm(registered).poke(CONTEXT)
    package = aws.client("sagemaker").describe_model_package(ModelPackageName=registered["model_package_arn"])
    assert package["ModelApprovalStatus"] == "Rejected"
    assert "event-counts/9" in package["ApprovalDescription"]


def test_a_late_run_never_replaces_a_model_that_was_trained_for_a_later_moment(
    registered: dict[str, Any], connection: Connection[Any]
) -> None:
    crown(connection, "event-counts/9", DUE + timedelta(days=7))
    with pytest.raises(AirflowSkipException):
        confirm(registered, "event-counts/9").poke(CONTEXT)


def test_while_another_run_holds_the_lease_the_approved_candidate_waits(
    registered: dict[str, Any], connection: Connection[Any]
) -> None:
    take_lease(connection, MODEL, "somebody else")
    assert not confirm(registered).poke(CONTEXT).is_done


def test_of_two_releases_one_waits(registered: dict[str, Any]) -> None:
    assert take_lease_as(ONE)
    assert not take_lease_as(TWO)
    assert take_lease_as(ONE), "a retry holds what its first try took"


def test_a_lease_of_somebody_else_is_waited_for(
    registered: dict[str, Any], connection: Connection[Any]
) -> None:
    take_lease(connection, MODEL, "somebody else")
    assert not take_lease_as(ONE)


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
