from __future__ import annotations

import uuid
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from vigil.aws import Aws
from vigil.errors import DataError
from vigil.release.shifting import Shifting, check_alarms

SAGEMAKER = botocore.session.get_session().get_service_model("sagemaker")


@pytest.mark.parametrize(
    "shifting",
    [
        Shifting(bake_s=60, alarms=("a",)),
        Shifting("canary", 25, wait_s=300, bake_s=60, alarms=("a", "b")),
        Shifting("linear", 20, wait_s=60),
    ],
)
def test_sagemaker_takes_the_configuration(shifting: Shifting) -> None:
    config = shifting.deployment_config()
    assert config is not None
    shape = SAGEMAKER.operation_model("UpdateEndpoint").input_shape.members["DeploymentConfig"]
    assert not ParamValidator().validate(config, shape).has_errors()
    policy = config["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == shifting.traffic.upper()
    assert policy["TerminationWaitInSeconds"] == shifting.bake_s
    assert policy["MaximumExecutionTimeoutInSeconds"] == shifting.longest_s


def test_without_a_wish_sagemaker_shifts_as_it_does_by_itself() -> None:
    assert Shifting().deployment_config() is None


@pytest.fixture
def alarm(aws: Aws) -> str:
    """The name of an alarm that is quiet."""
    name = f"errors-{uuid.uuid4().hex[:8]}"
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        MetricName="Invocation5XXErrors",
        Namespace="AWS/SageMaker",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",  # it keeps the state that the test sets
    )
    set_state(aws, name, "OK")
    return name


def set_state(aws: Aws, name: str, state: str) -> None:
    aws.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


def check(aws: Aws, *names: str) -> None:
    check_alarms(aws.client("cloudwatch"), Shifting(bake_s=60, alarms=names))


def test_a_quiet_alarm_may_guard_a_deployment(aws: Aws, alarm: str) -> None:
    check(aws, alarm)
    check(aws)


def test_an_alarm_that_does_not_exist_is_refused_by_name(aws: Aws, alarm: str) -> None:
    with pytest.raises(DataError, match="no alarm nowhere, which"):
        check(aws, alarm, "nowhere")


def test_an_alarm_that_has_gone_off_is_refused(aws: Aws, alarm: str) -> None:
    set_state(aws, alarm, "ALARM")
    with pytest.raises(DataError, match=f"{alarm} has gone off already"):
        check(aws, alarm)


def test_nothing_is_asked_of_cloudwatch_without_alarms() -> None:
    nothing: Any = None
    check_alarms(nothing, Shifting())
