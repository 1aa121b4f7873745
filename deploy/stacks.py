"""CloudFormation stacks: created, updated, or refused with the reason why not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from deploy.errors import DeployError
from deploy.templates import Template, stack_name

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM")
ENVIRONMENT_TAG = "vigil:environment"
_NO_UPDATES = "No updates are to be performed"
# Nothing is in it: its creation failed and was taken back.
HOLLOW = "ROLLBACK_COMPLETE"
_UNUSABLE = {
    HOLLOW: "Its creation failed and was taken back",
    "ROLLBACK_FAILED": "Its creation failed and could not be taken back",
    "CREATE_FAILED": "Its creation failed",
    "DELETE_FAILED": "It could not be deleted",
    "UPDATE_ROLLBACK_FAILED": "Its update failed and could not be taken back",
}
_STUCK = "UPDATE_ROLLBACK_FAILED"
_CLUSTER = "AWS::RDS::DBCluster"
# Nothing but a change set that nobody has executed.
_EMPTY = "REVIEW_IN_PROGRESS"
_GOING_ON = "_IN_PROGRESS"
_TOO_LONG = "Max attempts exceeded"
_FAILURES = ("_FAILED", "ROLLBACK_IN_PROGRESS")
# Aurora and Amazon MWAA take half an hour and more. Credentials do not last as long as MWAA may: it lets what
# its workers run end first, for up to twelve hours.
_WAIT_LIMIT_S = 2 * 3600


def bring_about(
    cloudformation: Any,
    environment: str,
    template: Template,
    known: Mapping[str, str],
    poll_s: float = 5,
    tags: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Create or update the stack of a template, and wait for it; return its outputs by name.

    Args:
        cloudformation: client.
        environment: part of the stack's name, and its tag.
        template: what to make.
        known: values that its parameters are picked from.
        poll_s: seconds between two looks.
        tags: of the stack and what lies in it, beside the environment's.

    Raises:
        DeployError: a parameter is missing, or the stack failed; the message has each resource's reason.
    """
    name = stack_name(environment, template.name)
    request = stack_request(environment, template, known, tags)
    present = settled_stack(cloudformation, name, poll_s)
    if present and present["StackStatus"] == HOLLOW:
        delete_stack(cloudformation, name, poll_s)
        present = None
    if present is None:
        cloudformation.create_stack(**request)
        wait_for_stack(cloudformation, name, "stack_create_complete", poll_s)
    else:
        refuse_unusable(cloudformation, present)
        _update(cloudformation, request, poll_s)
    return outputs_of(cloudformation, name)


def change_stack(
    cloudformation: Any, name: str, template: Template | None, changed: Mapping[str, str], poll_s: float = 5
) -> None:
    """Give a stack another template and other values of some parameters; the others stay as they are.

    Args:
        cloudformation: client.
        name: of the stack, which must be there.
        template: None leaves the stack's own.
        changed: values by parameter.
        poll_s: seconds between two looks.

    Raises:
        DeployError: there is no such stack, or its update failed; the message has each resource's reason.
    """
    stack = settled_stack(cloudformation, name, poll_s)
    if stack is None:
        raise DeployError(f"There is no stack {name}: `make deploy` makes it.")
    refuse_unusable(cloudformation, stack)
    values = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])} | changed
    if template:
        values = template.parameters(values)
    request = {
        "StackName": name,
        **({"TemplateBody": template.body} if template else {"UsePreviousTemplate": True}),
        "Capabilities": list(CAPABILITIES),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
    }
    _update(cloudformation, request, poll_s)


def delete_stack(cloudformation: Any, name: str, poll_s: float = 5) -> None:
    """Delete a stack and wait until it is gone; one that is not there is none to delete.

    Raises:
        DeployError: a resource could not be deleted; the message has its reason.
    """
    cloudformation.delete_stack(StackName=name)
    try:
        _wait(cloudformation, name, "stack_delete_complete", poll_s)
    except WaiterError as error:
        freed = "".join(_freed(one) for one in clusters_of(cloudformation, name))
        raise DeployError(
            f"The stack {name} could not be deleted: {_reasons(cloudformation, name)}. Mend the "
            f"cause{freed}, and say it again."
        ) from error


def settled_stack(cloudformation: Any, name: str, poll_s: float = 5) -> dict[str, Any] | None:
    """Return a stack once nothing goes on in it, or None.

    What somebody began, or a deployment that was killed, is waited for, however it ends.

    Raises:
        DeployError: it goes on for too long.
    """
    deadline = time.monotonic() + _WAIT_LIMIT_S
    while stack := find_stack(cloudformation, name):
        status = stack["StackStatus"]
        if status == _EMPTY:
            delete_stack(cloudformation, name, poll_s)
        elif not status.endswith(_GOING_ON):
            break
        elif time.monotonic() > deadline:
            raise _goes_on(stack)
        else:
            time.sleep(poll_s)
    return stack


def stack_request(
    environment: str, template: Template, known: Mapping[str, str], tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what a creation, an update and a change set of a template's stack all ask for."""
    parameters = template.parameters({"Environment": environment, **known})
    return {
        "StackName": stack_name(environment, template.name),
        "TemplateBody": template.body,
        "Capabilities": list(CAPABILITIES),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Tags": tag_list(environment, tags or {}),
    }


def tag_list(environment: str, tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as most services take them, the environment's among them."""
    return [{"Key": key, "Value": value} for key, value in {**tags, ENVIRONMENT_TAG: environment}.items()]


def find_stack(cloudformation: Any, name: str) -> dict[str, Any] | None:
    """Return a stack as CloudFormation describes it, or None."""
    try:
        return dict(cloudformation.describe_stacks(StackName=name)["Stacks"][0])
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def outputs_of(cloudformation: Any, name: str) -> dict[str, str]:
    """Return the outputs of a stack by name; none if there is no such stack."""
    stack = find_stack(cloudformation, name) or {}
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def refuse_unusable(cloudformation: Any, stack: Mapping[str, Any]) -> None:
    """Refuse a stack that cannot be updated.

    Raises:
        DeployError: it is such a stack; the message says why and what to do with it.
    """
    name, status = stack["StackName"], stack["StackStatus"]
    if status in _UNUSABLE:
        raise DeployError(
            f"The stack {name} is {status}. {_UNUSABLE[status]}: {_reasons(cloudformation, name)}. Mend the "
            f"cause{_first(cloudformation, name, status)}, and deploy again."
        )


def _first(cloudformation: Any, name: str, status: str) -> str:
    """Say what must be done by hand with an unusable stack."""
    if status == HOLLOW:
        return ""
    if status == _STUCK:
        return f", let it be taken back (aws cloudformation continue-update-rollback --stack-name {name})"
    freed = "".join(_freed(one) for one in clusters_of(cloudformation, name))
    return f"{freed}, delete it (aws cloudformation delete-stack --stack-name {name})"


def _freed(cluster: str) -> str:
    return f", free its database ({free_cluster(cluster)})"


def clusters_of(cloudformation: Any, name: str) -> list[str]:
    """Return the names of the database clusters that a stack has made."""
    resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return [
        resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == _CLUSTER
        and resource["ResourceStatus"] != "DELETE_COMPLETE"
        and resource.get("PhysicalResourceId")
    ]


def free_cluster(cluster: str) -> str:
    """Return the command that takes the protection from a database, so that it can be deleted."""
    return f"aws rds modify-db-cluster --db-cluster-identifier {cluster} --no-deletion-protection"


def _update(cloudformation: Any, request: Mapping[str, Any], poll_s: float) -> None:
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if _NO_UPDATES not in str(error):
            raise
    else:
        wait_for_stack(cloudformation, request["StackName"], "stack_update_complete", poll_s)


def wait_for_stack(cloudformation: Any, name: str, waiter: str, poll_s: float = 5) -> None:
    """Wait for what a boto3 waiter waits for.

    Raises:
        DeployError: the stack ended otherwise, and the message has each resource's reason; or it goes on for
            too long.
    """
    try:
        _wait(cloudformation, name, waiter, poll_s)
    except WaiterError as error:
        stack = find_stack(cloudformation, name)
        if stack is None:
            raise DeployError(f"The stack {name} is gone: somebody deleted it meanwhile.") from error
        refuse_unusable(cloudformation, stack)
        raise DeployError(
            f"The stack {name} is {stack['StackStatus']}: {_reasons(cloudformation, name)}. What it was "
            "before goes on; mend the cause and deploy again."
        ) from error


def _wait(cloudformation: Any, name: str, waiter: str, poll_s: float) -> None:
    """Wait for what a boto3 waiter waits for; its error says that the stack ended otherwise."""
    settings = {"Delay": poll_s, "MaxAttempts": int(_WAIT_LIMIT_S / poll_s)}
    try:
        cloudformation.get_waiter(waiter).wait(StackName=name, WaiterConfig=settings)
    except WaiterError as error:
        if _TOO_LONG in str(error):
            raise _goes_on(error.last_response["Stacks"][0]) from error
        raise


def _goes_on(stack: Mapping[str, Any]) -> DeployError:
    return DeployError(
        f"The stack {stack['StackName']} is still {stack['StackStatus']} after {_WAIT_LIMIT_S / 3600:.0f} "
        "hours, and goes on by itself: say it again, which waits for its end, and then does the rest. Amazon "
        "MWAA lets what its workers run end first, for up to twelve hours."
    )


def _reasons(cloudformation: Any, name: str) -> str:
    """Tell what failed in a stack's last operation, first things first."""
    failures: list[str] = []
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=name)
    for event in (event for page in pages for event in page["StackEvents"]):
        reason = str(event.get("ResourceStatusReason", ""))
        if reason and event["ResourceStatus"].endswith(_FAILURES) and "cancelled" not in reason:
            failures.append(f"{event['LogicalResourceId']}: {reason.rstrip('.')}")
        if event["LogicalResourceId"] == name and reason == "User Initiated":
            break
    return "; ".join(reversed(failures)) or "CloudFormation gives no reason"
