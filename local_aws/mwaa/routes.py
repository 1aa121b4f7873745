"""Which operation of MWAA a request asks for; its API goes by methods and paths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

import botocore.session
from botocore.model import ServiceModel

SERVICE = "airflow"
"""The name that requests to MWAA are signed for."""


@dataclass(frozen=True)
class Route:
    """An operation, and what the path says to it."""

    operation: str
    parameters: dict[str, str]


@cache
def service_model() -> ServiceModel:
    """Load what botocore knows of MWAA."""
    return botocore.session.get_session().get_service_model("mwaa")


def find_route(method: str, path: str) -> Route | None:
    """Tell the operation of a request; the path is as it was sent, with its escapes."""
    for operation, (own_method, pattern) in _patterns().items():
        found = pattern.fullmatch(path)
        if found and method == own_method:
            return Route(operation, {name: unquote(value) for name, value in found.groupdict().items()})
    return None


@cache
def _patterns() -> dict[str, tuple[str, re.Pattern[str]]]:
    model = service_model()
    patterns = {}
    for name in model.operation_names:
        http = model.operation_model(name).http
        # The ARN in /tags/ has slashes of its own.
        text = re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", http["requestUri"])
        patterns[name] = http["method"], re.compile(text)
    return patterns
