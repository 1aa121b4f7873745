"""InvokeEndpoint: the data plane."""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from local_aws.sagemaker.calls import ACCOUNT, Call
from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.model_server import Answer

REAL_TIME_LIMIT = 6_291_456
SERVERLESS_LIMIT = 4_194_304
_SERVABLE = ("InService", "Updating", "SystemUpdating", "RollingBack")


def invoke_endpoint(call: Call, name: str, request: Request) -> Response:
    """Send a call to an endpoint's model and answer what it answers."""
    record = call.store.find(call.arn("endpoint", name))
    if record is None or record["EndpointStatus"] not in _SERVABLE:
        raise AwsError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
    with ExitStack() as calls:
        target = request.headers.get("X-Amzn-SageMaker-Target-Variant")
        variant = call.fleet.borrow(record["EndpointArn"], target, calls)
        limit = SERVERLESS_LIMIT if "ServerlessConfig" in variant.definition else REAL_TIME_LIMIT
        body = _body(request, limit)
        try:
            answer = variant.server.invoke(body, _forwarded(request.headers))
        except (OSError, http.client.HTTPException) as error:
            return _model_error(call, name, variant.name, 0, str(error))
    if answer.status >= http.client.BAD_REQUEST:
        message = answer.body.decode("utf-8", "replace")
        return _model_error(call, name, variant.name, answer.status, message)
    return _response(answer, variant.name)


def _body(request: Request, limit: int) -> bytes:
    body = request.get_data()
    if len(body) > limit:
        raise AwsError("413", f"HTTP content length exceeded {limit} bytes.", 413)
    return body


def _forwarded(headers: Headers) -> dict[str, str]:
    names = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
    return {name: headers[name] for name in names if headers.get(name)}


def _response(answer: Answer, variant: str) -> Response:
    headers = {"x-Amzn-Invoked-Production-Variant": variant}
    if answer.custom_attributes:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = answer.custom_attributes
    return Response(answer.body, 200, headers, content_type=answer.content_type)


def _model_error(call: Call, endpoint: str, variant: str, status: int, message: str) -> Response:
    kind = "client" if http.client.BAD_REQUEST <= status < http.client.INTERNAL_SERVER_ERROR else "server"
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    body = {
        "ErrorCode": f"{kind.upper()}_ERROR_FROM_MODEL",
        "LogStreamArn": f"arn:aws:logs:{call.region}:{ACCOUNT}:log-group:{group}",
        "Message": f'Received {kind} error ({status}) from primary with message "{message}". See {group} in'
        f" account {ACCOUNT} for more information.",
        "OriginalMessage": message,
        "OriginalStatusCode": status,
    }
    headers = {"x-amzn-errortype": "ModelError", "x-Amzn-Invoked-Production-Variant": variant}
    return Response(json.dumps(body), 424, headers, content_type="application/json")
