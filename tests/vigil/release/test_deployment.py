from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from pymysql.connections import Connection

from tests.vigil.release.releasing import (
    AT_REST,
    BAND,
    DUE,
    HOSTING,
    Registry,
    bring_up,
    endpoint_status,
    settle,
    start,
)
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.database import in_transaction
from vigil.errors import DataError
from vigil.release.deployment import (
    Deployment,
    State,
    deployment_state,
    mark_failed,
    plan_deployment,
    promote,
)
from vigil.release.registry import register, registered_model
from vigil.release.shifting import Shifting
from vigil.released_models import champion, released_model, released_models

MOVES = ("CreateEndpoint", "UpdateEndpoint", "DeleteEndpoint")
STEPS = ("CreateModel", "CreateEndpointConfig", "DescribeEndpoint", *MOVES)


@pytest.fixture
def moves(sagemaker: Any) -> list[str]:
    """The calls that moved an endpoint."""
    made: list[str] = []
    for operation in MOVES:
        sagemaker.meta.events.register(
            f"before-call.sagemaker.{operation}", lambda model, **_: made.append(model.name)
        )
    return made


@pytest.fixture
def serving(registry: Registry, connection: Connection[Any], sagemaker: Any) -> Callable[..., Deployment]:
    """Bring a version into service and make it the champion."""

    def serve(number: int, artifact: bytes | None = None, **hosting: Any) -> Deployment:
        deployment = registry.plan(number, artifact, **hosting)
        assert bring_up(connection, sagemaker, deployment).state is State.SERVING
        promote(connection, deployment)
        return deployment

    return serve


def status_of(connection: Connection[Any], deployment: Deployment) -> str:
    version = deployment.model_version
    return in_transaction(connection, lambda c: released_model(c, deployment.model, version).status)


def test_the_same_version_on_the_same_machines_has_the_same_names(registry: Registry) -> None:
    assert registry.plan(1) == registry.plan(1)
    assert Deployment.from_json(json.loads(json.dumps(registry.plan(1).to_json()))) == registry.plan(1)
    other = registry.plan(1, InstanceType="ml.m5.xlarge")
    assert other.endpoint_config != registry.plan(1).endpoint_config
    assert other.sagemaker_model == registry.plan(1).sagemaker_model


def test_each_version_has_a_variant_of_its_own(registry: Registry) -> None:
    assert [registry.plan(number).variant for number in (1, 2)] == ["v1", "v2"]


def test_a_rejected_version_is_not_deployed(registry: Registry) -> None:
    rejected = register(
        registry.sagemaker, registry.name, registry.candidate(1), approved=False, reasons=["Too bad."]
    )
    with pytest.raises(DataError, match=r"is Rejected \(Too bad.\): only an approved version"):
        plan_deployment(rejected, model="m", endpoint="e", hosting=HOSTING, shifting=Shifting(), due_at=DUE)


def test_the_band_is_in_the_database_before_the_endpoint_can_answer(
    registry: Registry, connection: Connection[Any], sagemaker: Any
) -> None:
    deployment = registry.plan(1)
    found = []

    def look(**_: Any) -> None:
        find = lambda c: released_model(c, deployment.model, deployment.model_version)  # noqa: E731
        found.append(in_transaction(connection, find))

    sagemaker.meta.events.register("before-call.sagemaker.CreateEndpoint", look)
    assert start(connection, sagemaker, deployment).state is State.MOVING
    (released,) = found
    assert (released.status, released.variant, released.band) == ("deploying", "v1", BAND)
    assert settle(sagemaker, deployment).state is State.SERVING


def test_deploying_twice_moves_the_endpoint_once(
    serving: Callable[..., Deployment],
    connection: Connection[Any],
    sagemaker: Any,
    registry: Registry,
    moves: list[str],
) -> None:
    serving(1)
    second = registry.plan(2)
    assert start(connection, sagemaker, second).state is State.MOVING
    again = start(connection, sagemaker, second).state
    assert again in (State.BUSY, State.SERVING)
    assert settle(sagemaker, second).state is State.SERVING
    assert start(connection, sagemaker, second).state is State.SERVING
    assert moves == ["CreateEndpoint", "UpdateEndpoint"]


@pytest.mark.parametrize("moment", ["before-call", "after-call"])
@pytest.mark.parametrize("operation", STEPS)
def test_a_deployment_killed_at_any_step_is_finished_by_the_next(
    serving: Callable[..., Deployment],
    registry: Registry,
    connection: Connection[Any],
    sagemaker: Any,
    moves: list[str],
    operation: str,
    moment: str,
) -> None:
    deployment = registry.plan(1)
    if operation == "UpdateEndpoint":
        serving(1)
        deployment = registry.plan(2)
    if operation == "DeleteEndpoint":
        bring_up(connection, sagemaker, registry.plan(1, b"no model"))
        deployment = registry.plan(2)
    moves.clear()

    def kill(**_: Any) -> None:
        raise KeyboardInterrupt

    events = sagemaker.meta.events
    events.register(f"{moment}.sagemaker.{operation}", kill, unique_id="kill")
    with pytest.raises(KeyboardInterrupt):
        start(connection, sagemaker, deployment)
    events.unregister(f"{moment}.sagemaker.{operation}", unique_id="kill")
    assert bring_up(connection, sagemaker, deployment).state is State.SERVING
    # A call that was not answered may have been heard: before it there is no move to count.
    lost = int(moment == "before-call" and operation in MOVES)
    assert len(moves) - lost == (2 if operation == "DeleteEndpoint" else 1)
    promote(connection, deployment)
    assert status_of(connection, deployment) == "champion"


def test_a_failed_endpoint_is_made_anew(
    registry: Registry, connection: Connection[Any], sagemaker: Any, moves: list[str]
) -> None:
    broken = registry.plan(1, b"no model")
    start(connection, sagemaker, broken)
    failed = settle(sagemaker, broken)
    assert failed.state is State.ELSEWHERE
    assert "Failed" in failed.detail
    good = registry.plan(2)
    assert start(connection, sagemaker, good).state is State.BUSY
    assert bring_up(connection, sagemaker, good).state is State.SERVING
    assert moves == ["CreateEndpoint", "DeleteEndpoint", "CreateEndpoint"]


def test_a_broken_version_leaves_the_old_one_in_service_and_is_told_apart(
    serving: Callable[..., Deployment], registry: Registry, connection: Connection[Any], sagemaker: Any
) -> None:
    first = serving(1)
    broken = registry.plan(2, b"no model")
    start(connection, sagemaker, broken)
    after = settle(sagemaker, broken)
    assert after.state is State.ELSEWHERE
    assert first.endpoint_config in after.detail
    mark_failed(connection, sagemaker, broken, "no model in it")
    package = registered_model(sagemaker, broken.model_package_arn)
    assert (package.approval, package.reason) == ("Rejected", "Its deployment failed: no model in it")
    assert status_of(connection, broken) == "failed"
    assert status_of(connection, first) == "champion"
    with pytest.raises(DataError, match="is failed, not deploying"):
        promote(connection, broken)


def test_a_failure_killed_before_the_registry_knew_is_told_to_it_by_the_next(
    registry: Registry, connection: Connection[Any], sagemaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = registry.plan(1, b"no model")
    start(connection, sagemaker, broken)
    settle(sagemaker, broken)

    def kill(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vigil.release.deployment.decide", kill)
        with pytest.raises(KeyboardInterrupt):
            mark_failed(connection, sagemaker, broken, "no model in it")
    mark_failed(connection, sagemaker, broken, "no model in it")
    assert registered_model(sagemaker, broken.model_package_arn).approval == "Rejected"
    assert status_of(connection, broken) == "failed"


def test_a_version_that_failed_may_be_deployed_again(
    serving: Callable[..., Deployment], registry: Registry, connection: Connection[Any], sagemaker: Any
) -> None:
    serving(1)
    deployment = registry.plan(2)
    start(connection, sagemaker, deployment)
    settle(sagemaker, deployment)
    mark_failed(connection, sagemaker, deployment, "no reason")
    start(connection, sagemaker, deployment)
    promote(connection, deployment)
    assert status_of(connection, deployment) == "champion"


def test_the_champion_moves_to_other_machines_and_stays_the_champion(
    serving: Callable[..., Deployment], connection: Connection[Any]
) -> None:
    before, after = serving(1), serving(1, InstanceType="ml.m5.xlarge")
    found = in_transaction(connection, lambda c: champion(c, after.model))
    assert found is not None
    assert found.model_version == before.model_version
    assert found.endpoint_config == after.endpoint_config != before.endpoint_config


def test_a_champion_that_did_not_get_to_other_machines_is_where_it_was(
    serving: Callable[..., Deployment], registry: Registry, connection: Connection[Any], sagemaker: Any
) -> None:
    before, elsewhere = serving(1), registry.plan(1, InstanceType="ml.m5.xlarge")
    assert start(connection, sagemaker, elsewhere).state is State.MOVING
    settle(sagemaker, elsewhere)
    mark_failed(connection, sagemaker, elsewhere, "it answered wrongly")
    found = in_transaction(connection, lambda cursor: champion(cursor, before.model))
    assert found is not None
    assert (found.status, found.endpoint_config) == ("champion", before.endpoint_config)
    package = registered_model(sagemaker, before.model_package_arn)
    assert package.approval == "Approved", "its model is the one that serves"


def test_a_model_has_one_champion_though_its_endpoint_got_another_name(
    serving: Callable[..., Deployment], registry: Registry, connection: Connection[Any], sagemaker: Any
) -> None:
    first, renamed = serving(1), f"renamed-{registry.name}"
    try:
        for deployment in (
            replace(registry.plan(2), endpoint=renamed),
            replace(first, endpoint=renamed),
        ):
            bring_up(connection, sagemaker, deployment)
            promote(connection, deployment)
    finally:
        wait_for(lambda: endpoint_status(sagemaker, renamed) in AT_REST, renamed)
        sagemaker.delete_endpoint(EndpointName=renamed)
    released = in_transaction(connection, lambda cursor: released_models(cursor, registry.name))
    assert {(version.variant, version.status, version.endpoint) for version in released} == {
        ("v1", "champion", renamed),
        ("v2", "retired", renamed),
    }


def test_there_is_one_champion_and_promoting_twice_changes_nothing(
    serving: Callable[..., Deployment], connection: Connection[Any], sagemaker: Any
) -> None:
    first, second = serving(1), serving(2)
    promote(connection, second)
    assert status_of(connection, first) == "retired"
    assert status_of(connection, second) == "champion"
    mark_failed(connection, sagemaker, second, "a verification that came late")
    assert registered_model(sagemaker, second.model_package_arn).approval == "Approved"
    serves = in_transaction(connection, lambda cursor: champion(cursor, second.model))
    assert serves is not None
    assert serves.model_version == second.model_version


def test_a_version_that_was_never_deployed_is_no_champion(
    registry: Registry, connection: Connection[Any]
) -> None:
    with pytest.raises(DataError, match="is not written down, not deploying"):
        promote(connection, registry.plan(1))


def test_another_deployment_under_way_is_waited_for(
    registry: Registry, connection: Connection[Any], sagemaker: Any, moves: list[str]
) -> None:
    first, second = registry.plan(1), registry.plan(2)
    start(connection, sagemaker, first)
    assert start(connection, sagemaker, second).state is State.BUSY
    assert bring_up(connection, sagemaker, second).state is State.SERVING
    assert moves == ["CreateEndpoint", "UpdateEndpoint"]


def test_a_throttled_look_is_no_failure(registry: Registry, aws: Aws, local_aws: str) -> None:
    impatient = boto3.client("sagemaker", config=Config(retries={"total_max_attempts": 1}))
    fault = {"service": "sagemaker", "operation": "DescribeEndpoint", "error": "ThrottlingException"}
    httpx.post(f"{local_aws}/_faults", json=fault).raise_for_status()
    assert deployment_state(impatient, registry.plan(1)).state is State.BUSY
    assert deployment_state(impatient, registry.plan(1)).state is State.ELSEWHERE
