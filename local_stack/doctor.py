"""What is missing on this machine: the checks of `vigil.setup`, asked as Airflow's processes would be."""

from __future__ import annotations

from functools import partial

from local_stack.lifecycle import aws_of
from local_stack.stack import Stack
from vigil.errors import SettingsError
from vigil.settings import Settings, database_from_environment, settings_from_environment
from vigil.setup.checks import CHECKS
from vigil.setup.findings import Finding, examine
from vigil.setup.ground import Ground
from vigil.windows import now


def examine_stack(stack: Stack) -> list[Finding]:
    """Go through all checks with what the stack's processes find in their environment."""
    variables = stack.environment() if stack.settings_file.exists() else {}
    ground = Ground(
        read_settings=partial(_read_settings, variables),
        open_connection=lambda _, conn_id: database_from_environment(conn_id, variables),
        open_aws=lambda _: aws_of(stack),
        now=now,
        variables=variables,
    )
    return examine(CHECKS, ground)


def _read_settings(variables: dict[str, str]) -> Settings:
    if not variables:
        raise SettingsError("Nothing has been provisioned on this machine: run `make up`.")
    return settings_from_environment(variables)
