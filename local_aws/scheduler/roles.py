"""Whether the scheduler may assume a role: the role is there, and its trust policy says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from moto.iam.models import iam_backends

_SERVICE = "scheduler.amazonaws.com"
_ACTIONS = ("sts:AssumeRole", "sts:*", "*")
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": fnmatchcase,
    "ArnEquals": fnmatchcase,
    "ArnLike": fnmatchcase,
}


def can_be_assumed(role_arn: str, group_arn: str) -> bool:
    """Tell whether the scheduler may assume a role for the schedules of a group."""
    partition, account = role_arn.split(":")[1], role_arn.split(":")[4]
    roles = iam_backends[account][partition].roles.values()
    role = next((role for role in list(roles) if role.arn == role_arn), None)
    if role is None:
        return False
    context = {"aws:sourceaccount": group_arn.split(":")[4], "aws:sourcearn": group_arn}
    statements = _listed(json.loads(role.assume_role_policy_document).get("Statement", []))
    return any(_lets_in(statement, context) for statement in statements)


def _lets_in(statement: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    principal = statement.get("Principal", {})
    services = _listed(principal.get("Service", [])) if isinstance(principal, dict) else []
    return (
        statement.get("Effect") == "Allow"
        and _SERVICE in services
        and any(action in _ACTIONS for action in _listed(statement.get("Action", [])))
        and all(
            _holds(operator, key, wanted, context)
            for operator, conditions in statement.get("Condition", {}).items()
            for key, wanted in conditions.items()
        )
    )


def _holds(operator: str, key: str, wanted: Any, context: Mapping[str, str]) -> bool:
    value, compare = context.get(key.lower()), _OPERATORS.get(operator)
    return value is not None and compare is not None and any(compare(value, one) for one in _listed(wanted))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
