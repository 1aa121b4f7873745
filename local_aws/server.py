"""The front: one WSGI application that sends each request to SageMaker, to moto, or to its own pages."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from local_aws import moto_patches
from local_aws.alarms.service import Alarms
from local_aws.asked import Asked, asked
from local_aws.browsers import is_from_a_strange_page
from local_aws.clients import Clients
from local_aws.ec2.instances import Instances
from local_aws.faults import Faults
from local_aws.moto_state import used_services
from local_aws.mwaa.routes import find_route
from local_aws.mwaa.service import Mwaa
from local_aws.pricing import price_list, spot
from local_aws.sagemaker.service import SageMaker
from local_aws.scheduler.service import Scheduler
from local_aws.snapshot import Snapshot

HOST = "127.0.0.1"
_EVALUATED_AFTER = ("PutMetricAlarm", "PutMetricData")
StartResponse = Callable[..., Any]
WsgiApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class LocalAws:
    """Everything one process answers, and its state."""

    def __init__(self, url: str, state_dir: Path, *, in_memory: bool = False) -> None:
        work = state_dir / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        clients = Clients(url)
        self._snapshot = Snapshot(state_dir, kept=not in_memory)
        self._sagemaker = SageMaker(clients, work, self._snapshot.note_change)
        self._snapshot.attach(self._sagemaker.store, "sagemaker")
        self._mwaa = Mwaa(clients, state_dir / "mwaa", self._snapshot.note_change)
        self._snapshot.attach(self._mwaa.store, "mwaa")
        self._moto: WsgiApplication = DomainDispatcherApplication(create_backend_app)
        self._faults = Faults()
        self._scheduler = Scheduler(url, self._snapshot.change)
        self._alarms = Alarms(clients, self._snapshot.change)
        self._instances = Instances(state_dir, clients, self._snapshot)
        self._ec2 = _Once(lambda: moto_patches.apply_to_ec2(self._instances))
        self._cloudformation = _Once(lambda: self._open_cloudformation(clients))
        moto_patches.apply()

    def open(self) -> None:
        """Take up the kept state."""
        self._snapshot.load()
        if "ec2" in used_services():
            self._ec2.do()
        self._sagemaker.resume()
        self._mwaa.resume()
        self._snapshot.start()
        self._scheduler.start()
        self._alarms.start()

    def close(self) -> None:
        """End environments, jobs, endpoints and instances and keep the state."""
        self._alarms.close()
        self._scheduler.close()
        self._mwaa.close()
        self._sagemaker.close()
        self._instances.close()
        self._snapshot.close()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if is_from_a_strange_page(environ):
            return Response("The embedded AWS answers no pages.\n", 403)(environ, start_response)
        path = environ.get("PATH_INFO", "")
        if path == "/_health":
            return _health()(environ, start_response)
        if path == "/_faults":
            return self._faults.manage(Request(environ))(environ, start_response)
        wanted = asked(environ)
        fault = self._faults.answer(wanted, environ)
        if fault:
            return fault(environ, start_response)
        own = self._answer_ourselves(wanted, environ)
        if own:
            return own(environ, start_response)
        if wanted.service == "cloudformation":  # its stacks come back with requests of their own
            self._cloudformation.do()
            try:
                return self._moto(environ, start_response)
            finally:
                self._snapshot.note_change()
        if wanted.service == "ec2":
            self._ec2.do()
            with self._instances.turn(changes=not wanted.reads):
                return self._moto(environ, start_response)
        if wanted.reads:
            return self._moto(environ, start_response)
        with self._snapshot.change():
            answer = self._moto(environ, start_response)
        self._wake(wanted)
        return answer

    def _wake(self, changed: Asked) -> None:
        """Let what works beside requests look at a change."""
        if changed.service == "scheduler":
            self._scheduler.wake()
        if changed.service == "monitoring":
            self._alarms.wake(evaluate_now=changed.operation in _EVALUATED_AFTER)

    def _open_cloudformation(self, clients: Clients) -> None:
        moto_patches.apply_to_cloudformation(clients)
        self._snapshot.load_cloudformation()

    def _answer_ourselves(self, wanted: Asked, environ: dict[str, Any]) -> Response | None:
        """Answer what moto has no part in."""
        if wanted.service == "sagemaker":
            return self._answer_sagemaker(wanted, Request(environ))
        if wanted.service == "mwaa":
            return self._answer_mwaa(wanted, environ)
        if wanted.service == "pricing":
            return price_list.answer(wanted.operation, Request(environ), wanted.region)
        if (wanted.service, wanted.operation) == ("ec2", "DescribeSpotPriceHistory"):
            return spot.answer(Request(environ), wanted.region)
        return None

    def _answer_sagemaker(self, wanted: Asked, request: Request) -> Response:
        if wanted.endpoint:
            return self._sagemaker.invoke(wanted.endpoint, request, wanted.region)
        return self._sagemaker.control(wanted.operation, request, wanted.region)

    def _answer_mwaa(self, wanted: Asked, environ: dict[str, Any]) -> Response | None:
        route = find_route(environ["REQUEST_METHOD"], environ["RAW_URI"].partition("?")[0])
        return self._mwaa.control(route, Request(environ), wanted.region) if route else None


class _Once:
    """Something to be done before the first of many threads goes on."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._lock = threading.Lock()
        self._done = False

    def do(self) -> None:
        with self._lock:
            if not self._done:
                self._action()
                self._done = True


class QuietHandler(MotoRequestHandler):
    """Logs no line for every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def listen(port: int, state_dir: Path, *, in_memory: bool) -> tuple[BaseWSGIServer, LocalAws]:
    """Bind to a port, or to a free one for 0, and build what answers there."""
    server = make_server(HOST, port, _not_yet, threaded=True, request_handler=QuietHandler)
    url = f"http://{HOST}:{server.port}"
    os.environ["MOTO_PORT"] = str(server.port)  # moto writes it into queue URLs
    aws = LocalAws(url, state_dir, in_memory=in_memory)
    server.app = aws
    return server, aws


def _not_yet(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    return Response("The embedded AWS is starting.\n", 503)(environ, start_response)


def _health() -> Response:
    return Response(json.dumps({"status": "ok", "pid": os.getpid()}), content_type="application/json")
