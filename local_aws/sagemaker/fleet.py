"""The models that serve now: deployments come up beside one another, swap in one step, and are drained."""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.clients import Clients
from local_aws.reaper import Reaper
from local_aws.sagemaker.errors import AwsError, JobFailed
from local_aws.sagemaker.logs import LogStream
from local_aws.sagemaker.model_server import ModelServer, start_model_server

_STARTUP_LIMIT_S = 60.0
_RESTART_LIMIT_S = 60.0


@dataclass(frozen=True)
class Variant:
    """One production variant of an endpoint as it runs: its definition and its process."""

    definition: dict[str, Any]
    server: ModelServer

    @property
    def name(self) -> str:
        """Name the variant."""
        return str(self.definition["VariantName"])


@dataclass(frozen=True)
class Deployment:
    """All variants of one endpoint configuration, running."""

    variants: tuple[Variant, ...]

    def choose(self, name: str | None) -> Variant | None:
        """Pick the variant of a name, or one by weight."""
        if name:
            return next((variant for variant in self.variants if variant.name == name), None)
        weights = [variant.definition["InitialVariantWeight"] for variant in self.variants]
        return random.choices(self.variants, weights if any(weights) else None)[0]  # noqa: S311 - no secret

    def drain_and_stop(self) -> None:
        """Let calls finish and end all processes."""
        _together([variant.server.drain_and_stop for variant in self.variants])

    def stop(self) -> None:
        """End all processes."""
        _together([variant.server.stop for variant in self.variants])


class FleetClosed(Exception):  # noqa: N818 - an end that was asked for, not a defect
    """The end of a deployment that the server's own end interrupted."""


class Fleet:
    """Every endpoint's deployment, by the endpoint's ARN."""

    def __init__(self, clients: Clients, reaper: Reaper, directory: Path) -> None:
        self._clients = clients
        self._reaper = reaper
        self._directory = directory
        self._live: dict[str, Deployment] = {}
        self._changed = threading.Condition()
        self._starting: set[ModelServer] = set()
        self._closed = False

    def start(self, endpoint: str, region: str, plan: list[dict[str, Any]]) -> Deployment:
        """Start every variant of a plan and wait until all answer; raise JobFailed if one does not."""
        variants: list[Variant] = []
        with ExitStack() as undo:
            for definition in plan:
                server = self._start_server(endpoint, region, definition)
                undo.callback(server.stop)
                variants.append(Variant(definition, server))
            for variant in variants:
                self._wait_until_healthy(variant)
            undo.pop_all()
        return Deployment(tuple(variants))

    def swap(self, arn: str, deployment: Deployment) -> Deployment | None:
        """Let a deployment take over an endpoint's calls; gives the one before, for draining."""
        with self._changed:
            before = self._live.get(arn)
            self._live[arn] = deployment
            self._changed.notify_all()
            return before

    def take_down(self, arn: str) -> Deployment | None:
        """Let an endpoint's calls go nowhere; gives what served them."""
        with self._changed:
            return self._live.pop(arn, None)

    def borrow(self, arn: str, variant_name: str | None, calls: ExitStack) -> Variant:
        """Choose a variant for one call, kept alive until `calls` closes.

        An endpoint that comes back after a restart makes the call wait until its model answers.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: arn in self._live, _RESTART_LIMIT_S):
                raise AwsError("ServiceUnavailable", "The endpoint is starting.", 503)
            variant = self._live[arn].choose(variant_name)
            if variant is None:
                raise AwsError("ValidationError", f"Variant {variant_name} not found for Endpoint.")
            calls.enter_context(variant.server.use())
            return variant

    def close(self) -> None:
        """End every process; what still starts is ended too."""
        with self._changed:
            self._closed = True
            live, starting = list(self._live.values()), list(self._starting)
        _together([deployment.stop for deployment in live] + [server.stop for server in starting])

    def _start_server(self, endpoint: str, region: str, definition: dict[str, Any]) -> ModelServer:
        name = definition["VariantName"]
        directory = Path(tempfile.mkdtemp(dir=self._directory, prefix=f"{endpoint}-{name}-"))
        logs = self._clients.get("logs", region)
        stream = LogStream(logs, f"/aws/sagemaker/Endpoints/{endpoint}", f"{name}/i-{directory.name[-8:]}")
        server = start_model_server(
            definition["_container"],
            s3=self._clients.get("s3", region),
            environment=self._clients.environment(region),
            directory=directory,
            log=stream,
            reaper=self._reaper,
        )
        with self._changed:
            self._starting.add(server)
        return server

    def _wait_until_healthy(self, variant: Variant) -> None:
        limit_s = variant.definition.get("ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_LIMIT_S)
        healthy = variant.server.wait_until_healthy(limit_s)
        with self._changed:
            self._starting.discard(variant.server)
        if self._closed:
            raise FleetClosed
        if not healthy:
            raise JobFailed(
                f"The primary container for production variant {variant.name} did not pass the ping health"
                " check. Please check CloudWatch logs for this endpoint."
            )


def _together(actions: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
