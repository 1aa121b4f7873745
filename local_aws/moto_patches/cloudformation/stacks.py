"""What a stack does: create, update, roll back and delete its resources, in the order they depend on."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from moto.cloudformation import models, parsing
from moto.cloudformation.exceptions import ValidationError

from local_aws.clients import Clients
from local_aws.moto_patches.cloudformation.kinds import KINDS
from local_aws.moto_patches.cloudformation.resources import (
    Kind,
    Region,
    Resource,
    tag_map,
    without_nothing,
)
from local_aws.moto_patches.cloudformation.template import (
    check_parameters,
    check_types,
    creation_order,
    references,
    with_zones,
)

log = logging.getLogger(__name__)


class LiveResources(parsing.ResourceMap):
    """A stack's resources. Types of ours are made by their kind, the others by moto's own models."""

    clients: ClassVar[Clients]

    def load(self) -> None:
        """Check the template and read its parameters and conditions."""
        if self._template:
            check_types(self._template, KINDS)
            check_parameters(self._template, self.input_parameters)
            creation_order(self._template["Resources"])
        self._events: list[Any] = []
        self._made: dict[str, Any] = {}
        self._maker: int | None = None
        super().load()

    def record_events_in(self, events: list[Any]) -> None:
        """Name the list that takes the events of resources."""
        self._events = events

    def validate_outputs(self) -> None:
        """Leave outputs alone: what they ask for is known when the resources are there."""

    def __getitem__(self, key: str) -> Any:
        """Give a parameter or a resource; one that is not there yet is made, if the stack is being made."""
        declared = self._resource_json_map.get(key)
        if key in self._parsed_resources or declared is None:
            return super().__getitem__(key)
        # Whoever describes a stack meanwhile must not make its resources a second time.
        if self._maker != threading.get_ident() or not self._is_wanted(declared):
            return None
        try:
            made = self._create(key, declared)
        except Exception as error:
            self._record(key, declared["Type"], "", "CREATE_FAILED", _reason(error))
            raise
        self._parsed_resources[key] = made
        self._record(key, declared["Type"], _physical_id(made), "CREATE_COMPLETE")
        return made

    def create(self, template: dict[str, Any]) -> bool:
        """Make every resource, each after those it refers to."""
        self._use(template)
        with self._making():
            for name in creation_order(self._resource_json_map):
                self[name]
        return self.creation_complete()

    @contextmanager
    def _making(self) -> Iterator[None]:
        """Let this thread, and no other, make resources."""
        self._maker = threading.get_ident()
        try:
            yield
        finally:
            self._maker = None

    def build_change_set_actions(self, template: dict[str, Any]) -> dict[str, dict[str, dict[str, str]]]:
        """Tell moto's change sets nothing: `plan` does."""
        return {}

    def plan(
        self, template: dict[str, Any], parameters: dict[str, Any], tags: dict[str, str] | None
    ) -> list[dict[str, str]]:
        """Tell what an update would do to each resource, as change sets tell it; nothing is made."""
        check_types(template, KINDS)
        other = copy.copy(self)
        other._parsed_resources = dict(self._parsed_resources)
        other._use_anew(template, parameters, tags)
        changes: dict[str, dict[str, str]] = {}
        for name in creation_order(other._resource_json_map):
            change = other._planned_change(name, changes)
            if change:
                changes[name] = {"LogicalResourceId": name, **change}
        for name, declared in self._resource_json_map.items():
            if name in self._parsed_resources and name not in other._resource_json_map:
                changes[name] = {
                    "LogicalResourceId": name,
                    **_removal(declared, self._parsed_resources[name]),
                }
        return list(changes.values())

    def _planned_change(self, name: str, changes: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """Tell what would become of one resource; nothing for one that stays as it is."""
        declared = self._resource_json_map[name]
        present = self._parsed_resources.get(name)
        if present is None:
            return {"Action": "Add", "ResourceType": declared["Type"]} if self._is_wanted(declared) else {}
        if self._is_unwanted(name):
            return _removal(declared, present)
        replacement = self._replacement(name, declared, present)
        moved = [other for other, change in changes.items() if change.get("Replacement") == "True"]
        if replacement is None and references(declared, moved):
            replacement = "Conditional"
        if replacement is None:
            return {}
        return {
            "Action": "Modify",
            "ResourceType": declared["Type"],
            "PhysicalResourceId": _physical_id(present),
            "Replacement": replacement,
        }

    def _replacement(self, name: str, declared: dict[str, Any], present: Any) -> str | None:
        """Tell whether a changed resource is replaced; None for one that does not change by itself."""
        if not isinstance(present, Resource):
            return None if declared == self._made.get(name) else "Conditional"
        kind, properties = KINDS[declared["Type"]], self._resolve(declared)
        if kind.needs_replacement(properties, present.properties):
            return "True"
        is_relabelled = kind.takes_labels and self._has_new_tags
        return "False" if properties != present.properties or is_relabelled else None

    def creation_complete(self) -> bool:
        """Tell whether every resource is ready."""
        made = (self._parsed_resources.get(name) for name in self._resource_json_map)
        return all(resource is None or resource.is_created() for resource in made)

    def update(
        self,
        template: dict[str, Any],
        parameters: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Make what is new and change what differs; `clean_up` follows, or `take_back`."""
        before = self._resource_json_map
        self._changed: list[str] = []
        self._replaced: list[tuple[str, Resource]] = []
        self._use_anew(template, parameters, tags)
        self._stale = {
            name: before[name] for name in reversed(creation_order(before)) if self._is_unwanted(name)
        }
        with self._making():
            for name in creation_order(self._resource_json_map):
                if name in self._parsed_resources and name not in self._stale:
                    self._replaced += [(name, resource) for resource in self._change(name)]
                elif name not in self._stale:
                    self[name]

    def clean_up(self, *, is_rollback: bool = False) -> None:
        """Remove what an update wants no more; what cannot be removed is told, and no longer the stack's."""
        for name, resource in reversed(self._replaced):
            self._try(name, resource.cf_resource_type, partial(self._remove, resource))
        for name, declared in self._stale.items():
            removal = partial(self._remove_declared, name, declared, is_rollback=is_rollback)
            self._try(name, declared["Type"], removal)
        self._replaced, self._stale = [], {}

    def take_back(
        self, template: dict[str, Any], parameters: dict[str, Any] | None, tags: dict[str, str] | None
    ) -> None:
        """Undo what an update has changed, and touch nothing else."""
        failed = self._resource_json_map
        made_instead = []
        for name, resource in self._replaced:
            made_instead.append((name, self._parsed_resources[name]))
            self._parsed_resources[name] = resource
        self._use_anew(template, parameters, tags)
        with self._making():
            for name in creation_order(self._resource_json_map):
                if name in self._changed:
                    self._change(name)
        self._replaced = made_instead
        self._stale = {
            name: failed[name] for name in reversed(creation_order(failed)) if self._is_unwanted(name)
        }
        self.clean_up(is_rollback=True)

    def _use_anew(
        self, template: dict[str, Any], parameters: dict[str, Any] | None, tags: dict[str, str] | None
    ) -> None:
        """Go by another template, other parameters and tags from now on."""
        self._has_new_tags = tags is not None and tags != self.tags
        if tags is not None:
            self.tags = dict(tags)
        if parameters is not None:
            self.input_parameters = parameters
        self._use(template)
        for name in self._template.get("Parameters", {}):
            self._parsed_resources.pop(name, None)
        self.resolved_parameters = {}
        super().load()

    def _try(self, name: str, type_name: str, removal: Callable[[], None]) -> None:
        try:
            removal()
        except Exception as error:
            log.warning("%s could not be removed", name, exc_info=True)
            self._record(name, type_name, "", "DELETE_FAILED", _reason(error))
            if name in self._stale:
                self._parsed_resources.pop(name, None)

    def delete(self, *, is_rollback: bool = False) -> None:
        """Remove every resource that is not to be retained, dependents first."""
        failures = []
        for name in reversed(creation_order(self._resource_json_map)):
            try:
                self._remove_declared(name, self._resource_json_map[name], is_rollback=is_rollback)
            except Exception as error:
                self._record(name, self._resource_json_map[name]["Type"], "", "DELETE_FAILED", _reason(error))
                failures.append(name)
        if failures:
            raise ValidationError(
                message=f"The following resource(s) failed to delete: [{', '.join(failures)}]."
            )

    def values(self) -> Any:
        """List the resources that were made."""
        made = (self._parsed_resources.get(name) for name in self._resource_json_map)
        return [resource for resource in made if resource is not None]

    def _use(self, template: dict[str, Any]) -> None:
        self._template = template
        self._resource_json_map = template["Resources"]

    def _is_wanted(self, declared: Mapping[str, Any]) -> bool:
        condition = declared.get("Condition")
        return not condition or bool(self.lazy_condition_map[condition])

    def _is_unwanted(self, name: str) -> bool:
        declared = self._resource_json_map.get(name)
        return name in self._parsed_resources and (declared is None or not self._is_wanted(declared))

    def _create(self, name: str, declared: dict[str, Any]) -> Any:
        kind = KINDS.get(declared["Type"])
        if kind is None:
            self._made[name] = copy.deepcopy(declared)
            return parsing.parse_and_create_resource(
                name, declared, self, account_id=self._account_id, region_name=self._region_name
            )
        properties = self._resolve(declared)
        return self._make(kind, name, properties)

    def _make(self, kind: Kind, name: str, properties: dict[str, Any]) -> Resource:
        stack_name = self._parsed_resources["AWS::StackName"]
        physical_name = properties.get(kind.name_property) or parsing.generate_resource_name(
            kind.type, stack_name, name
        )
        region = self._region_of(name)
        physical_id = kind.create(region, physical_name, properties)
        made = Resource(name, kind.type, physical_id, properties)
        try:
            kind.apply(region, physical_id, properties, {})
            made.attributes = kind.attributes_of(self._region, physical_id, properties)
        except Exception:
            try:
                self._remove(made)
            except Exception as failure:
                self._record(name, kind.type, physical_id, "DELETE_FAILED", _reason(failure))
            raise
        return made

    def _change(self, name: str) -> list[Resource]:
        """Bring a resource to what the template says now; gives the one it replaced, to be removed."""
        declared, present = self._resource_json_map[name], self._parsed_resources[name]
        try:
            return self._change_present(name, declared, present)
        except Exception as error:
            self._record(name, declared["Type"], _physical_id(present), "UPDATE_FAILED", _reason(error))
            raise

    def _change_present(self, name: str, declared: dict[str, Any], present: Any) -> list[Resource]:
        if not isinstance(present, Resource):
            self._change_of_moto(name, declared)
            return []
        kind, properties = KINDS[declared["Type"]], self._resolve(declared)
        if properties == present.properties and not (kind.takes_labels and self._has_new_tags):
            return []
        if kind.needs_replacement(properties, present.properties):
            return self._replace(kind, name, properties, present)
        self._changed.append(name)
        kind.apply(self._region_of(name), present.physical_resource_id, properties, present.properties)
        present.properties = properties
        present.attributes = kind.attributes_of(self._region, present.physical_resource_id, properties)
        self._record(name, kind.type, present.physical_resource_id, "UPDATE_COMPLETE")
        return []

    def _replace(
        self, kind: Kind, name: str, properties: dict[str, Any], present: Resource
    ) -> list[Resource]:
        own_name = properties.get(kind.name_property)
        if own_name and own_name == present.properties.get(kind.name_property):
            raise ValidationError(
                message="CloudFormation cannot update a stack when a custom-named resource requires"
                f" replacing. Rename {own_name} and update the stack again."
            )
        made = self._make(kind, name, properties)
        self._parsed_resources[name] = made
        self._record(name, kind.type, made.physical_resource_id, "UPDATE_COMPLETE")
        retained = self._resource_json_map[name].get("UpdateReplacePolicy") == "Retain"
        return [] if retained else [present]

    def _change_of_moto(self, name: str, declared: dict[str, Any]) -> None:
        if declared == self._made.get(name):
            return
        self._changed.append(name)
        changed = parsing.parse_and_update_resource(
            name, declared, self, account_id=self._account_id, region_name=self._region_name
        )
        if changed is None:
            raise ValidationError(message=f"The embedded AWS cannot update {declared['Type']}")
        self._made[name] = copy.deepcopy(declared)
        self._parsed_resources[name] = changed

    def _remove_declared(self, name: str, declared: Mapping[str, Any], *, is_rollback: bool = False) -> None:
        present = self._parsed_resources.get(name)
        # What was made a moment ago, and is taken back, holds nothing yet.
        retaining = ("Retain",) if is_rollback else ("Retain", "RetainExceptOnCreate")
        if present is not None and declared.get("DeletionPolicy") not in retaining:
            if isinstance(present, Resource):
                self._remove(present)
            else:
                self._delete_resource(present, dict(declared))
            self._record(name, declared["Type"], _physical_id(present), "DELETE_COMPLETE")
        self._parsed_resources.pop(name, None)

    def _remove(self, resource: Resource) -> None:
        kind = KINDS[resource.cf_resource_type]
        kind.delete(self._region, resource.physical_resource_id, resource.properties)

    def _resolve(self, declared: Mapping[str, Any]) -> dict[str, Any]:
        given = with_zones(dict(declared.get("Properties", {})), self._region_name)
        resolved: dict[str, Any] = without_nothing(parsing.clean_json(given, self))
        kind = KINDS[declared["Type"]]
        kind.refuse_unknown(resolved)
        if kind.inherits_tags and self.tags:
            tags = {**self.tags, **tag_map(resolved)}
            resolved["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return resolved

    def load_parameters(self) -> None:
        """Read the parameters; moto leaves the default of a list in one piece."""
        super().load_parameters()
        for name, declared in self._template.get("Parameters", {}).items():
            value = self.resolved_parameters[name]
            if declared["Type"] == "CommaDelimitedList" and isinstance(value, str):
                self.resolved_parameters[name] = value.split(",")
        self._parsed_resources.update(self.resolved_parameters)

    @property
    def _region(self) -> Region:
        return Region(self.clients, self._region_name)

    def _region_of(self, name: str) -> Region:
        stack = self._parsed_resources
        marks = {
            "aws:cloudformation:stack-name": stack["AWS::StackName"],
            "aws:cloudformation:stack-id": stack["AWS::StackId"],
            "aws:cloudformation:logical-id": name,
        }
        return replace(self._region, labels={**(self.tags or {}), **marks})

    def _record(
        self, name: str, type_name: str, physical_id: str, status: str, reason: str | None = None
    ) -> None:
        stack_name = self._parsed_resources["AWS::StackName"]
        event = models.Event(self.stack_id, stack_name, name, physical_id, type_name, status, reason, None)
        self._events.append(event)


def _removal(declared: Mapping[str, Any], present: Any) -> dict[str, str]:
    return {
        "Action": "Remove",
        "ResourceType": declared["Type"],
        "PhysicalResourceId": _physical_id(present),
    }


def _physical_id(resource: Any) -> str:
    return str(getattr(resource, "physical_resource_id", ""))


def _reason(error: Exception) -> str:
    return str(getattr(error, "message", "") or error)
