"""An endpoint's way from one deployment to the next: the new one comes up, takes over, or is taken back."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from local_aws.sagemaker.calls import Call
from local_aws.sagemaker.errors import JobFailed
from local_aws.sagemaker.fleet import Deployment, FleetClosed
from local_aws.sagemaker.guardrails import Guardrails

log = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.25  # at the alarms; the cloud does not say how often it looks


def bring_up(call: Call, arn: str, plan: list[dict[str, Any]]) -> None:
    """Start an endpoint's first deployment, or the one it had before a restart."""
    deployment = _start(call, arn, plan, otherwise="Failed")
    if deployment:
        call.fleet.serve(arn, deployment)
        call.store.change(
            arn, EndpointStatus="InService", ProductionVariants=shown(plan), PendingDeploymentSummary=None
        )


@dataclass(frozen=True)
class Rollout:
    """One update of an endpoint; it runs in a thread of its own.

    Attributes:
        config: The configuration that shall serve.
        plan: What it resolves to.
        guardrails: How calls move to it, and what takes them back.
    """

    call: Call
    arn: str
    config: str
    plan: list[dict[str, Any]]
    guardrails: Guardrails
    started: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Put the new deployment in place of the one that serves; take it back if anything goes wrong.

        When the server ends meanwhile, the record stays as it is: the next start takes the update back.
        """
        new = _start(self.call, self.arn, self.plan, otherwise="InService")
        if new is None:
            return
        old = self.call.fleet.serving(self.arn)
        try:
            self._shift(old, new)
        except FleetClosed:
            return
        except JobFailed as failure:
            self._take_back(old, new, str(failure))
        except Exception as defect:
            log.exception("The update of %s met a defect of the embedded AWS", self.arn)
            self._take_back(old, new, f"InternalServerError: {defect!r}")
        else:
            self._settle(old, new)

    def _shift(self, old: Deployment, new: Deployment) -> None:
        self._look()
        for part in self.guardrails.parts:
            self.call.fleet.share(self.arn, old, new, part)
            self._bake(self.guardrails.wait_s if part < 1 else self.guardrails.termination_wait_s)

    def _bake(self, seconds: float) -> None:
        """Let time pass, and look at the alarms at least once, at its end."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            self.call.fleet.pause(min(left_s, _LOOK_EVERY_S))
            self._look()
        self._look()

    def _look(self) -> None:
        """Raise JobFailed if what was watched says that the update must be taken back."""
        limit_s = self.guardrails.limit_s
        if limit_s is not None and time.monotonic() - self.started > limit_s:
            raise JobFailed(f"The deployment did not end within {limit_s} seconds and was rolled back.")
        ringing = self._ringing_alarms()
        if ringing:
            raise JobFailed(
                f"The deployment was rolled back: {', '.join(ringing)} of its alarms went into state ALARM."
            )

    def _ringing_alarms(self) -> list[str]:
        # One that does not exist never rings: what the cloud does then is not written anywhere.
        if not self.guardrails.alarms:
            return []
        found = self.call.clients.get("cloudwatch", self.call.region).describe_alarms(
            AlarmNames=list(self.guardrails.alarms), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        return [
            alarm["AlarmName"]
            for alarm in found["MetricAlarms"] + found["CompositeAlarms"]
            if alarm["StateValue"] == "ALARM"
        ]

    def _take_back(self, old: Deployment, new: Deployment, reason: str) -> None:
        self.call.fleet.share(self.arn, old, new, 0.0)
        self.call.store.change(self.arn, EndpointStatus="RollingBack", FailureReason=reason)
        new.drain_and_stop()
        self.call.fleet.serve(self.arn, old)
        self.call.store.change(self.arn, EndpointStatus="InService", PendingDeploymentSummary=None)

    def _settle(self, old: Deployment, new: Deployment) -> None:
        old.drain_and_stop()
        self.call.fleet.serve(self.arn, new)
        self.call.store.change(
            self.arn,
            EndpointStatus="InService",
            EndpointConfigName=self.config,
            ProductionVariants=shown(self.plan),
            PendingDeploymentSummary=None,
            _plan=self.plan,
        )


def _start(call: Call, arn: str, plan: list[dict[str, Any]], otherwise: str) -> Deployment | None:
    """Start a deployment; if it does not come up, the endpoint gets a status and the reason."""
    try:
        return call.fleet.start(arn.rsplit("/", 1)[1], call.region, plan)
    except FleetClosed:
        return None  # the record stays as it is: the next start goes on from there
    except JobFailed as failure:
        reason = str(failure)
    except Exception as defect:
        log.exception("The endpoint %s met a defect of the embedded AWS", arn)
        reason = f"InternalServerError: {defect!r}"
    call.store.change(arn, EndpointStatus=otherwise, FailureReason=reason, PendingDeploymentSummary=None)
    return None


def shown(plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Describe a plan's variants as DescribeEndpoint shows them."""
    return [_shown_variant(variant) for variant in plan]


def _shown_variant(variant: dict[str, Any]) -> dict[str, Any]:
    image = variant["_container"]["Image"]
    shown = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": time.time()}],
        "CurrentWeight": variant["InitialVariantWeight"],
        "DesiredWeight": variant["InitialVariantWeight"],
    }
    if "ServerlessConfig" in variant:
        return shown | {"CurrentServerlessConfig": variant["ServerlessConfig"]}
    count = variant["InitialInstanceCount"]
    return shown | {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
