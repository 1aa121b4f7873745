"""EC2 instances as the cloud has them: they run their script, take their time, honour their template.

Moto takes what an instance is made of, and does nothing with its user data; of a launch template it reads a
part; it deletes no volume unless told to, and knows neither pending nor shutting-down.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceTypeError, InvalidKeyPairNameError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses.general import General
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.monitoring import Monitoring
from moto.ec2.utils import convert_tag_spec, parse_user_data

from local_aws.ec2.instances import Instances, console_of, script_in
from local_aws.ec2.machine import NoNamespacesError

_run = InstanceBackend.run_instances
_answer_run = InstanceResponse.run_instances
_parse_mapping = InstanceResponse._parse_block_device_mapping
_release_terminated = Instance.terminate
_release_stopped = Instance.stop
_release_started = Instance.start


def apply(instances: Instances) -> None:
    """Let instances live by our rules, and end those that a former server left."""
    patches: list[tuple[Any, str, Callable[..., Any]]] = [
        (InstanceBackend, "run_instances", _run_instances(instances)),
        (InstanceResponse, "run_instances", _answer_run_instances),
        (InstanceResponse, "_parse_block_device_mapping", _parse_block_device_mapping),
        (InstanceResponse, "terminate_instances", _answer_terminate),
        (InstanceResponse, "stop_instances", _answer_stop),
        (
            InstanceResponse,
            "_attribute_value_handler",
            _set_dotted(InstanceResponse._attribute_value_handler),
        ),
        (Instance, "release_terminated", _release_terminated),
        (Instance, "release_stopped", _release_stopped),
        (Instance, "terminate", _terminate(instances)),
        (Instance, "stop", _stop(instances)),
        (Instance, "start", _start(instances)),
        (Instance, "reboot", _reboot(instances)),
        (General, "get_console_output", _get_console_output),
        (Monitoring, "monitor_instances", _set_monitoring("enabled")),
        (Monitoring, "unmonitor_instances", _set_monitoring("disabled")),
    ]
    for owner, name, function in patches:
        setattr(owner, name, function)
    instances.settle(list(_all_instances()))


def _all_instances() -> Iterator[Any]:
    for account in list(ec2_backends.values()):
        for backend in list(account.values()):
            yield from backend.all_instances()


def _run_instances(instances: Instances) -> Callable[..., Any]:
    def run_instances(
        backend: Any,
        image_id: str,
        count: int,
        user_data: Base64EncodedString | None,
        security_group_names: list[str],
        **kwargs: Any,
    ) -> Any:
        """Make instances of what the request and the launch template say, and boot them."""
        template = _template(backend, kwargs)
        image = image_id or template.get("ImageId", "")
        user_data = user_data or parse_user_data(_text(template.get("UserData")))
        _fill_in(kwargs, template)
        _check(backend, image, kwargs)
        if script_in(user_data) is not None:
            try:
                instances.check()
            except NoNamespacesError as error:
                raise EC2ClientError("UnsupportedOperation", str(error)) from error
        reservation = _run(backend, image, count, user_data, security_group_names, **kwargs)
        for instance in reservation.instances:
            instance.disable_api_termination = template.get("DisableApiTermination", False)
            _delete_interfaces_with(instance, kwargs.get("nics", []))
            profile = template.get("IamInstanceProfile", {})
            if profile and not (
                kwargs.get("iam_instance_profile_name") or kwargs.get("iam_instance_profile_arn")
            ):
                backend.associate_iam_instance_profile(
                    instance_id=instance.id,
                    iam_instance_profile_name=profile.get("Name"),
                    iam_instance_profile_arn=profile.get("Arn"),
                )
            instances.begin(instance)
        return reservation

    return run_instances


def _template(backend: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    wanted = kwargs.get("launch_template")
    return copy.deepcopy(backend._get_template_from_args(wanted).data) if wanted else {}


def _text(user_data: Any) -> str | None:
    """Read a template's user data, which moto keeps as text or as an object, as it came."""
    return None if user_data is None else str(user_data)


def _fill_in(kwargs: dict[str, Any], template: dict[str, Any]) -> None:
    """Take from the launch template what the request does not say itself."""
    if kwargs.get("is_instance_type_default") and template.get("InstanceType"):
        kwargs |= {"instance_type": template["InstanceType"], "is_instance_type_default": False}
    for name, value in (
        ("key_name", template.get("KeyName")),
        ("nics", template.get("NetworkInterfaces")),
        ("security_group_ids", template.get("SecurityGroupIds")),
        ("ebs_optimized", template.get("EbsOptimized")),
        ("disable_api_stop", template.get("DisableApiStop")),
        ("placement", template.get("Placement", {}).get("AvailabilityZone")),
        ("instance_market_options", template.get("InstanceMarketOptions", {}).get("MarketType")),
        ("instance_initiated_shutdown_behavior", template.get("InstanceInitiatedShutdownBehavior")),
        ("metadata_options", template.get("MetadataOptions")),
        ("block_device_mappings", [_mapping(one) for one in template.get("BlockDeviceMappings", [])]),
    ):
        if value and not kwargs.get(name):
            kwargs[name] = value
    if template.get("Monitoring", {}).get("Enabled"):
        kwargs["monitoring_state"] = "enabled"
    for number, interface in enumerate(kwargs.get("nics", [])):
        interface.setdefault("DeviceIndex", number)
    given, own = kwargs.get("tags") or {}, convert_tag_spec(template.get("TagSpecifications", []))
    kwargs["tags"] = {kind: own.get(kind, {}) | given.get(kind, {}) for kind in {*own, *given}}


def _mapping(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"Ebs": {"DeleteOnTermination": True} | given.get("Ebs", {})}


def _delete_interfaces_with(instance: Any, given: list[dict[str, Any]]) -> None:
    """Let the network interfaces that were made for an instance go with it, unless they are to be kept."""
    kept = [
        int(one["DeviceIndex"])
        for one in given
        if "NetworkInterfaceId" in one or one.get("DeleteOnTermination") is False
    ]
    for number, interface in instance.nics.items():
        interface.delete_on_termination = number not in kept


def _check(backend: Any, image_id: str, kwargs: dict[str, Any]) -> None:
    """Refuse what is not there."""
    if not image_id:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    backend.describe_images(ami_ids=[image_id])
    if kwargs["instance_type"] not in INSTANCE_TYPES:
        raise InvalidInstanceTypeError(kwargs["instance_type"], "InvalidParameterValue")
    if kwargs.get("key_name") and kwargs["key_name"] not in backend.key_pairs:
        raise InvalidKeyPairNameError(kwargs["key_name"])
    if kwargs.get("instance_initiated_shutdown_behavior") not in (None, "stop", "terminate"):
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ({kwargs['instance_initiated_shutdown_behavior']}) for parameter"
            " instanceInitiatedShutdownBehavior is invalid. Unknown shutdown behavior",
        )


def _answer_run_instances(response: Any) -> ActionResult:
    answer = _answer_run(response)
    reservation: Any = answer.result
    if response._get_param("DisableApiTermination") is not None:
        for instance in reservation.instances:
            instance.disable_api_termination = bool(response._get_param("DisableApiTermination"))
    return answer


def _parse_block_device_mapping(response: Any) -> list[dict[str, Any]]:
    """Delete volumes with their instance unless they are to be kept."""
    parsed: list[dict[str, Any]] = _parse_mapping(response)
    for given, mapping in zip(response._get_param("BlockDeviceMappings", []), parsed, strict=True):
        mapping["Ebs"]["DeleteOnTermination"] = given.get("Ebs", {}).get("DeleteOnTermination", True)
    return parsed


def _answer_terminate(response: Any) -> ActionResult:
    identifiers = response._get_param("InstanceIds", [])
    response.error_on_dryrun()
    changed = response.ec2_backend.terminate_instances(identifiers)
    return ActionResult({"TerminatingInstances": [_change(*one) for one in changed]})


def _answer_stop(response: Any) -> ActionResult:
    identifiers = response._get_param("InstanceIds", [])
    response.error_on_dryrun()
    changed = response.ec2_backend.stop_instances(identifiers)
    return ActionResult({"StoppingInstances": [_change(*one) for one in changed]})


def _change(instance: Any, before: Any) -> dict[str, Any]:
    return {"InstanceId": instance.id, "CurrentState": copy.copy(instance._state), "PreviousState": before}


def _terminate(instances: Instances) -> Callable[..., Any]:
    def terminate(instance: Any) -> Any:
        """Begin to end an instance for ever."""
        before = copy.copy(instance._state)
        if before.name not in ("terminated", "shutting-down"):
            instances.end(instance, "terminated")
        return before

    return terminate


def _stop(instances: Instances) -> Callable[..., Any]:
    def stop(instance: Any) -> Any:
        """Begin to stop an instance."""
        before = copy.copy(instance._state)
        if before.name in ("terminated", "shutting-down"):
            raise _incorrect_state(instance, "stopped")
        if before.name not in ("stopped", "stopping"):
            instances.end(instance, "stopped")
        return before

    return stop


def _start(instances: Instances) -> Callable[..., Any]:
    def start(instance: Any) -> Any:
        """Start a stopped instance."""
        before = copy.copy(instance._state)
        if before.name not in ("stopped", "pending", "running"):
            raise _incorrect_state(instance, "started")
        if before.name == "stopped":
            _release_started(instance)
            instances.start(instance)
        return before

    return start


def _reboot(instances: Instances) -> Callable[..., Any]:
    def reboot(instance: Any) -> None:
        """Start an instance's system again."""
        if instance.state != "running":
            raise _incorrect_state(instance, "rebooted")
        instances.reboot(instance)

    return reboot


def _incorrect_state(instance: Any, wanted: str) -> EC2ClientError:
    return EC2ClientError(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is not in a state from which it can be {wanted}.",
    )


def _get_console_output(response: Any) -> ActionResult:
    instance = response.ec2_backend.get_instance(response._get_param("InstanceId"))
    console = console_of(instance)
    text = console.read().decode(errors="replace")
    return ActionResult(
        {
            "InstanceId": instance.id,
            "Timestamp": console.changed_at,
            "Output": Base64EncodedString.from_raw_string(text),
        }
    )


def _set_dotted(handler: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Take the attributes that moto does not know as SDKs write them."""

    @wraps(handler)
    def handle(response: Any) -> bool:
        behaviour = response._get_param("InstanceInitiatedShutdownBehavior.Value")
        data = response._get_param("UserData.Value")
        if behaviour is None and data is None:
            return handler(response)
        response.error_on_dryrun()
        instance = response.ec2_backend.get_instance(response._get_param("InstanceId"))
        if behaviour is not None:
            instance.instance_initiated_shutdown_behavior = behaviour
        if data is not None:
            if instance.state != "stopped":
                raise _incorrect_state(instance, "given other user data")
            raw = data if isinstance(data, bytes) else str(data).encode()
            instance.user_data = Base64EncodedString(base64.b64encode(raw).decode())
        return True

    return handle


def _set_monitoring(state: str) -> Callable[[Any], ActionResult]:
    def answer(response: Any) -> ActionResult:
        found = response.ec2_backend.get_multi_instances_by_id(response._get_param("InstanceIds", []))
        response.error_on_dryrun()
        for instance in found:
            instance.monitoring_state = state
        told = [{"InstanceId": instance.id, "Monitoring": {"State": state}} for instance in found]
        return ActionResult({"InstanceMonitorings": told})

    return answer
