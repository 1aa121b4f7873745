"""Deployment guardrails: how an update moves calls to the new fleet, and what takes them back.

Limits are those of the API reference (BlueGreenUpdatePolicy, TrafficRoutingConfig, AutoRollbackConfig).
Where it is silent the stricter reading is taken, and marked so below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.sagemaker.errors import invalid

_SIZES = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}
_SMALLEST_PERCENT = {"CANARY": 0, "LINEAR": 10}
_LARGEST_PERCENT = 50


@dataclass(frozen=True)
class Guardrails:
    """A DeploymentConfig, resolved for the fleet that it moves to.

    Attributes:
        parts: Of all calls, that the new fleet takes after each step; the last is 1.
        wait_s: Seconds between two steps.
        termination_wait_s: Seconds after the last step until the old fleet ends.
        limit_s: Seconds after which an update that has not ended is taken back; None for no limit.
        alarms: Names of the alarms that take it back.
    """

    parts: tuple[float, ...] = (1.0,)
    wait_s: int = 0
    termination_wait_s: int = 0
    limit_s: int | None = None
    alarms: tuple[str, ...] = ()


def read_guardrails(config: Mapping[str, Any], plan: list[dict[str, Any]]) -> Guardrails:
    """Read the DeploymentConfig of an update; an empty one moves everything at once.

    Args:
        config: As in the request; its types and ranges are checked already.
        plan: The variants of the new fleet.

    Raises:
        AwsError: The cloud would refuse it.
    """
    if "RollingUpdatePolicy" in config:
        raise invalid("The embedded AWS has no RollingUpdatePolicy; give a BlueGreenUpdatePolicy.")
    alarms = tuple(
        alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    )
    policy = config.get("BlueGreenUpdatePolicy")
    if policy is None:
        return Guardrails(alarms=alarms)
    routing = policy["TrafficRoutingConfiguration"]
    guardrails = Guardrails(
        parts=_parts(routing, plan),
        wait_s=routing["WaitIntervalInSeconds"],
        termination_wait_s=policy.get("TerminationWaitInSeconds", 0),
        limit_s=policy.get("MaximumExecutionTimeoutInSeconds"),
        alarms=alarms,
    )
    _check_limit(guardrails)
    return guardrails


def _parts(routing: Mapping[str, Any], plan: list[dict[str, Any]]) -> tuple[float, ...]:
    kind = routing["Type"]
    wanted = _SIZES.get(kind)
    for name in _SIZES.values():
        # That a size of the other kind is refused is inferred: the reference gives each to one kind.
        if (name in routing) != (name == wanted):
            raise invalid(
                f"{name} must {'' if name == wanted else 'not '}be given for {kind} traffic routing."
            )
    if wanted is None:
        return (1.0,)
    count = _instances(kind, plan)
    step = _step(wanted, routing[wanted], _SMALLEST_PERCENT[kind], count)
    if kind == "CANARY":
        return (step / count, 1.0)
    return (*(taken / count for taken in range(step, count, step)), 1.0)


def _instances(kind: str, plan: list[dict[str, Any]]) -> int:
    if any("ServerlessConfig" in variant for variant in plan):
        raise invalid(f"{kind} traffic routing is not supported for serverless endpoints.")
    if len(plan) > 1:  # inferred: sizes are said of "the variant"
        raise invalid(f"{kind} traffic routing is not supported for endpoints of several variants.")
    count: int = plan[0]["InitialInstanceCount"]
    if count == 1:  # follows from 50 percent of the instances as the largest step
        raise invalid(f"{kind} traffic routing needs a production variant of at least 2 instances; it has 1.")
    return count


def _step(name: str, size: Mapping[str, Any], smallest_percent: int, count: int) -> int:
    """Give a size in instances; that a percentage becomes whole instances, rounded down, is inferred."""
    value: int = size["Value"]
    by_count = size["Type"] == "INSTANCE_COUNT"
    percent = 100 * value / count if by_count else value
    if not smallest_percent <= percent <= _LARGEST_PERCENT:
        raise invalid(
            f"{name} must be {smallest_percent} to {_LARGEST_PERCENT} percent of the variant's {count}"
            f" instances; {value} {'instances are' if by_count else 'percent is'} not."
        )
    return value if by_count else max(1, count * value // 100)


def _check_limit(guardrails: Guardrails) -> None:
    waits_s = guardrails.wait_s * (len(guardrails.parts) - 1) + guardrails.termination_wait_s
    # Inferred: the reference says that the limit "should be larger".
    if guardrails.limit_s is not None and waits_s >= guardrails.limit_s:
        raise invalid(
            f"MaximumExecutionTimeoutInSeconds ({guardrails.limit_s}) must be larger than the total waiting"
            f" time of the deployment ({waits_s} seconds)."
        )
