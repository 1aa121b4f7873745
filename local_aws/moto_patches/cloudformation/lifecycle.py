"""How a stack's calls begin and end: capabilities, no-op updates, roll backs, deletes that fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.cloudformation import models
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import ChangeSet, CloudFormationBackend, Stack
from moto.cloudformation.responses import CloudFormationResponse

from local_aws.clients import Clients
from local_aws.moto_patches.cloudformation.stacks import KINDS, LiveResources
from local_aws.moto_patches.cloudformation.template import check_capabilities, check_parameters, check_types

log = logging.getLogger(__name__)
_make_resource_map = Stack._create_resource_map
_resolve_parameters = CloudFormationBackend._resolve_update_parameters


def apply(clients: Clients) -> None:
    """Let stacks live by our rules."""
    LiveResources.clients = clients
    patches: list[tuple[Any, str, Callable[..., Any]]] = [
        (models, "ResourceMap", LiveResources),
        (Stack, "_create_resource_map", _create_resource_map),
        (Stack, "create_resources", _create_resources),
        (Stack, "update", _update),
        (ChangeSet, "apply", _apply_change_set),
        (CloudFormationBackend, "delete_stack", _delete_stack),
        (CloudFormationBackend, "update_stack", _update_stack),
        (CloudFormationBackend, "execute_change_set", _execute_change_set),
    ]
    for owner, name, function in patches:
        setattr(owner, name, function)
    for name in ("create_stack", "update_stack", "create_change_set"):
        setattr(CloudFormationResponse, name, _with_capabilities(getattr(CloudFormationResponse, name)))


def _create_resource_map(stack: Stack) -> Any:
    resources: Any = _make_resource_map(stack)
    resources.record_events_in(stack.events)
    return resources


def _create_resources(stack: Stack) -> None:
    stack.status = "CREATE_IN_PROGRESS"
    try:
        stack.resource_map.create(stack.template_dict)
        stack.outputs  # noqa: B018 - outputs that cannot be resolved fail the stack
    except Exception as error:
        log.warning("Stack %s could not be created", stack.name, exc_info=True)
        _roll_back_creation(stack, error)
        return
    stack.description = stack.template_dict.get("Description")
    stack.mark_creation_complete()


def _roll_back_creation(stack: Stack, error: Exception) -> None:
    _enter(stack, "ROLLBACK_IN_PROGRESS", str(error))
    stack.output_map._output_json_map = {}
    try:
        stack.resource_map.delete()
    except ValidationError as failure:
        _enter(stack, "ROLLBACK_FAILED", str(failure))
    else:
        _enter(stack, "ROLLBACK_COMPLETE")


def _update(
    stack: Stack,
    template: str,
    role_arn: str | None = None,
    parameters: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
) -> None:
    """Update a stack, or take it back to what it was."""
    before = stack.template, stack.template_dict, stack.parameters
    _enter(stack, "UPDATE_IN_PROGRESS", "User Initiated")
    try:
        stack.template = template
        stack._parse_template()
        stack.resource_map.update(stack.template_dict, parameters)
        stack.output_map = stack._create_output_map()
        stack.outputs  # noqa: B018 - outputs that cannot be resolved fail the update
    except Exception as error:
        log.warning("Stack %s could not be updated", stack.name, exc_info=True)
        _roll_back_update(stack, before, error)
        return
    stack.parameters = parameters if parameters is not None else stack.parameters
    stack.role_arn = role_arn or stack.role_arn
    stack.tags = tags if tags is not None else stack.tags
    _enter(stack, "UPDATE_COMPLETE")


def _roll_back_update(stack: Stack, before: tuple[Any, Any, Any], error: Exception) -> None:
    _enter(stack, "UPDATE_ROLLBACK_IN_PROGRESS", str(error))
    stack.template, stack.template_dict, stack.parameters = before
    try:
        stack.resource_map.update(stack.template_dict, stack.parameters)
    except Exception as failure:
        log.warning("Stack %s could not be rolled back", stack.name, exc_info=True)
        _enter(stack, "UPDATE_ROLLBACK_FAILED", str(failure))
    else:
        stack.output_map = stack._create_output_map()
        _enter(stack, "UPDATE_ROLLBACK_COMPLETE")


def _update_stack(
    backend: CloudFormationBackend,
    name: str,
    template: str,
    role_arn: str | None,
    parameters: list[dict[str, Any]],
    tags: dict[str, str] | None,
) -> Stack:
    """Update a stack, unless nothing about it would change."""
    stack = backend.get_stack(name)
    if stack.status.endswith("_FAILED") or stack.status == "ROLLBACK_COMPLETE":
        raise ValidationError(
            message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
        )
    wanted = _resolve_parameters(backend, stack, parameters)
    if stack.has_template(template) and wanted == stack.parameters and tags in (None, stack.tags):
        raise ValidationError(message="No updates are to be performed.")
    check_types(Stack.parse_template(template), KINDS)
    check_parameters(Stack.parse_template(template), wanted)
    stack.update(template, role_arn, parameters=wanted, tags=tags)
    return stack


def _delete_stack(backend: CloudFormationBackend, name_or_stack_id: str) -> None:
    """Delete a stack; one whose resources cannot all be deleted stays, and says so."""
    found = [stack for stack in backend.stacks.values() if name_or_stack_id in (stack.stack_id, stack.name)]
    for stack in found:
        _enter(stack, "DELETE_IN_PROGRESS", "User Initiated")
        exports = [export.name for export in stack.exports]
        try:
            stack.resource_map.delete()
        except ValidationError as failure:
            _enter(stack, "DELETE_FAILED", failure.message)
            continue
        _enter(stack, "DELETE_COMPLETE")
        backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)
        for export in exports:
            backend.exports.pop(export, None)


def _apply_change_set(change_set: ChangeSet) -> None:
    change_set.stack.update(change_set.template, parameters=change_set.parameters, tags=change_set.tags)


def _execute_change_set(
    backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None
) -> None:
    """Create or update a stack as its change set says."""
    change_set: Any = backend.describe_change_set(change_set_name)
    stack = backend.stacks[change_set.stack_id]
    if change_set.change_set_type == "CREATE":
        stack.template = change_set.template
        stack._parse_template()
        stack.parameters = change_set.parameters
        stack.resource_map = stack._create_resource_map()
        stack.output_map = stack._create_output_map()
        stack.create_resources()
    else:
        change_set.apply()
    change_set.execution_status = "EXECUTE_COMPLETE"


def _enter(stack: Any, status: str, reason: str | None = None) -> None:
    stack.status = status
    stack.stack_status_reason = reason or getattr(stack, "stack_status_reason", None)
    stack._add_stack_event(status, resource_status_reason=reason)


def _with_capabilities(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(answer)
    def checked(response: Any) -> Any:
        body = response._get_param("TemplateBody")
        url = response._get_param("TemplateURL")
        if url and not body:
            body = response._get_stack_from_s3_url(url)
        if body:
            check_capabilities(Stack.parse_template(body), response._get_param("Capabilities", []))
        return answer(response)

    return checked
