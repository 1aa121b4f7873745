"""The models that serve now: deployments come up beside one another, share the calls, and are drained."""

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

    def find(self, name: str) -> Variant | None:
        """Find the variant of a name."""
        return next((variant for variant in self.variants if variant.name == name), None)

    def choose(self) -> Variant:
        """Pick a variant by weight."""
        weights = [variant.definition["InitialVariantWeight"] for variant in self.variants]
        return random.choices(self.variants, weights if any(weights) else None)[0]  # noqa: S311 - no secret

    def drain_and_stop(self) -> None:
        """Let calls finish and end all processes."""
        _together([variant.server.drain_and_stop for variant in self.variants])

    def stop(self) -> None:
        """End all processes."""
        _together([variant.server.stop for variant in self.variants])


@dataclass(frozen=True)
class Traffic:
    """The deployments of one endpoint, each with its share of the calls; a share of 0 takes none."""

    shares: tuple[tuple[Deployment, float], ...]

    def choose(self, name: str | None) -> Variant | None:
        """Pick a deployment by share, and in it a variant by weight; or the variant of a name."""
        taking = [
            (deployment, share)
            for deployment, share in self.shares
            if share > 0 and (name is None or deployment.find(name))
        ]
        if not taking:
            return None
        chosen, _ = random.choices(taking, [share for _, share in taking])[0]  # noqa: S311 - no secret
        return chosen.find(name) if name else chosen.choose()


class FleetClosed(Exception):  # noqa: N818 - an end that was asked for, not a defect
    """The end of a deployment that the server's own end interrupted."""


class Fleet:
    """Every endpoint's deployments, by the endpoint's ARN."""

    def __init__(self, clients: Clients, reaper: Reaper, directory: Path) -> None:
        self._clients = clients
        self._reaper = reaper
        self._directory = directory
        self._live: dict[str, Traffic] = {}
        self._changed = threading.Condition()
        self._starting: set[ModelServer] = set()
        self._closed = threading.Event()

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

    def serve(self, arn: str, deployment: Deployment) -> None:
        """Let one deployment answer all of an endpoint's calls, and forget any other."""
        self._route(arn, Traffic(((deployment, 1.0),)))

    def share(self, arn: str, old: Deployment, new: Deployment, part: float) -> None:
        """Let two deployments answer an endpoint's calls.

        Args:
            arn: The endpoint.
            old: Answers what the new one does not.
            new: Answers its part.
            part: Of all calls, 0 to 1.
        """
        self._route(arn, Traffic(((old, 1.0 - part), (new, part))))

    def serving(self, arn: str) -> Deployment:
        """Give the deployment that answers a steady endpoint's calls."""
        with self._changed:
            ((deployment, _),) = self._live[arn].shares
            return deployment

    def pause(self, seconds: float) -> None:
        """Let time pass; raise FleetClosed as soon as the server ends."""
        if self._closed.wait(seconds):
            raise FleetClosed

    def take_down(self, arn: str) -> Deployment | None:
        """Let a steady endpoint's calls go nowhere; gives what served them."""
        with self._changed:
            if arn not in self._live:
                return None
            deployment = self.serving(arn)
            del self._live[arn]
            return deployment

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
            self._closed.set()
            live = [deployment for traffic in self._live.values() for deployment, _ in traffic.shares]
            starting = list(self._starting)
        _together([deployment.stop for deployment in live] + [server.stop for server in starting])

    def _route(self, arn: str, traffic: Traffic) -> None:
        with self._changed:
            self._live[arn] = traffic
            self._changed.notify_all()

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
        if self._closed.is_set():
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
