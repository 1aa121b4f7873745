"""Calls of an environment's own Airflow, for InvokeRestApi."""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3

from local_aws.sagemaker.errors import AwsError, invalid

_BASE = "/api/v2"
_LIMIT_S = 30


@dataclass(frozen=True)
class Answer:
    """What Airflow said."""

    status: int
    content: Any

    def as_record(self) -> dict[str, Any]:
        """Return it as InvokeRestApi tells it."""
        return {"RestApiStatusCode": self.status, "RestApiResponse": self.content}

    @property
    def error_code(self) -> str:
        """Return the exception that it amounts to, or nothing."""
        if self.status < HTTPStatus.BAD_REQUEST:
            return ""
        server = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return "RestApiServerException" if server else "RestApiClientException"


def invoke(url: str, request: dict[str, Any]) -> Answer:
    """Pass a request on to Airflow.

    Args:
        url: of its API server, which lets everybody in.
        request: Path, Method, QueryParameters and Body of InvokeRestApi.

    Raises:
        AwsError: the path leads out of the API, or Airflow does not answer.
    """
    path = posixpath.normpath(f"{_BASE}/{request['Path'].lstrip('/')}")
    if not path.startswith(f"{_BASE}/") or "?" in path:
        raise invalid(f"Path {request['Path']} is not one of Airflow's REST API")
    query = {name: _text(value) for name, value in (request.get("QueryParameters") or {}).items()}
    target = f"{url}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
    body = json.dumps(request["Body"]) if request.get("Body") is not None else None
    try:
        token = json.loads(_send("GET", f"{url}/auth/token", None, {}).data)["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = _send(request["Method"], target, body, headers)
    except (urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
        raise AwsError("InternalServerException", f"Airflow does not answer: {error}", 500) from error
    return Answer(answer.status, _parsed(answer.data))


def _send(method: str, url: str, body: str | None, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    return urllib3.request(method, url, body=body, headers=headers, timeout=_LIMIT_S, retries=False)


def _parsed(content: bytes) -> Any:
    if not content:
        return {}
    try:
        return json.loads(content)
    except ValueError:
        return {"message": content.decode("utf-8", "replace")}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return [_text(one) for one in value] if isinstance(value, list) else value
