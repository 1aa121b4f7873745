"""What differs by environment, read once at the edge.

Each field is an Airflow option of the section `[vigil]`: `AIRFLOW__VIGIL__BUCKET` on a laptop, the
configuration option `vigil.bucket` on Amazon MWAA. Nothing here is read while a DAG is parsed.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from datetime import timedelta
from string import Formatter
from typing import Any, Self, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from vigil.database import Database
from vigil.errors import SettingsError
from vigil.paths import include_dir

ENVIRONMENT_PREFIX = "AIRFLOW__VIGIL__"
_CONNECTION_PREFIX = "AIRFLOW_CONN_"
# Names that earlier systems had for a setting; the setting itself wins.
_ALIASES = {"EVENT_ANOMALY_MODEL_PREFIX": "inherit_job_prefix"}
_MYSQL_PORT = 3306
# An option of Amazon MWAA cannot be empty.
NO_CERTIFICATES = "none"


class Settings(BaseModel):
    """Holds the pipeline's settings.

    Attributes:
        bucket: S3 bucket for exports, data sets, models and evaluations.
        alert_topic_arn: SNS topic that alerts are published to, standard or FIFO.
        sagemaker_role_arn: role that SageMaker's jobs and endpoints run as.
        key_arn: KMS key that SageMaker's jobs encrypt with what they write, whatever the bucket's own is;
            without it they take the account's key of S3.
        database_conn_id: Airflow connection of the database.
        database_ca_file: certificates to check database servers by; relative paths start in `include/`. With
            it no connection to a database is unencrypted, also none of a source; a connection's own `ssl_ca`
            wins. `none` is for a server on the same machine.
        aws_conn_id: Airflow connection of the AWS account.
        pipeline_file: file with the sources; relative paths start in `include/configs/`.
        allowed_lateness_s: seconds that a window stays open for late events after its end.
        too_late_after_h: hours behind its series' watermark from which an event is refused.
        event_retention_days: days that raw events are kept; counts are kept for ever.
        poll_interval_s: seconds between two looks at a job or a deployment.
        operations_topic_arn: SNS topic for notices of trainings and releases; without it nobody is told.
        image_push_queue_url: SQS queue to which EventBridge sends pushes to ECR; without it only the hourly
            look at the registry finds new images.
        alert_link: URL that alerts link to, as in https://graphs.example/d/counts?var-series={series}, with
            {series}, {from} and {to} filled in; by default Airflow's page of detect_anomalies.
        inherit_job_prefix: the mode `last_job` takes the hyperparameters of the last completed training job
            whose name begins so; `EVENT_ANOMALY_MODEL_PREFIX` is another name for it.
        environment: which of several environments in an account this is; tags training stacks.
        training_stack_role_arn: role that CloudFormation makes and removes training stacks with.
        schedule_role_arn: role that a training stack's schedule deletes the stack with.
        schedule_group: group of those schedules.
        schedule_dead_letter_arn: SQS queue that hears of deletions that a schedule could not bring about.
        instance_boundary_arn: permissions boundary of the role of a training stack's instance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(min_length=3, max_length=63)
    alert_topic_arn: str = Field(pattern=r"^arn:aws[a-z-]*:sns:.+")
    sagemaker_role_arn: str = Field(pattern=r"^arn:aws[a-z-]*:iam::.+")
    key_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:kms:.+")
    database_conn_id: str = "vigil_database"
    database_ca_file: str | None = Field(default=None, min_length=1)
    aws_conn_id: str = "aws_default"
    pipeline_file: str = "pipeline.yaml"
    allowed_lateness_s: float = Field(default=60, ge=0)
    too_late_after_h: float = Field(default=72, gt=0)
    event_retention_days: int = Field(default=90, ge=1)
    poll_interval_s: float = Field(default=15, gt=0)
    operations_topic_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:sns:.+")
    image_push_queue_url: str | None = Field(default=None, pattern=r"^https?://.+")
    alert_link: str | None = Field(default=None, pattern=r"^https?://\S+$", max_length=500)
    inherit_job_prefix: str = Field(default="linear-learner", pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*-?$")
    environment: str = Field(default="local", pattern=r"^[a-z][a-z0-9-]{1,15}$")
    training_stack_role_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::.+")
    schedule_role_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::.+")
    schedule_group: str | None = Field(default=None, pattern=r"^[0-9a-zA-Z-_.]{1,64}$")
    schedule_dead_letter_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:sqs:.+")
    instance_boundary_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::.+")

    @field_validator("alert_link")
    @classmethod
    def _link_can_be_filled_in(cls, link: str | None) -> str | None:
        reason = "only {series}, {from} and {to} can stand in braces; write other braces twice"
        try:
            parts = list(Formatter().parse(link or ""))
        except ValueError as error:
            raise ValueError(reason) from error
        # Behind a name, Python would follow attributes, and fill up to any width.
        for _, name, how, conversion in parts:
            if name is not None and (name not in ("series", "from", "to") or how or conversion):
                raise ValueError(reason)
        return link

    @model_validator(mode="after")
    def _late_events_find_their_window(self) -> Self:
        if self.too_late_after >= self.event_retention:
            raise ValueError(
                f"too_late_after_h ({self.too_late_after_h:g} h) must be shorter than event_retention_days "
                f"({self.event_retention_days} d), or a late event would be counted without the events that "
                "retention has dropped: lower the one or raise the other"
            )
        if self.allowed_lateness >= self.too_late_after:
            raise ValueError(
                "allowed_lateness_s must be shorter than too_late_after_h, or no event could ever be late"
            )
        return self

    @property
    def allowed_lateness(self) -> timedelta:
        """Return how long a window stays open after its end."""
        return timedelta(seconds=self.allowed_lateness_s)

    @property
    def too_late_after(self) -> timedelta:
        """Return how far behind the watermark an event may lie."""
        return timedelta(hours=self.too_late_after_h)

    @property
    def event_retention(self) -> timedelta:
        """Return how long raw events are kept."""
        return timedelta(days=self.event_retention_days)


def parse_settings(options: Mapping[str, Any]) -> Settings:
    """Check the options of the section `[vigil]`.

    Raises:
        SettingsError: an option is unknown, missing or contradicts another; the message names every one.
    """
    try:
        return Settings.model_validate(dict(options))
    except ValidationError as error:
        raise SettingsError(explain(error, "the settings [vigil]", Settings, ENVIRONMENT_PREFIX)) from error


def explain(error: ValidationError, what: str, model: type[BaseModel], prefix: str = "") -> str:
    """Tell a person what a validation error means and what to do.

    Args:
        error: as pydantic raised it.
        what: name of the thing that was checked, as a person knows it.
        model: the model that was checked, for the nearest known key.
        prefix: put before an option's name, as in an environment variable; the name then is upper case.
    """
    lines = [f"{what[0].upper()}{what[1:]} cannot be used:"]
    for problem in error.errors():
        path = ".".join(_readable(problem["loc"], model)) or "as a whole"
        name = f"{prefix}{path.upper()}" if prefix and problem["loc"] else path
        if problem["type"] == "missing":
            lines.append(f"- {name} is not set: set it.")
        elif problem["type"] == "union_tag_not_found":
            lines.append(f"- {name}.{problem['ctx']['discriminator'].strip(chr(39))} is not set: set it.")
        elif problem["type"] == "extra_forbidden":
            lines.append(f"- {name} is unknown{_nearest(problem['loc'], model)}")
        else:
            lines.append(f"- {name}: {problem['msg'].removeprefix('Value error, ')}.")
    return "\n".join(lines)


def _nearest(path: tuple[int | str, ...], model: type[BaseModel]) -> str:
    known = sorted(_fields_of(_model_at(path[:-1], model)))
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f": did you mean {near[0]}?" if near else f"; known are {', '.join(known)}."


def _readable(path: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Return a path as it stands in the file: without the tags that pydantic adds for parts of a union."""
    return [
        str(part)
        for place, part in enumerate(path)
        if isinstance(part, int)
        or place == len(path) - 1
        or part in _fields_of(_model_at(path[:place], model))
    ]


def _model_at(path: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel]:
    """Return the model at a path such as `sources.0.simulator`: fields, places in lists, tags of unions."""
    models = [model]
    for part in path:
        fields = [_fields_of(found)[str(part)] for found in models if part in _fields_of(found)]
        if fields:
            models = _models_in(fields[0].annotation)
        elif isinstance(part, str):
            models = [m for m in models if part in get_args(m.model_fields["kind"].annotation)]
    return models[0]


def _fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by the names that they have in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation, also of an optional field, of a list's items or of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def settings_from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `AIRFLOW__VIGIL__…` variables, without Airflow."""
    return parse_settings(options_in(os.environ if environment is None else environment))


def options_in(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that variables of the environment set, by name; misspelt ones too."""
    aliases = {option: environment[name] for name, option in _ALIASES.items() if environment.get(name)}
    return aliases | {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }


def database_from_environment(
    conn_id: str = "vigil_database", environment: Mapping[str, str] | None = None
) -> Database:
    """Read the database from Airflow's own connection variable, without Airflow.

    Raises:
        SettingsError: the variable is missing or is not a connection.
    """
    environment = os.environ if environment is None else environment
    variable = f"{_CONNECTION_PREFIX}{conn_id.upper()}"
    text = environment.get(variable)
    if not text:
        raise SettingsError(
            f"{variable} is not set: set it to mysql://user:password@host:port/schema, or run through "
            "`make`, which sets it for the laptop's own database."
        )
    return parse_connection(text, variable, options_in(environment).get("database_ca_file"))


def parse_connection(text: str, name: str, ca_file: str | None = None) -> Database:
    """Read a database from an Airflow connection, written as URI or JSON.

    Args:
        text: `mysql://user:password@host:port/schema?ssl_ca=file`, or Airflow's JSON form of it.
        name: what to call it in errors; the text holds a password and is never shown.
        ca_file: the setting `database_ca_file`.

    Raises:
        SettingsError: it is no connection, or a field that is needed is empty.
    """
    try:
        fields = _fields_of_json(text) if text.lstrip().startswith("{") else _fields_of_uri(text)
    except ValueError:
        # Its message and its traceback would show parts of the password.
        fields = None
    if fields is None:
        raise SettingsError(
            f"The connection {name} cannot be read: write mysql://user:password@host:port/schema with "
            "/ # ? @ : % [ ] in the password as %2F %23 %3F %40 %3A %25 %5B %5D, or Airflow's JSON form."
        )
    return database_of(name, **fields, ca_file=ca_file)


def _fields_of_json(text: str) -> dict[str, Any]:
    content = json.loads(text)
    fields = {field: content.get(field) for field in ("host", "port", "login", "password", "schema")}
    extra = content.get("extra") or {}
    return {**fields, "extra": json.loads(extra) if isinstance(extra, str) else extra}


def _fields_of_uri(text: str) -> dict[str, Any]:
    uri = urlsplit(text)
    return {
        "host": uri.hostname,
        "port": uri.port,
        "login": unquote(uri.username or ""),
        "password": unquote(uri.password or ""),
        "schema": uri.path.strip("/"),
        "extra": {key: values[-1] for key, values in parse_qs(uri.query).items()},
    }


def database_of(
    name: str,
    *,
    host: str | None,
    port: int | None,
    login: str | None,
    password: str | None,
    schema: str | None,
    extra: Mapping[str, Any],
    ca_file: str | None = None,
) -> Database:
    """Build a database from the fields of an Airflow connection.

    Args:
        name: of the connection.
        host: name or address of the server.
        port: MySQL's own by default.
        login: who logs in.
        password: of the login.
        schema: that holds the tables.
        extra: its `ssl_ca` names certificates to check the server by; a relative path starts in `include/`.
        ca_file: the setting `database_ca_file`, for a connection that names none.

    Raises:
        SettingsError: a field that is needed is empty; the message names it.
    """
    empty = [field for field, value in (("host", host), ("login", login), ("schema", schema)) if not value]
    if empty:
        raise SettingsError(f"The connection {name} has no {' and no '.join(empty)}: add it.")
    certificates = extra.get("ssl_ca") or ca_file or NO_CERTIFICATES
    return Database(
        host=str(host),
        port=port or _MYSQL_PORT,
        user=str(login),
        password=password or "",
        name=str(schema),
        ca_file=None if certificates == NO_CERTIFICATES else str(include_dir() / certificates),
    )
