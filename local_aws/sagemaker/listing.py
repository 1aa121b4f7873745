"""Answers every List call: filters, sorting and pages, by the service model's own field names."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from typing import Any

from botocore.model import ListShape

from local_aws.sagemaker.errors import invalid
from local_aws.sagemaker.store import Record
from local_aws.sagemaker.validation import operation_model

_PAGE = 10


def list_records(
    operation: str,
    records: Iterable[Record],
    request: dict[str, Any],
    *,
    name: str,
    status: str = "",
    order: str = "Descending",
) -> dict[str, Any]:
    """Answer a List call from the records of its kind.

    Args:
        operation: The call's name; its answer's only list says which fields a summary holds.
        records: All records of the kind.
        request: The call's parameters.
        name: The field that NameContains and SortBy=Name look at.
        status: The field that StatusEquals and SortBy=Status look at.
        order: The SortOrder when the call gives none.
    """
    chosen = [record for record in records if _is_wanted(record, request, name, status)]
    sort_field = {"Name": name, "Status": status}.get(request.get("SortBy", ""), "CreationTime")
    descending = request.get("SortOrder", order) == "Descending"
    chosen.sort(key=lambda record: (record[sort_field], record["CreationTime"]), reverse=descending)
    start = _offset(request.get("NextToken"))
    end = start + request.get("MaxResults", _PAGE)
    key, members = _summary(operation)
    answer: dict[str, Any] = {key: [_only(record, members) for record in chosen[start:end]]}
    if end < len(chosen):
        answer["NextToken"] = base64.urlsafe_b64encode(json.dumps({"offset": end}).encode()).decode()
    return answer


def _is_wanted(record: Record, request: dict[str, Any], name: str, status: str) -> bool:
    checks: list[tuple[str, Callable[[Any], bool]]] = [
        ("NameContains", lambda wanted: wanted.lower() in record[name].lower()),
        ("StatusEquals", lambda wanted: record[status] == wanted),
        ("CreationTimeAfter", lambda time: record["CreationTime"] >= time),
        ("CreationTimeBefore", lambda time: record["CreationTime"] <= time),
        ("LastModifiedTimeAfter", lambda time: record["LastModifiedTime"] >= time),
        ("LastModifiedTimeBefore", lambda time: record["LastModifiedTime"] <= time),
    ]
    return all(check(request[filter_]) for filter_, check in checks if request.get(filter_) is not None)


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["offset"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise invalid("Invalid pagination token.") from error


def _summary(operation: str) -> tuple[str, Iterable[str]]:
    shape = operation_model(operation).output_shape
    for key, member in shape.members.items() if shape else ():
        if isinstance(member, ListShape):
            return key, member.member.members
    raise LookupError(f"{operation} answers no list")


def _only(record: Record, members: Iterable[str]) -> dict[str, Any]:
    return {member: record[member] for member in members if record.get(member) is not None}
