"""Change sets: what a template would change, and its execution."""

from __future__ import annotations

from typing import Any

from moto.cloudformation.exceptions import CloudFormationError, ValidationError
from moto.cloudformation.models import ChangeSet, CloudFormationBackend, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudformation.utils import generate_changeset_id, generate_stack_id
from moto.core.responses import ActionResult

from local_aws.moto_patches.cloudformation.stacks import LiveResources
from local_aws.moto_patches.cloudformation.template import check_parameters

_NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)
_REVIEWED = "REVIEW_IN_PROGRESS"


class ChangeSetNotFoundError(CloudFormationError):
    """The refusal of a change set that is not there."""

    code = "ChangeSetNotFound"


class ChangeSetExistsError(CloudFormationError):
    """The refusal of a change set's name that another one of the stack has."""

    code = "AlreadyExistsException"


class InvalidChangeSetStatusError(CloudFormationError):
    """The refusal to execute a change set that cannot be."""

    code = "InvalidChangeSetStatus"


def apply() -> None:
    """Let change sets be told apart by their stack, tell what would be, and execute by our rules."""
    for name, function in (
        ("create_change_set", _create),
        ("describe_change_set", _find),
        ("delete_change_set", _delete),
        ("execute_change_set", _execute),
    ):
        setattr(CloudFormationBackend, name, function)
    for name, answer in (
        ("describe_change_set", _answer_description),
        ("delete_change_set", _answer_deletion),
        ("list_change_sets", _answer_list),
        # In the cloud a change set without changes is made, and has failed.
        ("_validate_different_update", lambda *_: None),
    ):
        setattr(CloudFormationResponse, name, answer)
    Stack.parameter_list = property(_parameters_as_given)  # type: ignore[assignment]
    # Ours are told whole already.
    CloudFormationResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER.pop("DescribeChangeSetOutput.Changes", None)


def _parameters_as_given(stack: Stack) -> list[dict[str, Any]]:
    """Tell a stack's parameters as texts, lists too."""
    return [
        {"ParameterKey": name, "ParameterValue": ",".join(value) if isinstance(value, list) else value}
        for name, value in stack.resource_map.resolved_parameters.items()
        if name not in stack.resource_map.no_echo_parameter_keys
    ]


def _create(
    backend: CloudFormationBackend,
    stack_name: str,
    change_set_name: str,
    template: str,
    parameters: dict[str, str],
    description: str,
    change_set_type: str,
    notification_arns: list[str] | None = None,
    tags: dict[str, str] | None = None,
    role_arn: str | None = None,
) -> tuple[str, str]:
    check_parameters(Stack.parse_template(template), parameters)
    stack = _stack_for(backend, stack_name, change_set_name, change_set_type)
    present = _lookup(backend, change_set_name, stack.stack_id)
    if present and present.execution_status != "EXECUTE_COMPLETE":
        raise ChangeSetExistsError(f"ChangeSet {change_set_name} already exists for stack {stack.name}")
    resources: LiveResources = stack.resource_map  # type: ignore[assignment]
    # Tags that nobody mentions stay.
    wanted_tags = tags or None
    change_set: Any = ChangeSet(
        change_set_type=change_set_type,
        change_set_id=generate_changeset_id(change_set_name, backend.region_name, backend.account_id),
        change_set_name=change_set_name,
        stack=stack,
        template=template,
        parameters=parameters,
        description=description,
        notification_arns=notification_arns,
        tags=wanted_tags,
        role_arn=role_arn,
    )
    change_set.changes = resources.plan(change_set.template_dict, parameters, wanted_tags)
    if not change_set.changes and _is_same(stack, change_set):
        change_set.status, change_set.execution_status = "FAILED", "UNAVAILABLE"
        change_set.status_reason = _NO_CHANGES
    else:
        change_set.status, change_set.execution_status = "CREATE_COMPLETE", "AVAILABLE"
    backend.change_sets[change_set.change_set_id] = change_set
    return change_set.change_set_id, stack.stack_id


def _stack_for(backend: CloudFormationBackend, name: str, change_set: str, kind: str) -> Stack:
    """Find the stack that a change set is for; one that it is to create stands empty until then."""
    present = next((stack for stack in backend.stacks.values() if stack.name == name), None)
    if kind == "UPDATE":
        if present is None:
            raise ValidationError(message=f"Stack [{name}] does not exist")
        if present.status.endswith(("_FAILED", "_IN_PROGRESS")) or present.status == "ROLLBACK_COMPLETE":
            raise ValidationError(
                message=f"Stack:{present.stack_id} is in {present.status} state and can not be updated."
            )
        return present
    if present is not None and present.status != _REVIEWED:
        raise ValidationError(
            message=f"Stack [{name}] already exists and cannot be created again with the changeSet"
            f" [{change_set}]."
        )
    return present or _empty_stack(backend, name)


def _empty_stack(backend: CloudFormationBackend, name: str) -> Stack:
    stack: Stack = Stack(  # type: ignore[abstract]
        stack_id=generate_stack_id(name, backend.region_name, backend.account_id),
        name=name,
        template={},
        parameters={},
        account_id=backend.account_id,
        region_name=backend.region_name,
    )
    backend.stacks[stack.stack_id] = stack
    stack.status = _REVIEWED
    stack._add_stack_event(_REVIEWED, resource_status_reason="User Initiated")
    return stack


def _is_same(stack: Stack, change_set: Any) -> bool:
    """Tell whether nothing is left of a template that changes no resource."""
    if stack.status == _REVIEWED:
        return False
    same_outputs = change_set.template_dict.get("Outputs") == stack.template_dict.get("Outputs")
    return same_outputs and change_set.tags in (None, stack.tags)


def _lookup(backend: CloudFormationBackend, name: str, stack_name: str | None) -> Any:
    if name in backend.change_sets:
        return backend.change_sets[name]
    if not stack_name:
        raise ValidationError(
            message="StackName must be specified if ChangeSetName is not specified as an ARN."
        )
    found = [
        one
        for one in backend.change_sets.values()
        if one.change_set_name == name and stack_name in (one.stack_name, one.stack_id)
    ]
    return found[-1] if found else None


def _find(backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None) -> Any:
    found = _lookup(backend, change_set_name, stack_name)
    if found is None:
        raise ChangeSetNotFoundError(f"ChangeSet [{change_set_name}] does not exist")
    return found


def _delete(backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None) -> None:
    found = _lookup(backend, change_set_name, stack_name)
    if found is not None:
        del backend.change_sets[found.change_set_id]


def _execute(backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None) -> None:
    """Create or update a stack as its change set says; the stack's other change sets are void then."""
    change_set = _find(backend, change_set_name, stack_name)
    if change_set.execution_status != "AVAILABLE":
        raise InvalidChangeSetStatusError(
            f"ChangeSet [{change_set.change_set_id}] cannot be executed in its current status of "
            f"[{change_set.status}]"
        )
    stack = backend.stacks[change_set.stack_id]
    for other in [one for one in backend.change_sets.values() if one.stack_id == stack.stack_id]:
        if other is not change_set:
            del backend.change_sets[other.change_set_id]
    if change_set.change_set_type == "CREATE":
        _fill(stack, change_set)
    else:
        stack.update(
            change_set.template,
            change_set.role_arn,
            parameters=change_set.parameters,
            tags=change_set.tags,
        )
    change_set.execution_status = "EXECUTE_COMPLETE"


def _fill(stack: Stack, change_set: Any) -> None:
    """Make the resources of a stack that stood empty."""
    stack.template = change_set.template
    stack._parse_template()
    stack.parameters = change_set.parameters
    stack.tags = change_set.tags or {}
    stack.role_arn = change_set.role_arn
    stack.resource_map = stack._create_resource_map()
    stack.output_map = stack._create_output_map()
    stack.create_resources()


def _answer_description(response: Any) -> ActionResult:
    found = response.cloudformation_backend.describe_change_set(
        response._get_param("ChangeSetName"), response._get_param("StackName")
    )
    return ActionResult(
        {
            "ChangeSetName": found.change_set_name,
            "ChangeSetId": found.change_set_id,
            "StackId": found.stack_id,
            "StackName": found.stack_name,
            "Description": found.description,
            "Parameters": found.parameters,
            "CreationTime": found.creation_time,
            "ExecutionStatus": found.execution_status,
            "Status": found.status,
            "StatusReason": found.status_reason,
            "Tags": [{"Key": key, "Value": value} for key, value in (found.tags or {}).items()],
            "Changes": [{"Type": "Resource", "ResourceChange": change} for change in found.changes],
        }
    )


def _answer_deletion(response: Any) -> ActionResult:
    response.cloudformation_backend.delete_change_set(
        response._get_param("ChangeSetName"), response._get_param("StackName")
    )
    return ActionResult({})


def _answer_list(response: Any) -> ActionResult:
    backend = response.cloudformation_backend
    stack = backend.get_stack(response._get_param("StackName"))
    return ActionResult(
        {"Summaries": [one for one in backend.change_sets.values() if one.stack_id == stack.stack_id]}
    )
