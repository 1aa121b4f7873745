"""How a stack's calls begin and end: capabilities, no-op updates, roll backs, deletes that fail."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from moto.cloudformation import models
from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError
from moto.cloudformation.models import (
    CloudFormationBackend,
    Stack,
    cloudformation_backends,
)
from moto.cloudformation.responses import CloudFormationResponse

from local_aws.clients import Clients
from local_aws.moto_patches.cloudformation import change_sets
from local_aws.moto_patches.cloudformation.kinds import KINDS
from local_aws.moto_patches.cloudformation.stacks import LiveResources
from local_aws.moto_patches.cloudformation.template import check_capabilities, check_parameters, check_types

log = logging.getLogger(__name__)
_make_resource_map = Stack._create_resource_map
_resolve_parameters = CloudFormationBackend._resolve_update_parameters
_create_named_stack = CloudFormationBackend.create_stack
_resolve_outputs = cast("Callable[[Stack], Any]", cast("property", Stack.outputs).fget)
_on_failure: ContextVar[str] = ContextVar("on_failure", default="ROLLBACK")


class _Turns:
    """Lets one call at a time change a stack: who deletes one that is being made waits for all of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, threading.RLock] = {}

    def of(self, stack_id: str) -> threading.RLock:
        """Give a stack's lock."""
        with self._lock:
            return self._turns.setdefault(stack_id, threading.RLock())


_turns = _Turns()


class _Names:
    """Gives a name to one creation at a time: moto enters it a while after it has looked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[tuple[str, str, str]] = set()

    @contextmanager
    def taken(self, backend: CloudFormationBackend, name: str) -> Iterator[None]:
        """Hold a name, or fail as for a stack that exists."""
        key = backend.account_id, backend.region_name, name
        with self._lock:
            if key in self._taken:
                raise AlreadyExistsException(f"Stack {name} already exists")
            self._taken.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._taken.discard(key)


_names = _Names()


def apply(clients: Clients) -> None:
    """Let stacks live by our rules."""
    LiveResources.clients = clients
    patches: list[tuple[Any, str, Any]] = [
        (models, "ResourceMap", LiveResources),
        (Stack, "_create_resource_map", _create_resource_map),
        (Stack, "create_resources", _create_resources),
        (Stack, "outputs", property(_outputs)),
        (Stack, "update", _update),
        (CloudFormationBackend, "create_stack", _create_stack),
        (CloudFormationBackend, "delete_stack", _delete_stack),
        (CloudFormationBackend, "update_stack", _update_stack),
    ]
    for owner, name, function in patches:
        setattr(owner, name, function)
    change_sets.apply()
    setattr(CloudFormationResponse, "create_stack", _with_on_failure(CloudFormationResponse.create_stack))  # noqa: B010
    for name in ("create_stack", "update_stack", "create_change_set"):
        setattr(CloudFormationResponse, name, _with_capabilities(getattr(CloudFormationResponse, name)))


def _create_stack(backend: CloudFormationBackend, name: str, *args: Any, **kwargs: Any) -> Stack:
    with _names.taken(backend, name):
        return _create_named_stack(backend, name, *args, **kwargs)


def _create_resource_map(stack: Stack) -> Any:
    resources: Any = _make_resource_map(stack)
    resources.record_events_in(stack.events)
    return resources


def _outputs(stack: Stack) -> Any:
    """Give the outputs of a stack at rest."""
    return None if stack.status.endswith("_IN_PROGRESS") else _resolve_outputs(stack)


def _create_resources(stack: Stack) -> None:
    with _turns.of(stack.stack_id):
        stack.status = "CREATE_IN_PROGRESS"
        try:
            stack.resource_map.create(stack.template_dict)
            _resolve_outputs(stack)  # those that cannot be resolved fail the stack
        except Exception as error:
            log.warning("Stack %s could not be created", stack.name, exc_info=True)
            _fail_creation(stack, error)
            return
        stack.description = stack.template_dict.get("Description")
        stack.mark_creation_complete()


def _fail_creation(stack: Stack, error: Exception) -> None:
    """Do with a stack that could not be made what its maker wishes."""
    match _on_failure.get():
        case "DO_NOTHING":
            stack.output_map._output_json_map = {}
            _enter(stack, "CREATE_FAILED", str(error))
        case "DELETE":
            stack.output_map._output_json_map = {}
            _enter(stack, "CREATE_FAILED", str(error))
            _delete_stack(cloudformation_backends[stack.account_id][stack.region_name], stack.stack_id)
        case _:
            _roll_back_creation(stack, error)


def _roll_back_creation(stack: Stack, error: Exception) -> None:
    _enter(stack, "ROLLBACK_IN_PROGRESS", str(error))
    stack.output_map._output_json_map = {}
    resources: Any = stack.resource_map
    try:
        resources.delete(is_rollback=True)
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
        resources: Any = stack.resource_map
        resources.update(stack.template_dict, parameters, tags)
        stack.output_map = stack._create_output_map()
        _resolve_outputs(stack)  # those that cannot be resolved fail the update
    except Exception as error:
        log.warning("Stack %s could not be updated", stack.name, exc_info=True)
        _roll_back_update(stack, before, error)
        return
    stack.parameters = parameters if parameters is not None else stack.parameters
    stack.role_arn = role_arn or stack.role_arn
    stack.tags = tags if tags is not None else stack.tags
    _enter(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    resources.clean_up()
    _enter(stack, "UPDATE_COMPLETE")


def _roll_back_update(stack: Stack, before: tuple[Any, Any, Any], error: Exception) -> None:
    _enter(stack, "UPDATE_ROLLBACK_IN_PROGRESS", str(error))
    stack.template, stack.template_dict, stack.parameters = before
    try:
        resources: Any = stack.resource_map
        resources.take_back(stack.template_dict, stack.parameters, stack.tags)
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
    if stack.status.endswith(("_FAILED", "_IN_PROGRESS")) or stack.status == "ROLLBACK_COMPLETE":
        raise ValidationError(
            message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
        )
    wanted = _resolve_parameters(backend, stack, parameters)
    if stack.has_template(template) and wanted == stack.parameters and tags in (None, stack.tags):
        raise ValidationError(message="No updates are to be performed.")
    check_types(Stack.parse_template(template), KINDS)
    check_parameters(Stack.parse_template(template), wanted)
    with _turns.of(stack.stack_id):
        stack.update(template, role_arn, parameters=wanted, tags=tags)
    return stack


def _delete_stack(backend: CloudFormationBackend, name_or_stack_id: str) -> None:
    """Delete a stack; one whose resources cannot all be deleted stays, and says so."""
    stacks = list(backend.stacks.values())
    for stack in (one for one in stacks if name_or_stack_id in (one.stack_id, one.name)):
        with _turns.of(stack.stack_id):
            if stack.stack_id in backend.stacks:
                _delete(backend, stack)


def _delete(backend: CloudFormationBackend, stack: Stack) -> None:
    _enter(stack, "DELETE_IN_PROGRESS", "User Initiated")
    exports = [export.name for export in stack.exports]
    try:
        stack.resource_map.delete()
    except ValidationError as failure:
        _enter(stack, "DELETE_FAILED", failure.message)
        return
    _enter(stack, "DELETE_COMPLETE")
    backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)
    for export in exports:
        backend.exports.pop(export, None)


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


def _with_on_failure(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(answer)
    def create_stack(response: Any) -> Any:
        on_failure, keeps = response._get_param("OnFailure"), response._get_bool_param("DisableRollback")
        if on_failure and keeps is not None:
            raise ValidationError(message="You cannot specify both DisableRollback and OnFailure")
        token = _on_failure.set(on_failure or ("DO_NOTHING" if keeps else "ROLLBACK"))
        try:
            return answer(response)
        finally:
            _on_failure.reset(token)

    return create_stack
