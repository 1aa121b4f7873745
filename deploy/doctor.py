"""What an environment lacks, asked from outside: by the deployer, with the environment's own settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deploy.environment import Environment
from deploy.errors import DeployError
from deploy.planning import known_values
from deploy.templates import vigil_settings
from vigil.aws import Aws
from vigil.database import Database
from vigil.errors import SettingsError
from vigil.settings import Settings, database_of, parse_settings
from vigil.setup.checks import CHECKS
from vigil.setup.findings import Check, Finding, Look, as_json, examine, failures, not_applicable, summary
from vigil.setup.ground import Ground
from vigil.setup.mwaa import NAME_VARIABLE
from vigil.windows import now

_CONNECTION = "vigil_database"


def examine_environment(aws: Aws, environment: Environment) -> list[Finding]:
    """Go through all checks; those of a database in a private network are left to `check_setup`."""
    values = known_values(aws, environment)

    def read_settings() -> Settings:
        try:
            return parse_settings(vigil_settings(values))
        except DeployError as error:
            raise SettingsError(f"{error} Run `make deploy ENV={environment.name}`.") from error

    ground = Ground(
        read_settings=read_settings,
        open_connection=lambda settings, conn_id: _read_connection(aws, environment, settings, conn_id),
        open_aws=lambda _: aws,
        now=now,
        variables={NAME_VARIABLE: values["EnvironmentName"]} if "EnvironmentName" in values else {},
        airflow_role_arn=values.get("AirflowRoleArn"),
    )
    reaches_database = environment.endpoint is not None
    return examine([check if reaches_database else _from_outside(check) for check in CHECKS], ground)


def report(findings: Sequence[Finding], file: Path, tell: Callable[[str], None]) -> bool:
    """Tell every finding and keep all of them as JSON; return whether nothing has to be mended."""
    for finding in findings:
        tell(str(finding))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(as_json(findings), indent=2) + "\n", encoding="utf-8")
    tell(summary(findings))
    return not failures(findings)


def _from_outside(check: Check) -> Check:
    if not check.what.startswith("database"):
        return check
    return Check(check.what, _only_inside)


def _only_inside(_: Ground) -> Look:
    return not_applicable("the database is reached from inside its network", "run check_setup in Airflow")


def _read_connection(aws: Aws, environment: Environment, settings: Settings, conn_id: str) -> Database:
    """Read a connection from its secret, by the words that Airflow and Amazon RDS have for its fields."""
    name = environment.secret_name.replace(_CONNECTION, conn_id)
    fields: dict[str, Any] = json.loads(
        aws.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    )
    return database_of(
        conn_id,
        host=fields.get("host"),
        port=fields.get("port"),
        login=fields.get("login", fields.get("username")),
        password=fields.get("password"),
        schema=fields.get("schema", fields.get("dbname")),
        extra=json.loads(fields.get("extra", "{}")),
        ca_file=settings.database_ca_file,
    )
