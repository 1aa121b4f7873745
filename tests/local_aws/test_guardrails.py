from __future__ import annotations

import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from local_aws_support import (
    artifact,
    make_client,
    make_config,
    make_model,
    running,
    settled,
    wait_until,
)

from local_aws.sagemaker.calls import Call
from local_aws.sagemaker.endpoints import INTERRUPTED
from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.guardrails import Guardrails, read_guardrails
from local_aws.sagemaker.rollout import Rollout
from local_aws.sagemaker.store import Store

LONG_S = 3600


def policy(kind: str, wait_s: int = 0, bake_s: int = 0, **routing: Any) -> dict[str, Any]:
    traffic = {"Type": kind, "WaitIntervalInSeconds": wait_s, **routing}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": traffic,
            "TerminationWaitInSeconds": bake_s,
        }
    }


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def instances(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def fleet_of(count: int) -> list[dict[str, Any]]:
    return [{"VariantName": "new", "InstanceType": "ml.m5.large", "InitialInstanceCount": count}]


SERVERLESS = [{"VariantName": "new", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}]


@pytest.mark.parametrize(
    ("config", "count", "parts"),
    [
        ({}, 1, (1.0,)),
        (policy("ALL_AT_ONCE"), 1, (1.0,)),
        (policy("CANARY", CanarySize=percent(50)), 2, (0.5, 1.0)),
        (policy("CANARY", CanarySize=percent(10)), 2, (0.5, 1.0)),
        (policy("CANARY", CanarySize=percent(50)), 5, (0.4, 1.0)),
        (policy("CANARY", CanarySize=instances(1)), 4, (0.25, 1.0)),
        (policy("LINEAR", LinearStepSize=percent(25)), 4, (0.25, 0.5, 0.75, 1.0)),
        (policy("LINEAR", LinearStepSize=instances(2)), 5, (0.4, 0.8, 1.0)),
    ],
)
def test_the_new_fleet_takes_whole_instances_a_step(config, count, parts):
    assert read_guardrails(config, fleet_of(count)).parts == pytest.approx(parts)


@given(st.sampled_from(["CANARY", "LINEAR"]), st.integers(10, 50), st.integers(2, 40))
def test_every_part_is_larger_than_the_one_before_and_the_last_is_all(kind, size, count):
    name = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}[kind]
    parts = read_guardrails(policy(kind, **{name: percent(size)}), fleet_of(count)).parts
    assert parts[-1] == 1
    assert 0 < parts[0] <= 0.5
    assert all(before < after for before, after in itertools.pairwise(parts))
    assert len(parts) == 2 or kind == "LINEAR"


def limited(config: dict[str, Any], limit_s: int) -> dict[str, Any]:
    config["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = limit_s
    return config


@pytest.mark.parametrize(
    ("config", "plan", "reason"),
    [
        (policy("CANARY", CanarySize=percent(50)), fleet_of(1), "at least 2 instances"),
        (policy("LINEAR", LinearStepSize=percent(50)), fleet_of(1), "at least 2 instances"),
        (policy("CANARY", CanarySize=percent(50)), SERVERLESS, "not supported for serverless"),
        (policy("CANARY", CanarySize=percent(50)), fleet_of(2) * 2, "several variants"),
        (policy("CANARY", CanarySize=percent(51)), fleet_of(4), "0 to 50 percent"),
        (policy("CANARY", CanarySize=instances(2)), fleet_of(3), "0 to 50 percent"),
        (policy("LINEAR", LinearStepSize=percent(9)), fleet_of(4), "10 to 50 percent"),
        (policy("LINEAR", LinearStepSize=instances(1)), fleet_of(11), "10 to 50 percent"),
        (policy("CANARY"), fleet_of(2), "CanarySize must be given"),
        (policy("LINEAR"), fleet_of(2), "LinearStepSize must be given"),
        (policy("ALL_AT_ONCE", CanarySize=percent(5)), fleet_of(2), "CanarySize must not be given"),
        ({"RollingUpdatePolicy": {}}, fleet_of(2), "RollingUpdatePolicy"),
        (limited(policy("ALL_AT_ONCE", bake_s=600), 600), fleet_of(1), "larger than the total waiting time"),
        (
            limited(policy("LINEAR", 200, LinearStepSize=percent(25)), 600),
            fleet_of(4),
            r"waiting time of the deployment \(600 seconds\)",
        ),
    ],
)
def test_what_the_cloud_refuses_is_refused(config, plan, reason):
    with pytest.raises(AwsError, match=reason) as caught:
        read_guardrails(config, plan)
    assert caught.value.code == "ValidationException"


class Fleet:
    """Routes of a deployment that takes no time."""

    def __init__(self) -> None:
        self.routes: list[tuple[str, float]] = []

    def start(self, *_: Any) -> Any:
        return Deployment("new")

    def serving(self, _: str) -> Any:
        return Deployment("old")

    def share(self, _: str, old: Any, new: Any, part: float) -> None:
        self.routes.append((new.name, part))

    def serve(self, _: str, deployment: Any) -> None:
        self.routes.append((deployment.name, 1.0))


class Deployment:
    def __init__(self, name: str) -> None:
        self.name = name

    def drain_and_stop(self) -> None: ...


def test_an_update_that_takes_too_long_is_taken_back_before_a_call_is_moved():
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e"
    statuses: list[str] = []
    store = Store(lambda: statuses.append(store.get(arn, KeyError())["EndpointStatus"]))
    store.add(arn, {"EndpointStatus": "Updating", "EndpointConfigName": "old"}, lambda _: KeyError())
    fleet: Any = Fleet()
    call = Call("us-east-1", store, engine=None, fleet=fleet, clients=None)  # type: ignore[arg-type]
    long_ago = time.monotonic() - 601
    Rollout(call, arn, "new", [], Guardrails(limit_s=600), long_ago).run()
    assert statuses == ["Updating", "RollingBack", "InService"]
    assert fleet.routes == [("new", 0.0), ("old", 1.0)]
    record = store.get(arn, KeyError())
    assert record["EndpointConfigName"] == "old"
    assert record["FailureReason"] == "The deployment did not end within 600 seconds and was rolled back."


class Callers:
    """What clients are answered, by variant, and what went wrong."""

    def __init__(self) -> None:
        self.answers: list[tuple[float, str]] = []
        self.failures: list[Exception] = []

    @property
    def variants(self) -> list[str]:
        """Return who answered, in the order of the answers."""
        return self.since(0)

    def since(self, moment: float) -> list[str]:
        """Return who answered the calls that were begun after a moment."""
        return [variant for begun_at, variant in list(self.answers) if begun_at >= moment]

    def more(self, count: int) -> Counter[str]:
        """Wait for answers to calls that begin from now on."""
        begun_at = time.monotonic()
        wait_until(lambda: self.failures or len(self.since(begun_at)) >= count)
        assert self.failures == []
        return Counter(self.since(begun_at)[:count])


@pytest.fixture
def calling(local_aws: str) -> Callable[[str], Any]:
    @contextmanager
    def call_all_the_time(endpoint: str) -> Iterator[Callers]:
        callers, done = Callers(), threading.Event()

        def call() -> None:
            runtime = make_client(local_aws, "sagemaker-runtime")
            while not done.is_set():
                begun_at = time.monotonic()
                try:
                    answer = runtime.invoke_endpoint(
                        EndpointName=endpoint, ContentType="text/csv", Body=b"0.5,-1,0.25"
                    )
                    answer["Body"].read()
                    callers.answers.append((begun_at, answer["InvokedProductionVariant"]))
                except Exception as error:
                    callers.failures.append(error)

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            callers.more(5)
            yield callers
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert callers.failures == []

    return call_all_the_time


@pytest.fixture
def new_config(sagemaker: Any, other_model: str, name: str) -> str:
    config = f"{name}-new"
    return make_config(sagemaker, config, other_model, VariantName="new", InitialInstanceCount=4)


@pytest.fixture
def alarm(client: Any, name: str) -> Iterator[Callable[[str], None]]:
    """An alarm of the test's name, and a way to set its state."""
    cloudwatch = client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",  # it keeps the state that the test sets
    )
    yield lambda state: cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
    cloudwatch.delete_alarms(AlarmNames=[name])


def watched(config: dict[str, Any], *alarms: str) -> dict[str, Any]:
    return config | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}


def update(sagemaker: Any, endpoint: str, config: str, deployment_config: dict[str, Any]) -> None:
    sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=config, DeploymentConfig=deployment_config
    )


def ended(sagemaker: Any, endpoint: str) -> Any:
    return settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName=endpoint)


@pytest.mark.parametrize(
    "routing",
    [policy("CANARY", 1, 1, CanarySize=percent(25)), policy("LINEAR", 1, 0, LinearStepSize=percent(50))],
)
def test_calls_move_step_by_step_and_none_fails(routing, endpoint, new_config, sagemaker, calling):
    config = watched(routing, "an-alarm-that-does-not-exist")
    with calling(endpoint) as callers:
        update(sagemaker, endpoint, new_config, config)
        found = ended(sagemaker, endpoint)
        after = callers.more(30)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", new_config)
    assert "FailureReason" not in found
    assert "PendingDeploymentSummary" not in found
    assert found["LastDeploymentConfig"] == config
    assert [variant["VariantName"] for variant in found["ProductionVariants"]] == ["new"]
    assert after == {"new": 30}
    first_new = callers.variants.index("new")
    assert "AllTraffic" in callers.variants[first_new + 3 :], "the old fleet answered beside the new one"


def test_a_canary_takes_its_share_and_an_alarm_takes_it_back(
    endpoint, new_config, sagemaker, calling, alarm, name
):
    config = watched(policy("CANARY", LONG_S, CanarySize=percent(25)), name)
    with calling(endpoint) as callers:
        alarm("OK")
        update(sagemaker, endpoint, new_config, config)
        wait_until(lambda: "new" in callers.variants)
        during = callers.more(300)
        found = sagemaker.describe_endpoint(EndpointName=endpoint)
        alarm("ALARM")
        end = ended(sagemaker, endpoint)
        after = callers.more(60)
    assert 0.1 < during["new"] / 300 < 0.4
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Updating", endpoint)
    assert found["PendingDeploymentSummary"]["EndpointConfigName"] == new_config
    assert found["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantName"] == "new"
    assert (end["EndpointStatus"], end["EndpointConfigName"]) == ("InService", endpoint)
    assert f"rolled back: {name} of its alarms" in end["FailureReason"]
    assert "PendingDeploymentSummary" not in end
    assert after == {"AllTraffic": 60}


def test_an_alarm_after_the_last_step_takes_everything_back(
    endpoint, new_config, sagemaker, calling, alarm, name
):
    with calling(endpoint) as callers:
        alarm("OK")
        update(sagemaker, endpoint, new_config, watched(policy("ALL_AT_ONCE", bake_s=LONG_S), name))
        wait_until(lambda: "new" in callers.variants)
        assert callers.more(30) == {"new": 30}
        alarm("ALARM")
        assert ended(sagemaker, endpoint)["EndpointConfigName"] == endpoint
        assert callers.more(30) == {"AllTraffic": 30}


def test_an_alarm_that_rings_before_lets_no_call_through(
    endpoint, new_config, sagemaker, calling, alarm, name
):
    alarm("ALARM")
    with calling(endpoint) as callers:
        update(sagemaker, endpoint, new_config, watched(policy("ALL_AT_ONCE"), name))
        found = ended(sagemaker, endpoint)
    assert found["EndpointConfigName"] == endpoint
    assert name in found["FailureReason"]
    assert set(callers.variants) == {"AllTraffic"}


def test_what_a_failed_update_left_does_not_hinder_the_next(endpoint, new_config, sagemaker, alarm, name):
    alarm("ALARM")
    update(sagemaker, endpoint, new_config, watched(policy("ALL_AT_ONCE"), name))
    assert "FailureReason" in ended(sagemaker, endpoint)
    alarm("OK")
    update(sagemaker, endpoint, new_config, watched(policy("ALL_AT_ONCE"), name))
    found = ended(sagemaker, endpoint)
    assert "FailureReason" not in found
    assert found["EndpointConfigName"] == new_config


def test_a_refused_update_leaves_the_endpoint_alone(endpoint, sagemaker, other_model):
    one = make_config(sagemaker, f"{endpoint}-one", other_model)
    with pytest.raises(ClientError, match="at least 2 instances") as caught:
        update(sagemaker, endpoint, one, policy("CANARY", CanarySize=percent(50)))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    eleven = watched(policy("ALL_AT_ONCE"), *(f"alarm-{number}" for number in range(11)))
    with pytest.raises(ClientError, match="length less than or equal to 10"):
        update(sagemaker, endpoint, one, eleven)
    with pytest.raises(ClientError, match="less than or equal to 28800"):
        update(sagemaker, endpoint, one, limited(policy("ALL_AT_ONCE"), 28_801))
    with pytest.raises(ClientError, match="has no RetainDeploymentConfig"):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=one, RetainDeploymentConfig=True)
    found = sagemaker.describe_endpoint(EndpointName=endpoint)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", endpoint)


def test_a_broken_model_never_gets_a_call_of_its_canary(endpoint, sagemaker, broken_model, calling):
    broken = make_config(sagemaker, f"{endpoint}-b", broken_model, VariantName="new", InitialInstanceCount=2)
    with calling(endpoint) as callers:
        update(sagemaker, endpoint, broken, policy("CANARY", CanarySize=percent(50)))
        found = ended(sagemaker, endpoint)
    assert found["EndpointConfigName"] == endpoint
    assert "Failed to extract model data" in found["FailureReason"]
    assert set(callers.variants) == {"AllTraffic"}


def test_a_variant_can_be_named_while_calls_move(endpoint, new_config, sagemaker, client, alarm, name):
    update(sagemaker, endpoint, new_config, watched(policy("CANARY", LONG_S, CanarySize=percent(25)), name))
    ask = {"EndpointName": endpoint, "ContentType": "text/csv", "Body": b"0.5,-1,0.25"}
    runtime = client("sagemaker-runtime")
    wait_until(lambda: runtime.invoke_endpoint(**ask)["InvokedProductionVariant"] == "new")
    for variant in ("AllTraffic", "new"):
        answers = [runtime.invoke_endpoint(**ask, TargetVariant=variant) for _ in range(10)]
        assert {answer["InvokedProductionVariant"] for answer in answers} == {variant}
    alarm("ALARM")
    ended(sagemaker, endpoint)
    with pytest.raises(ClientError, match="Variant new not found"):
        runtime.invoke_endpoint(**ask, TargetVariant="new")


def test_a_first_creation_has_nothing_to_move(sagemaker, model, name):
    make_config(sagemaker, name, model)
    sagemaker.create_endpoint(
        EndpointName=name,
        EndpointConfigName=name,
        DeploymentConfig=policy("CANARY", LONG_S, CanarySize=percent(50)),
    )
    pending = sagemaker.describe_endpoint(EndpointName=name)["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == name
    found = ended(sagemaker, name)
    assert found["EndpointStatus"] == "InService"
    assert "PendingDeploymentSummary" not in found
    sagemaker.delete_endpoint(EndpointName=name)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ends_during_a_canary_comes_back_with_the_old_model(
    number, tmp_path: Path, s3, bucket, trained, other_trained
):
    with running(tmp_path / "state") as server:
        server.client("s3").create_bucket(Bucket="models")
        sagemaker, runtime = server.client("sagemaker"), server.client("sagemaker-runtime")
        for name, job in (("old", trained), ("new", other_trained)):
            key = artifact(job).removeprefix(f"s3://{bucket}/")
            content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            server.client("s3").put_object(Bucket="models", Key=f"{name}.tar.gz", Body=content)
            make_model(sagemaker, name, f"s3://models/{name}.tar.gz")
            make_config(sagemaker, name, name, VariantName=name, InitialInstanceCount=2)
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="old")
        ended(sagemaker, "e")
        update(sagemaker, "e", "new", policy("CANARY", LONG_S, CanarySize=percent(50)))
        wait_until(lambda: answered_by(runtime) == "new")
        kept = tmp_path / "state" / "sagemaker.json"
        wait_until(lambda: kept.exists() and b'"Updating"' in kept.read_bytes())
        began = time.monotonic()
        server.end(number)
        assert time.monotonic() - began < 20, "no wait is sat out"
    with running(tmp_path / "state") as server:
        assert {answered_by(server.client("sagemaker-runtime")) for _ in range(20)} == {"old"}
        found = ended(server.client("sagemaker"), "e")
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "old")
        assert found["FailureReason"] == INTERRUPTED
        assert "PendingDeploymentSummary" not in found


def answered_by(runtime: Any) -> str:
    answer = runtime.invoke_endpoint(EndpointName="e", ContentType="text/csv", Body=b"0.5,-1,0.25")
    return str(answer["InvokedProductionVariant"])
