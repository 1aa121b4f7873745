"""What can be told of a template before anything is made: its types, its order, its parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from moto.cloudformation.exceptions import CloudFormationError, ValidationError
from moto.cloudformation.parsing import NULL_MODELS, get_model_map

_IAM_NAMES = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::AccessKey": "",
}
_SUBSTITUTION = re.compile(r"\$\{([^!}][^}]*)\}")
Template = Mapping[str, Any]


class InsufficientCapabilitiesError(CloudFormationError):
    """The refusal of a template that makes IAM resources without leave to."""

    code = "InsufficientCapabilitiesException"


def check_types(template: Template, known: Collection[str]) -> None:
    """Refuse types that nobody here can make."""
    unknown = sorted(
        {
            resource["Type"]
            for resource in template.get("Resources", {}).values()
            if not _is_known(resource["Type"], known)
        }
    )
    if unknown:
        raise ValidationError(
            message=f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]"
        )


def check_capabilities(template: Template, given: Collection[str]) -> None:
    """Refuse IAM resources that the caller did not acknowledge."""
    resources = [one for one in template.get("Resources", {}).values() if one.get("Type") in _IAM_NAMES]
    named = any(_IAM_NAMES[one["Type"]] in one.get("Properties", {}) for one in resources)
    enough = {"CAPABILITY_NAMED_IAM"} if named else {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"}
    if resources and not enough & set(given):
        wanted = "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"
        raise InsufficientCapabilitiesError(f"Requires capabilities : [{wanted}]")


def check_parameters(template: Template, given: Mapping[str, Any]) -> None:
    """Refuse parameters that the template does not have, or does not allow."""
    declared = template.get("Parameters", {})
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        raise ValidationError(message=f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    missing = [name for name, one in declared.items() if name not in given and "Default" not in one]
    if missing:
        raise ValidationError(message=f"Parameters: [{', '.join(missing)}] must have values")
    for name, one in declared.items():
        for rule in _broken_rules(one, str(given.get(name, one.get("Default")))):
            raise ValidationError(message=f"Parameter '{name}' {rule}")


def creation_order(resources: Mapping[str, Any]) -> list[str]:
    """Sort resources so that each comes after those it refers to."""
    graph = {name: references(one, resources) - {name} for name, one in resources.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        names = ", ".join(sorted(set(error.args[1])))
        raise ValidationError(message=f"Circular dependency between resources: [{names}]") from error


def with_zones(part: Any, region: str) -> Any:
    """Put the zones of a region in place of Fn::GetAZs, which moto takes for another region's."""
    if isinstance(part, list):
        return [with_zones(item, region) for item in part]
    if not isinstance(part, dict):
        return part
    if part.keys() == {"Fn::GetAZs"}:
        return [f"{region}{letter}" for letter in "abc"]
    return {key: with_zones(value, region) for key, value in part.items()}


def _is_known(type_name: str, known: Collection[str]) -> bool:
    return type_name in known or type_name in get_model_map() or type_name in NULL_MODELS


def references(part: Any, names: Collection[str]) -> set[str]:
    """Return those of the names that a part of a template refers to."""
    return {name for name in _mentioned(part) if name in names}


def _mentioned(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from _mentioned(item)
    if not isinstance(part, dict):
        return
    for key, value in part.items():
        if key in ("Ref", "DependsOn"):
            yield from [value] if isinstance(value, str) else value
        elif key == "Fn::GetAtt":
            yield value.split(".")[0] if isinstance(value, str) else value[0]
        elif key == "Fn::Sub":
            text = value if isinstance(value, str) else value[0]
            yield from (found.split(".")[0] for found in _SUBSTITUTION.findall(text))
            yield from _mentioned(value)
        else:
            yield from _mentioned(value)


def _broken_rules(declared: Mapping[str, Any], value: str) -> Iterator[str]:
    allowed = declared.get("AllowedValues")
    if allowed and value not in map(str, allowed):
        yield f"must be one of AllowedValues: [{', '.join(map(str, allowed))}]"
    if "AllowedPattern" in declared and not re.fullmatch(declared["AllowedPattern"], value):
        yield f"must match pattern {declared['AllowedPattern']}"
    if declared.get("Type") == "Number":
        yield from _broken_range(declared, value)
    if len(value) < int(declared.get("MinLength", 0)):
        yield f"must contain at least {declared['MinLength']} characters"
    if len(value) > int(declared.get("MaxLength", len(value))):
        yield f"must contain at most {declared['MaxLength']} characters"


def _broken_range(declared: Mapping[str, Any], value: str) -> Iterator[str]:
    try:
        number = float(value)
    except ValueError:
        yield "must be a number"
        return
    if number < float(declared.get("MinValue", number)):
        yield f"must be a number not less than {declared['MinValue']}"
    if number > float(declared.get("MaxValue", number)):
        yield f"must be a number not greater than {declared['MaxValue']}"
