"""The web server inside a serving container: /ping and /invocations."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SOCKET_VARIABLE = "LOCAL_AWS_SERVING_SOCKET"
"""Names the descriptor of a bound socket; containers of the cloud have port 8080 to themselves instead."""


class BadRequestError(Exception):
    """A payload the model cannot answer; the caller gets the text with a status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """A model's answer and its content type."""

    body: str
    content_type: str


Predict = Callable[[bytes, str, str], Reply]


def serve(predict: Predict) -> None:
    """Answer until the process ends; `predict` takes body, content type and wanted content type."""

    class Handler(_Handler):
        answer = staticmethod(predict)

    bound = socket.socket(fileno=int(os.environ[SOCKET_VARIABLE]))
    server = ThreadingHTTPServer(bound.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = bound
    server.server_activate()
    server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    answer: Predict

    def do_GET(self) -> None:
        known = self.path == "/ping"
        self._reply(200 if known else 404, "" if known else "not found", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content_type = self.headers.get("Content-Type", "text/csv").split(";")[0].strip().lower()
        accept = self.headers.get("Accept", "").split(",")[0].split(";")[0].strip().lower()
        try:
            reply = self.answer(body, content_type, accept)
        except BadRequestError as error:
            self._reply(error.status, str(error), "text/plain")
        except Exception as error:
            self.log_error("%r", error)
            self._reply(500, f"{type(error).__name__}: {error}", "text/plain")
        else:
            self._reply(200, reply.body, reply.content_type)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log failures only, by log_error."""

    def _reply(self, status: int, body: str, content_type: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
