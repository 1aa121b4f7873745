"""Bring the whole stack up, and down again. Both may be said twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import boto3
import httpx

from local_stack.airflow import AirflowApi, every, prepare_metadata
from local_stack.processes import AIRFLOW, SERVICES, Processes
from local_stack.provisioning import provision, write_settings
from local_stack.stack import PROJECT, REGION, Stack
from vigil.aws import Aws
from vigil.migrations import migrate

_AWS_START_LIMIT_S = 60
_MADE_HERE = ("var", "build", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache")

Tell = Callable[[str], None]


def aws_of(stack: Stack) -> Aws:
    """Return clients of the stack's embedded AWS."""
    environment = stack.aws_environment()
    session = boto3.session.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    return Aws(session, endpoint_url=stack.aws_url)


def bring_up(stack: Stack, tell: Tell) -> AirflowApi:
    """Start database, embedded AWS and Airflow; return once all of them are healthy.

    Args:
        stack: what to start.
        tell: is told what is going on, a line at a time.
    """
    start_services(stack, tell)
    return start_airflow(stack, tell)


def start_services(
    stack: Stack, tell: Tell, further_settings: dict[str, Any] | None = None
) -> dict[str, str]:
    """Start database and embedded AWS, migrate and provision; return the provisioned stack's outputs.

    Args:
        stack: what to start.
        tell: is told what is going on, a line at a time.
        further_settings: options of the section [vigil] beyond those that provisioning finds.
    """
    start_bare_services(stack, tell)
    for migration in migrate(stack.database):
        tell(f"migrated the database: {migration.name}")
    outputs = provision(aws_of(stack).client("cloudformation"), {"RequireTls": "false"})
    write_settings(outputs, stack.settings_file, further_settings or {})
    tell(f"provisioned {outputs['BucketName']} and what goes with it")
    return outputs


def start_bare_services(stack: Stack, tell: Tell) -> None:
    """Start database and embedded AWS, and put nothing into them."""
    if not stack.external:
        _start_processes(stack, tell)
    _wait_for_aws(stack)


def start_airflow(stack: Stack, tell: Tell) -> AirflowApi:
    """Start Airflow; return a client that is logged in, once all of its parts are healthy."""
    if not stack.external:
        tell("starting Airflow")
        prepare_metadata(stack)
        Processes(stack).start_group(AIRFLOW)
    api = AirflowApi(stack)
    api.wait_until_healthy()
    api.log_in()
    tell(f"Airflow is healthy: {stack.airflow_url}")
    return api


def bring_down(stack: Stack) -> None:
    """Stop everything that the stack runs; what it stored stays."""
    if not stack.external:
        Processes(stack).stop()


def clean() -> None:
    """Delete everything that was made on this machine but .venv; what runs must have been stopped."""
    for folder in (PROJECT / name for name in _MADE_HERE):
        if folder.exists():
            shutil.rmtree(folder)


def _start_processes(stack: Stack, tell: Tell) -> None:
    processes = Processes(stack)
    if stack.uses_private_database:
        tell("preparing the database")
        stack.mariadb.prepare()
    processes.start()
    tell("starting the database and the embedded AWS")
    processes.start_group(SERVICES)
    if stack.uses_private_database:
        stack.mariadb.wait_until_ready()


def _wait_for_aws(stack: Stack) -> None:
    for _ in every(0.05, _AWS_START_LIMIT_S, f"the embedded AWS to answer, see {stack.logs}/local-aws.log"):
        if _answers(stack.aws_url):
            return


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_health", timeout=5).is_success
    except httpx.HTTPError:
        return False
