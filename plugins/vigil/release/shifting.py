"""How calls move from the machines of the old model to those of the new one, and what takes them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vigil.errors import DataError


@dataclass(frozen=True)
class Shifting:
    """The shifting of a model spec.

    Attributes:
        traffic: `all_at_once`; `canary`, first a part and then the rest; or `linear`, in equal steps.
        step_percent: of the machines that take calls first, or with each step.
        wait_s: between two steps.
        bake_s: after the last step, until the old machines go.
        alarms: names of CloudWatch alarms, any of which takes everything back.
        longest_s: after which everything is taken back.
    """

    traffic: Literal["all_at_once", "canary", "linear"] = "all_at_once"
    step_percent: int | None = None
    wait_s: int = 0
    bake_s: int = 0
    alarms: tuple[str, ...] = ()
    longest_s: int = 3600

    def deployment_config(self) -> dict[str, Any] | None:
        """Return the DeploymentConfig of UpdateEndpoint; None leaves it to SageMaker's own all-at-once."""
        if self.traffic == "all_at_once" and not self.bake_s:
            return None
        routing: dict[str, Any] = {
            "Type": self.traffic.upper(),
            "WaitIntervalInSeconds": self.wait_s,
        }
        step = {"Type": "CAPACITY_PERCENT", "Value": self.step_percent}
        if self.traffic == "canary":
            routing["CanarySize"] = step
        if self.traffic == "linear":
            routing["LinearStepSize"] = step
        config: dict[str, Any] = {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": routing,
                "TerminationWaitInSeconds": self.bake_s,
                "MaximumExecutionTimeoutInSeconds": self.longest_s,
            }
        }
        if self.alarms:
            config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in self.alarms]}
        return config


def check_alarms(cloudwatch: Any, shifting: Shifting) -> None:
    """Refuse alarms that could not guard a deployment, before anything moves.

    Args:
        cloudwatch: client.
        shifting: that names them.

    Raises:
        DataError: an alarm does not exist, or has gone off already and would take everything back at once.
    """
    if not shifting.alarms:
        return
    answer = cloudwatch.describe_alarms(
        AlarmNames=list(shifting.alarms), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    states = {
        alarm["AlarmName"]: alarm["StateValue"]
        for kind in ("MetricAlarms", "CompositeAlarms")
        for alarm in answer.get(kind, [])
    }
    missing = [name for name in shifting.alarms if name not in states]
    if missing:
        raise DataError(
            f"CloudWatch has no alarm {', '.join(missing)}, which endpoint.shifting.alarms names: create it, "
            "or take it out of the model spec. Nothing was moved."
        )
    ringing = [name for name, state in states.items() if state == "ALARM"]
    if ringing:
        raise DataError(
            f"The alarm {', '.join(ringing)} has gone off already, and would take a deployment back at once: "
            "mend its cause first, then clear the task. Nothing was moved."
        )
