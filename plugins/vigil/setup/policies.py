"""Reads resource policies: whether they let a service in on behalf of something."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

_KEYS = {"aws:sourcearn", "aws:sourceaccount"}


def lets_in(policy: dict[str, Any], service: str, action: str, source_arn: str) -> bool:
    """Tell whether a policy allows a service to do something on behalf of a resource.

    Conditions on anything but the resource and its account are taken as met.

    Args:
        policy: as a resource has it.
        service: principal, as in `sns.amazonaws.com`.
        action: what it does, as in `sqs:SendMessage`.
        source_arn: on whose behalf; its account is the fifth part.
    """
    return any(
        statement["Effect"] == "Allow"
        and _names(statement.get("Principal"), service)
        and any(fnmatchcase(action.lower(), pattern.lower()) for pattern in _listed(statement.get("Action")))
        and _holds(statement.get("Condition", {}), source_arn)
        for statement in _listed(policy.get("Statement"))
    )


def _names(principal: Any, service: str) -> bool:
    if principal == "*":
        return True
    return service in _listed((principal or {}).get("Service")) or "*" in _listed(
        (principal or {}).get("AWS")
    )


def _holds(conditions: dict[str, dict[str, Any]], source_arn: str) -> bool:
    actual = {"aws:sourcearn": source_arn, "aws:sourceaccount": source_arn.split(":")[4]}
    return all(
        any(fnmatchcase(actual[key.lower()], str(pattern)) for pattern in _listed(wanted))
        for tests in conditions.values()
        for key, wanted in tests.items()
        if key.lower() in _KEYS
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
