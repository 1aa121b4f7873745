"""Checks a request against botocore's service model, with SageMaker's wording."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import regex  # type: ignore[import-untyped]
from botocore.model import (
    ListShape,
    MapShape,
    OperationModel,
    ServiceModel,
    Shape,
    StringShape,
    StructureShape,
)

from local_aws.sagemaker.errors import AwsError, invalid

_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
    "timestamp": (int, float),
}
_SIZED = ("string", "list", "map")


@cache
def service_model() -> ServiceModel:
    """Load what botocore knows of SageMaker."""
    return botocore.session.get_session().get_service_model("sagemaker")


def operation_model(name: str) -> OperationModel:
    """Find an operation of SageMaker, or say that there is none of that name."""
    if name not in service_model().operation_names:
        raise AwsError("UnknownOperationException", f"The operation {name} is not known.", 404)
    return service_model().operation_model(name)


def check_request(operation: str, request: dict[str, Any]) -> None:
    """Refuse a request that the service model does not allow, naming every broken constraint."""
    shape = operation_model(operation).input_shape
    if shape:
        check_members(request, shape)


def check_members(request: dict[str, Any], shape: Shape) -> None:
    """Refuse a structure that its shape does not allow, whatever service it is of."""
    broken = list(_broken(request, shape, ""))
    if broken:
        noun = "error" if len(broken) == 1 else "errors"
        raise invalid(f"{len(broken)} validation {noun} detected: {'; '.join(broken)}")


def known_fields(operation: str, record: dict[str, Any]) -> dict[str, Any]:
    """Keep of a record what the operation's answer may hold."""
    shape = operation_model(operation).output_shape
    members = shape.members if shape else {}
    return {name: record[name] for name in members if record.get(name) is not None}


def _broken(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if getattr(shape, "is_document_type", False):
        return  # anything may stand there
    if not _has_type(value, shape.type_name):
        raise AwsError("SerializationException", f"'{path}' must be of type {shape.type_name}")
    yield from _broken_limits(value, shape, path)
    if isinstance(shape, StructureShape):
        yield from _broken_members(value, shape, path)
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value, 1):
            yield from _broken(item, shape.member, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from _broken(item, shape.value, f"{path}.{key}.member")


def _has_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _PYTHON_TYPES.get(name, object))


def _broken_members(value: dict[str, Any], shape: StructureShape, path: str) -> Iterator[str]:
    unknown = value.keys() - shape.members.keys()
    if unknown:
        raise AwsError("SerializationException", f"Unknown field '{min(unknown)}' in '{path or shape.name}'")
    for name, member in shape.members.items():
        where = f"{path}.{_lower_first(name)}" if path else _lower_first(name)
        if value.get(name) is not None:
            yield from _broken(value[name], member, where)
        elif name in shape.required_members:
            yield _constraint("null", where, "Member must not be null", quoted=False)


def _broken_limits(value: Any, shape: Shape, path: str) -> Iterator[str]:
    limits = shape.metadata
    size = len(value) if shape.type_name in _SIZED else value
    measure = "length" if shape.type_name in _SIZED else "value"
    if "min" in limits and size < limits["min"]:
        yield _constraint(value, path, f"Member must have {measure} greater than or equal to {limits['min']}")
    if "max" in limits and size > limits["max"]:
        yield _constraint(value, path, f"Member must have {measure} less than or equal to {limits['max']}")
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        yield _constraint(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    if "pattern" in limits and not _matches(limits["pattern"], value):
        yield _constraint(value, path, f"Member must satisfy regular expression pattern: {limits['pattern']}")


def _matches(pattern: str, value: str) -> bool:
    compiled = _compile(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@cache
def _compile(pattern: str) -> regex.Pattern[str] | None:
    try:
        return regex.compile(pattern)
    except regex.error:
        return None  # a few of the model's patterns are Java's own dialect


def _constraint(value: Any, path: str, rule: str, *, quoted: bool = True) -> str:
    shown = f"'{value}'" if quoted else value
    return f"Value {shown} at '{path}' failed to satisfy constraint: {rule}"


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
