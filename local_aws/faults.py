"""Faults that tests ask for: the next calls of an operation are answered with an error."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from local_aws.asked import Asked
from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.service import error_response


@dataclass
class Fault:
    """An error to answer instead of the next `times` calls of an operation."""

    service: str
    operation: str
    error: str
    message: str = "A fault that a test asked for"
    status: int = 400
    times: int = 1


@dataclass(frozen=True)
class Faults:
    """The faults that are still to come."""

    _waiting: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, asked: Asked, environ: dict[str, Any]) -> Response | None:
        """Answer a request with the fault that waits for its operation, if one does."""
        with self._lock:
            fault = next((fault for fault in self._waiting if _meets(fault, asked)), None)
            if fault is None:
                return None
            fault.times -= 1
            if fault.times == 0:
                self._waiting.remove(fault)
        if "HTTP_X_AMZ_TARGET" in environ or asked.service == "sagemaker":
            return error_response(AwsError(fault.error, fault.message, fault.status))
        return _xml_response(fault, asked.service)

    def manage(self, request: Request) -> Response:
        """Answer the faults' own page: POST adds one, GET lists them, DELETE forgets them."""
        with self._lock:
            if request.method == "POST":
                try:
                    self._waiting.append(Fault(**json.loads(request.get_data())))
                except (ValueError, TypeError) as error:
                    return Response(f"Not a fault: {error}\n", 400)
            if request.method == "DELETE":
                self._waiting.clear()
            return Response(
                json.dumps([asdict(fault) for fault in self._waiting]), content_type="application/json"
            )


def _meets(fault: Fault, asked: Asked) -> bool:
    return (fault.service, fault.operation) == (asked.service, asked.operation)


def _xml_response(fault: Fault, service: str) -> Response:
    error = f"<Code>{escape(fault.error)}</Code><Message>{escape(fault.message)}</Message>"
    request_id = f"<RequestId>{uuid4()}</RequestId>"
    if service == "s3":
        body = f"<Error>{error}{request_id}</Error>"
    else:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>{request_id}</ErrorResponse>"
    return Response(body, fault.status, content_type="text/xml")
