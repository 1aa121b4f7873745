"""What a request asks for, told from its headers, path and body before anything answers it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from local_aws.mwaa import routes

DEFAULT_REGION = "us-east-1"
_SCOPE = re.compile(r"Credential=[^/]*/\d+/([^/]+)/([^/]+)/aws4_request")
_PRESIGNED = re.compile(r"X-Amz-Credential=[^&]*%2F\d+%2F([^&%]+)%2F([^&%]+)%2Faws4_request")
_INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
_READS = [
    "Describe",
    "List",
    "Get",
    "Head",
    "BatchGet",
    "BatchDescribe",
    "Filter",
    "Lookup",
    "Receive",
    "Invoke",
    "Validate",
    "Estimate",
    "Test",
    "Poll",
]


@dataclass(frozen=True)
class Asked:
    """The service, region and operation of a request; the operation is empty where it cannot be told."""

    service: str
    region: str
    operation: str
    endpoint: str = ""

    @property
    def reads(self) -> bool:
        """Whether the request only reads."""
        return self.operation.startswith(tuple(_READS))


def asked(environ: dict[str, Any]) -> Asked:
    """Tell what a WSGI request asks for."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", "")) or _PRESIGNED.search(
        environ.get("QUERY_STRING", "")
    )
    region, service = scope.groups() if scope else (DEFAULT_REGION, "s3")
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        prefix, operation = target.rsplit(".", 1)
        return Asked("sagemaker" if prefix == "SageMaker" else service, region, operation)
    invoked = _INVOCATIONS.fullmatch(environ.get("PATH_INFO", ""))
    if invoked and service == "sagemaker":
        return Asked("sagemaker", region, "InvokeEndpoint", invoked.group(1))
    if service == routes.SERVICE:
        route = routes.find_route(environ["REQUEST_METHOD"], environ.get("RAW_URI", "").partition("?")[0])
        return Asked("mwaa", region, route.operation if route else "")
    if service == "s3":
        return Asked(service, region, _s3_operation(environ))
    return Asked(service, region, _action(environ))


def _action(environ: dict[str, Any]) -> str:
    """Read the Action of a query request, and put the body back."""
    form: str = environ.get("QUERY_STRING", "")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        form = body.decode("utf-8", "replace")
    return parse_qs(form).get("Action", [""])[0]


def _s3_operation(environ: dict[str, Any]) -> str:
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    _, _, key = environ.get("PATH_INFO", "/").lstrip("/").partition("/")
    if "uploadId=" in query:
        named = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
        return named.get(method, "ListParts")
    if method == "GET" and not key and "list-type=2" in query:
        return "ListObjectsV2"
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject"
    verb = {"GET": "Get", "HEAD": "Head", "PUT": "Put", "POST": "Post", "DELETE": "Delete"}.get(
        method, method
    )
    if key:
        return f"{verb}Object"
    return "CreateBucket" if verb == "Put" and not query else f"{verb}Bucket"
