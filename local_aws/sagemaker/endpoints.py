"""Endpoint configurations and endpoints: what the control plane knows of them."""

from __future__ import annotations

import threading
import time
from typing import Any

from local_aws.sagemaker.calls import Call, operation
from local_aws.sagemaker.errors import AwsError, invalid
from local_aws.sagemaker.guardrails import read_guardrails
from local_aws.sagemaker.listing import list_records
from local_aws.sagemaker.models import get_model
from local_aws.sagemaker.rollout import Rollout, bring_up, shown
from local_aws.sagemaker.store import Record
from local_aws.sagemaker.validation import known_fields

INTERRUPTED = "The embedded AWS was stopped during the update"
_STEADY = ("InService", "Failed", "OutOfService")


@operation
def create_endpoint_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Keep an endpoint configuration whose models exist."""
    arn = call.arn("endpoint-config", request["EndpointConfigName"])
    variants = []
    for variant in request["ProductionVariants"]:
        model = get_model(call, variant["ModelName"])
        _check_variant(variant, model)
        defaults = {} if "ServerlessConfig" in variant else {"InitialInstanceCount": 1}
        variants.append(defaults | {"InitialVariantWeight": 1.0} | variant)
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise invalid("Production variant names must be unique within an endpoint configuration.")
    record = request | {
        "EndpointConfigArn": arn,
        "CreationTime": time.time(),
        "ProductionVariants": variants,
    }
    taken = invalid(f'Cannot create already existing endpoint configuration "{arn}".')
    call.add(arn, record, request.get("Tags", []), taken)
    return {"EndpointConfigArn": arn}


@operation
def describe_endpoint_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer an endpoint configuration."""
    return known_fields("DescribeEndpointConfig", _get_config(call, request["EndpointConfigName"]))


@operation
def list_endpoint_configs(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List endpoint configurations."""
    records = call.store.under(call.arn("endpoint-config"))
    return list_records("ListEndpointConfigs", records, request, name="EndpointConfigName")


@operation
def delete_endpoint_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Forget an endpoint configuration; endpoints that use it go on."""
    arn = call.arn("endpoint-config", request["EndpointConfigName"])
    call.store.remove(arn, _missing_config(arn))
    return {}


@operation
def create_endpoint(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Start an endpoint: it is Creating until its models answer.

    A DeploymentConfig says how to leave what serves before; there is nothing yet, so none of it is done.
    """
    name, config = request["EndpointName"], request["EndpointConfigName"]
    arn, now = call.arn("endpoint", name), time.time()
    plan = _plan(call, config)
    record = {
        "EndpointName": name,
        "EndpointArn": arn,
        "EndpointConfigName": config,
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "LastModifiedTime": now,
        "PendingDeploymentSummary": _pending(config, plan),
        "_plan": plan,
    }
    taken = invalid(f'Cannot create already existing endpoint "{arn}".')
    call.add(arn, record, request.get("Tags", []), taken)
    _in_background(bring_up, call, arn, plan)
    return {"EndpointArn": arn}


@operation
def update_endpoint(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Deploy another configuration: the old one serves until the new one answers."""
    arn, config = call.arn("endpoint", request["EndpointName"]), request["EndpointConfigName"]
    _check_update(request)
    plan = _plan(call, config)
    deployment_config = request.get("DeploymentConfig")
    guardrails = read_guardrails(deployment_config or {}, plan)

    def begin(record: Record) -> None:
        _check_steady(record, arn)
        if record["EndpointStatus"] == "Failed":
            raise invalid(f'Cannot update endpoint "{arn}" in status Failed.')
        record["EndpointStatus"] = "Updating"
        record["FailureReason"] = None
        record["PendingDeploymentSummary"] = _pending(config, plan)
        record["LastDeploymentConfig"] = deployment_config

    call.store.get(arn, _missing_endpoint(arn))
    call.store.rewrite(arn, begin)
    _in_background(Rollout(call, arn, config, plan, guardrails).run)
    return {"EndpointArn": arn}


@operation
def describe_endpoint(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Answer an endpoint."""
    arn = call.arn("endpoint", request["EndpointName"])
    return known_fields("DescribeEndpoint", call.store.get(arn, _missing_endpoint(arn)))


@operation
def list_endpoints(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """List endpoints."""
    records = call.store.under(call.arn("endpoint"))
    return list_records("ListEndpoints", records, request, name="EndpointName", status="EndpointStatus")


@operation
def delete_endpoint(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Take an endpoint down; calls under way finish."""
    arn = call.arn("endpoint", request["EndpointName"])
    with call.store.locked():
        _check_steady(call.store.get(arn, _missing_endpoint(arn)), arn)
        call.store.remove(arn, _missing_endpoint(arn))
    deployment = call.fleet.take_down(arn)
    if deployment:
        threading.Thread(target=deployment.drain_and_stop, daemon=True).start()
    return {}


def restart_endpoints(call: Call) -> None:
    """Start again what served when the server ended: an update that was under way is taken back."""
    for record in call.store.under(call.arn("endpoint")):
        arn, status = record["EndpointArn"], record["EndpointStatus"]
        if status == "Failed":
            continue
        if status == "Updating":
            call.store.change(arn, FailureReason=INTERRUPTED)
        if status != "Creating":
            call.store.change(arn, EndpointStatus="SystemUpdating", PendingDeploymentSummary=None)
        _in_background(bring_up, call, arn, record["_plan"])


def _in_background(action: Any, *arguments: Any) -> None:
    threading.Thread(target=action, args=arguments, daemon=True).start()


def _plan(call: Call, config_name: str) -> list[dict[str, Any]]:
    """Resolve a configuration to what must run, so that deleting it or its models changes nothing."""
    plan = []
    for variant in _get_config(call, config_name)["ProductionVariants"]:
        model = get_model(call, variant["ModelName"])
        plan.append(variant | {"_container": model["_containers"][0]})
    return plan


def _pending(config: str, plan: list[dict[str, Any]]) -> dict[str, Any]:
    return {"EndpointConfigName": config, "ProductionVariants": shown(plan), "StartTime": time.time()}


def _check_variant(variant: dict[str, Any], model: Record) -> None:
    if "ServerlessConfig" not in variant and "InstanceType" not in variant:
        raise invalid(f"InstanceType is required for production variant {variant['VariantName']}.")
    if len(model["_containers"]) > 1:
        raise invalid("The embedded AWS serves models of one container, no inference pipelines.")


def _check_update(request: dict[str, Any]) -> None:
    for field in ("RetainAllVariantProperties", "RetainDeploymentConfig"):
        if request.get(field):
            raise invalid(f"The embedded AWS has no {field}; say in the request what is wanted.")


def _check_steady(record: Record, arn: str) -> None:
    if record["EndpointStatus"] not in _STEADY:
        raise invalid(f'Cannot update in-progress endpoint "{arn}".')


def _get_config(call: Call, name: str) -> Record:
    arn = call.arn("endpoint-config", name)
    return call.store.get(arn, _missing_config(arn))


def _missing_config(arn: str) -> AwsError:
    return invalid(f'Could not find endpoint configuration "{arn}".')


def _missing_endpoint(arn: str) -> AwsError:
    return invalid(f'Could not find endpoint "{arn}".')
