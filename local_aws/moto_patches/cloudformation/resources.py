"""A resource of a stack, and what every kind of resource can do."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException, ValidationError

from local_aws.clients import Clients

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Region:
    """Where a stack's resources are made, and by what."""

    clients: Clients
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """The tags that a resource has of its stack."""

    def client(self, service: str) -> Any:
        """Give the client of a service in this region."""
        return self.clients.get(service, self.name)


@dataclass
class Resource:
    """One resource of a stack, as it was last made; moto's answers read the first three fields."""

    logical_resource_id: str
    cf_resource_type: str
    physical_resource_id: str
    properties: dict[str, Any]
    attributes: dict[str, str] = field(default_factory=dict)

    def get_cfn_attribute(self, name: str) -> str:
        """Answer Fn::GetAtt."""
        if name not in self.attributes:
            raise UnformattedGetAttTemplateException
        return self.attributes[name]

    def is_created(self) -> bool:
        """Tell that the resource is there: it was made before this object was."""
        return True


class Kind(ABC):
    """How one type of resource is made, changed and removed."""

    type: ClassVar[str]
    name_property: ClassVar[str] = ""
    fixed: ClassVar[tuple[str, ...]] = ()
    """Properties whose change calls for another resource in this one's place."""
    known: ClassVar[frozenset[str]] = frozenset()
    """Every property there is; empty where that is not checked."""
    inherits_tags: ClassVar[bool] = False
    """Whether the stack's tags stand beside the resource's own ones."""
    takes_labels: ClassVar[bool] = False
    """Whether the stack's tags are put onto the resource, and changed with them."""

    @abstractmethod
    def create(self, region: Region, name: str, properties: Properties) -> str:
        """Make the resource and give its physical id."""

    def apply(  # noqa: B027 - a kind may have nothing that can be changed
        self, region: Region, physical_id: str, properties: Properties, before: Properties
    ) -> None:
        """Set everything that can be changed; `before` is empty for a resource just made."""

    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        """Give what Fn::GetAtt can ask for."""
        return {}

    def attributes_of(self, region: Region, physical_id: str, properties: Properties) -> dict[str, str]:
        """Give the same where the physical id alone does not tell which resource it is."""
        return self.attributes(region, physical_id)

    @abstractmethod
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        """Remove the resource."""

    def needs_replacement(self, properties: Properties, before: Properties) -> bool:
        """Tell whether the change calls for another resource."""
        names = (*self.fixed, self.name_property) if self.name_property else self.fixed
        return any(properties.get(name) != before.get(name) for name in names)

    def refuse_unknown(self, properties: Properties) -> None:
        """Refuse properties that the type does not have."""
        unknown = sorted(properties.keys() - self.known) if self.known else []
        if unknown:
            raise ValidationError(message=f"Encountered unsupported property {unknown[0]}")


def as_json(document: Any) -> str:
    """Write a policy; YAML may have made its version a date."""
    return document if isinstance(document, str) else json.dumps(document, default=str)


def as_text(value: Any) -> str:
    """Write a property as the string that attribute maps take."""
    if isinstance(value, bool):
        return str(value).lower()
    return as_json(value) if isinstance(value, dict | list) else str(value)


def tag_map(properties: Properties) -> dict[str, str]:
    """Read the property Tags as a mapping."""
    return {tag["Key"]: as_text(tag["Value"]) for tag in properties.get("Tags", [])}


def tag_list(properties: Properties) -> list[dict[str, str]]:
    """Read the property Tags as the list that most APIs take."""
    return [{"Key": key, "Value": value} for key, value in tag_map(properties).items()]


def without_nothing(value: Any) -> Any:
    """Leave out what the template gave as AWS::NoValue, also in lists."""
    if isinstance(value, dict):
        return {name: without_nothing(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nothing(one) for one in value if one is not None]
    return value
