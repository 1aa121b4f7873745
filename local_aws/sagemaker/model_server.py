"""One model served by one process, under the real container contract: /ping and /invocations."""

from __future__ import annotations

import http.client
import queue
import random
import shutil
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tarfile import TarError
from typing import Any

from local_aws.algorithms.http_server import SOCKET_VARIABLE
from local_aws.algorithms.registry import stand_in
from local_aws.clients import download_object
from local_aws.files import extract_archive
from local_aws.reaper import Reaper
from local_aws.sagemaker.containers import Container
from local_aws.sagemaker.errors import JobFailed, client_error
from local_aws.sagemaker.logs import LogStream
from local_aws.sagemaker.sandbox import ROOT_VARIABLE

INVOCATION_LIMIT_S = 60.0
_DRAIN_LIMIT_S = INVOCATION_LIMIT_S + 5
_PORTS = range(20000, 32000)  # below the range from which the kernel takes ports for outgoing connections
_PING_EVERY_S = 0.02


@dataclass(frozen=True)
class Answer:
    """What a model's container answered."""

    status: int
    content_type: str
    body: bytes
    custom_attributes: str = ""


class ModelServer:
    """A model's process; it counts the calls in flight so that it can be drained."""

    def __init__(self, container: Container, port: int, directory: Path, log: LogStream) -> None:
        self.container = container
        self._log = log
        self._port = port
        self._directory = directory
        self._idle: queue.SimpleQueue[http.client.HTTPConnection] = queue.SimpleQueue()
        self._in_flight = 0
        self._changed = threading.Condition()

    def wait_until_healthy(self, limit_s: float) -> bool:
        """Ping until the model answers; False when its process ends or time runs out."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            try:
                if self._exchange("GET", "/ping", b"", {}).status == http.client.OK:
                    return True
            except OSError:
                pass  # it does not listen yet
            if self.container.exited.wait(_PING_EVERY_S):
                return False
        return False

    @contextmanager
    def use(self) -> Iterator[None]:
        """Keep the process alive while a call is under way."""
        with self._changed:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one request to the model."""
        return self._exchange("POST", "/invocations", body, headers)

    def drain_and_stop(self) -> None:
        """Let the calls under way finish, then end the process."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight == 0, _DRAIN_LIMIT_S)
        self.stop()

    def stop(self) -> None:
        """End the process and remove its files."""
        self.container.stop()
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            return self._send(self._idle.get_nowait(), method, path, body, headers)
        except (queue.Empty, http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            pass  # none is idle, or the model closed it meanwhile: a fresh one decides
        fresh = http.client.HTTPConnection("127.0.0.1", self._port, timeout=INVOCATION_LIMIT_S)
        return self._send(fresh, method, path, body, headers)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Answer:
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)
        return Answer(
            response.status,
            response.getheader("Content-Type", ""),
            content,
            response.getheader("X-Amzn-SageMaker-Custom-Attributes", ""),
        )


def start_model_server(
    definition: Mapping[str, Any],
    *,
    s3: Any,
    environment: Mapping[str, str],
    directory: Path,
    log: LogStream,
    reaper: Reaper,
) -> ModelServer:
    """Fetch a model's artifact and start its container.

    Args:
        definition: The model's container definition: Image, ModelDataUrl, Environment.
        s3: Where the artifact is.
        environment: What the container gets besides its definition's own.
        directory: Where the model is unpacked; removed when the server stops.
        log: Takes the container's output; closed when the server stops.
        reaper: Ends the container should this server be killed.
    """
    command = stand_in(definition["Image"]).serve_command()
    model = directory / "opt/ml/model"
    model.mkdir(parents=True, exist_ok=True)
    if definition.get("ModelDataUrl"):
        _fetch_model(s3, definition["ModelDataUrl"], model)
    with _bound_socket() as bound:
        variables = {
            **environment,
            **definition.get("Environment", {}),
            ROOT_VARIABLE: str(directory / "opt/ml"),
            SOCKET_VARIABLE: str(bound.fileno()),
        }
        container = Container(command, variables, directory, log.line, reaper, [bound.fileno()])
        return ModelServer(container, bound.getsockname()[1], directory, log)


def _fetch_model(s3: Any, uri: str, target: Path) -> None:
    archive = target.parent / "model.tar.gz"
    try:
        download_object(s3, uri, archive)
    except JobFailed as failure:
        raise client_error(
            f'Failed to download model data from URL "{uri}". Please ensure that there is an object located'
            " at the URL and that the role passed to CreateModel has permissions to download the object."
        ) from failure
    try:
        with archive.open("rb") as file:
            extract_archive(file, target)
    except (TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise client_error(f'Failed to extract model data archive from URL "{uri}": {error}') from error
    archive.unlink()


def _bound_socket() -> socket.socket:
    """Bind what a container will listen on: until it has read its model, no other may get the port."""
    while True:
        bound = socket.socket()
        try:
            bound.bind(("127.0.0.1", random.choice(_PORTS)))  # noqa: S311 - no secret
        except OSError:
            bound.close()
        else:
            return bound
