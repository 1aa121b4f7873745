"""What a task finds in Airflow: settings, connections, its own run and others."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.sdk import BaseHook
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.aws import Aws
    from vigil.database import Database
    from vigil.settings import Settings

_SECTION = "vigil"
_DETECTION_PAGE = "dags/detect_anomalies"


def load_settings() -> Settings:
    """Read the options of the section `[vigil]` from wherever Airflow keeps them."""
    from vigil.settings import Settings, options_in, parse_settings

    # Airflow lists no section that it does not know, so known options are asked for one by one; the
    # environment is looked through beside that, or a misspelt option would go unnoticed.
    options = options_in(os.environ)
    for name in Settings.model_fields:
        value = conf.get(_SECTION, name, fallback=None)
        if value is not None:
            options[name] = value
    base_url = conf.get("api", "base_url", fallback=None)
    if base_url:
        options.setdefault("alert_link", f"{base_url.rstrip('/')}/{_DETECTION_PAGE}")
    return parse_settings(options)


def open_database(settings: Settings) -> Database:
    """Return the pipeline's own database."""
    return open_connection(settings, settings.database_conn_id)


def open_connection(settings: Settings, conn_id: str) -> Database:
    """Return the database of an Airflow connection, encrypted if the settings demand it.

    Raises:
        AirflowNotFoundException: there is no such connection; the message names it.
        SettingsError: the connection lacks a field.
    """
    from vigil.settings import database_of

    connection = BaseHook.get_connection(conn_id)
    return database_of(
        conn_id,
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        schema=connection.schema,
        extra=connection.extra_dejson,
        ca_file=settings.database_ca_file,
    )


def open_aws(settings: Settings) -> Aws:
    """Return clients of the Airflow connection that the settings name."""
    from vigil.aws import Aws

    hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=settings.aws_conn_id)
    return Aws(hook.get_session(), endpoint_url=hook.conn_config.endpoint_url)


def run_moment(context: Context) -> datetime:
    """Return when the run was due, the same for each of its tasks and tries; naive UTC."""
    from vigil.windows import to_utc

    run_after = context["dag_run"].run_after
    if run_after is None:
        raise ValueError(f"The run {context['run_id']} has no time after which it was due.")
    return to_utc(run_after)


def still_going_on(context: Context) -> Callable[[str], bool]:
    """Return what tells whether another run, by its name, may still train on what it has claimed."""

    def is_going_on(name: str) -> bool:
        dag_id, _, run_id = name.partition("/")
        ti = context["ti"]
        return bool(ti.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=["running", "queued"]))

    return is_going_on
