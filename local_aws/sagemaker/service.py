"""SageMaker's two fronts as one WSGI application: control plane and runtime."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request, Response

from local_aws.clients import Clients
from local_aws.reaper import Reaper
from local_aws.sagemaker import endpoints, models, processing, registry, tags, training, transform
from local_aws.sagemaker.calls import OPERATIONS, Call
from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.fleet import Fleet
from local_aws.sagemaker.jobs import Engine, fail_interrupted
from local_aws.sagemaker.runtime import invoke_endpoint
from local_aws.sagemaker.store import Store
from local_aws.sagemaker.validation import check_request

JSON = "application/x-amz-json-1.1"
# Importing them fills the table of operations.
OPERATION_MODULES = (endpoints, models, processing, registry, tags, training, transform)


class SageMaker:
    """All of SageMaker: its records, its jobs, its endpoints."""

    def __init__(self, clients: Clients, directory: Path, on_change: Callable[[], None]) -> None:
        self.store = Store(on_change)
        self._clients = clients
        self._reaper = Reaper()
        self._engine = Engine(self.store, clients, self._reaper, directory)
        self._fleet = Fleet(clients, self._reaper, directory)

    def resume(self) -> None:
        """Settle what was under way when the server ended: jobs failed, endpoints start again."""
        fail_interrupted(self.store)
        for region in {arn.split(":")[3] for arn in self.store.arns()}:
            endpoints.restart_endpoints(self.call(region))

    def close(self) -> None:
        """End all jobs and endpoints; their records stay."""
        closing = threading.Thread(target=self._fleet.close)
        closing.start()
        self._engine.interrupt_all()
        closing.join()
        self._reaper.close()

    def call(self, region: str) -> Call:
        """Give an operation its surroundings."""
        return Call(region, self.store, self._engine, self._fleet, self._clients)

    def control(self, operation: str, request: Request, region: str) -> Response:
        """Answer a control plane operation."""
        try:
            parameters = _parse(request)
            check_request(operation, parameters)
            answer = _find(operation)(self.call(region), parameters)
        except AwsError as error:
            return error_response(error)
        return Response(json.dumps(answer), content_type=JSON)

    def invoke(self, endpoint: str, request: Request, region: str) -> Response:
        """Answer a runtime call."""
        try:
            return invoke_endpoint(self.call(region), endpoint, request)
        except AwsError as error:
            return error_response(error)


def error_response(error: AwsError) -> Response:
    """Say an error in the JSON protocol."""
    body = json.dumps({"__type": error.code, "message": error.message})
    return Response(body, error.status, {"x-amzn-errortype": error.code}, content_type=JSON)


def _find(operation: str) -> Callable[[Call, dict[str, Any]], dict[str, Any]]:
    if operation not in OPERATIONS:
        raise AwsError(
            "UnsupportedOperation", f"The embedded AWS has no {operation}; see local_aws/sagemaker/.", 501
        )
    return OPERATIONS[operation]


def _parse(request: Request) -> dict[str, Any]:
    try:
        parameters = json.loads(request.get_data() or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", f"The request is not JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise AwsError("SerializationException", "The request is not a JSON object")
    return parameters
