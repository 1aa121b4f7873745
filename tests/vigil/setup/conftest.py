"""An environment that lacks nothing, and what breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import pytest

from deploy.stacks import delete_stack
from deploy.templates import stack_name
from local_stack.provisioning import TEMPLATES, provision, write_settings
from vigil.aws import Aws
from vigil.database import Database
from vigil.settings import Settings, parse_settings
from vigil.setup import models
from vigil.setup.checks import CHECKS
from vigil.setup.findings import Finding, examine
from vigil.setup.ground import Ground
from vigil.windows import now

Examine = Callable[..., dict[str, Finding]]
# What is looked at before anything is asked of AWS.
ON_THIS_SIDE = CHECKS[: [check.what for check in CHECKS].index("AWS")]
PASSWORD = "a-password-that-nobody-shows"


@pytest.fixture(scope="module")
def account(local_aws: str) -> Aws:
    session = boto3.session.Session("local", "local", region_name="eu-west-1")
    return Aws(session, endpoint_url=local_aws)


@pytest.fixture(scope="module")
def provisioned(account: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of an environment that was provisioned as a laptop's is."""
    environment = f"t-{uuid4().hex[:8]}"
    cloudformation = account.client("cloudformation")
    parameters = {"RequireTls": "false", "Environment": environment, "ModelName": f"m-{environment}"}
    outputs = provision(cloudformation, parameters)
    file = tmp_path_factory.mktemp("settings") / "settings.json"
    write_settings(outputs, file, {})
    yield parse_settings(json.loads(file.read_text()))
    for template in reversed(TEMPLATES):
        delete_stack(cloudformation, stack_name(environment, template), poll_s=0.1)


@pytest.fixture
def login(database: Database) -> Iterator[Database]:
    """A login that may do what it must, and no more."""
    held = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX"
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP USER IF EXISTS 'careful'@'%'")
        cursor.execute(f"CREATE USER 'careful'@'%' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute(f"GRANT {held} ON `{database.name}`.* TO 'careful'@'%'")
        yield replace(database, user="careful", password=PASSWORD)
        cursor.execute("DROP USER 'careful'@'%'")


@pytest.fixture
def _nothing_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of names that nobody has: tests before may have left a release of the real ones."""
    name = f"m-{uuid4().hex[:8]}"
    monkeypatch.setattr(models, "pipeline_of", lambda ground: SimpleNamespace(model=name))
    monkeypatch.setattr(models, "specs", lambda: [SimpleNamespace(endpoint=SimpleNamespace(name=name))])


@pytest.fixture
def asked(account: Aws, provisioned: Settings, login: Database, _nothing_is_released: None) -> Examine:
    """Go through all checks on that ground, or on one that differs from it; return findings by name."""

    def ask(account_too: bool = True, **changes: Any) -> dict[str, Finding]:
        settings = provisioned.model_copy(update=changes.pop("settings", {}))
        ground = Ground(
            read_settings=changes.pop("read_settings", lambda: settings),
            open_connection=changes.pop("open_connection", lambda _, conn_id: login),
            open_aws=changes.pop("open_aws", lambda settings: account),
            now=changes.pop("now", now),
            variables=changes.pop("variables", {}),
            **changes,
        )
        checks = CHECKS if account_too else ON_THIS_SIDE
        findings = {finding.what: finding for finding in examine(checks, ground)}
        assert PASSWORD not in str(list(map(str, findings.values())))
        return findings

    return ask


@pytest.fixture
def broken(asked: Examine) -> Callable[..., Finding]:
    """Go through all checks, and return the one finding that fails."""

    def ask(**changes: Any) -> Finding:
        bad = [finding for finding in asked(**changes).values() if finding.outcome == "fail"]
        assert len(bad) == 1, [str(finding) for finding in bad]
        assert bad[0].fix
        return bad[0]

    return ask
