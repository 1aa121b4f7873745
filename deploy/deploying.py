"""The course of a deployment. Each step may be repeated: one that was killed is just run again.

Order: what the code needs in the account; migrations, which the code before them does not mind; what
Airflow's processes start with, so that Amazon MWAA replaces them; SQL and configuration; DAGs; what is no
longer wanted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from deploy.airflow_runs import AirflowRuns
from deploy.code import Code
from deploy.code_bucket import (
    DAGS,
    INCLUDE,
    MIGRATIONS,
    START_FILES,
    CodeBucket,
    Deployment,
    StoredFile,
    compare,
)
from deploy.environment import Environment
from deploy.errors import DeployError
from deploy.planning import (
    AIRFLOW,
    DATABASE,
    VERSION_PARAMETERS,
    exists,
    known_values,
    templates_of,
    zones_in_use,
)
from deploy.stacks import bring_about, change_stack, outputs_of, tag_list
from deploy.templates import parse_template, read_template, stack_name
from vigil.aws import Aws
from vigil.settings import parse_connection

MIGRATION_DAG = "migrate_database"


@dataclass(frozen=True)
class Deployer:
    """Deploys to one environment.

    Attributes:
        environment: where to.
        aws: clients with the deployer's permissions.
        tell: is told each step, a line at a time.
        take_over: go on although another deployment is said to be going on.
        migrated: somebody has run the migrations, so they are not run here.
        poll_s: seconds between two looks at what takes time.
    """

    environment: Environment
    aws: Aws
    tell: Callable[[str], None]
    take_over: bool = False
    migrated: bool = False
    poll_s: float = 5.0

    def deploy(self, code: Code) -> Deployment:
        """Bring about every stack, and put the code in place.

        Raises:
            DeployError: a step failed; the message says which, and the way out.
        """
        with ExitStack() as alone:
            present = self._code_bucket()
            if present:
                alone.enter_context(present.locked(self.take_over))
            values = self.environment.given_values | zones_in_use(self.aws, self.environment)
            for template in templates_of(self.environment):
                if template.name == DATABASE and not exists(self.aws, self.environment, DATABASE):
                    # It is protected once it is there: a creation that fails can be taken back.
                    self._bring_about(DATABASE, {**values, "DeletionProtection": "false"})
                if template.name != AIRFLOW:
                    values |= self._bring_about(template.name, values)
            self._write_connection(values)
            bucket = self._existing_code_bucket()
            if not present:
                alone.enter_context(bucket.locked(self.take_over))
            return self._put_in_place(code, bucket, known_values(self.aws, self.environment))

    def put_in_place(self, code: Code) -> Deployment:
        """Put code in place, and let Airflow take it up with its own template; no other stack changes.

        Raises:
            DeployError: a step failed; the message says which, and the way out.
        """
        bucket = self._existing_code_bucket()
        with bucket.locked(self.take_over):
            current = bucket.current()
            # The tables are that far, and what is in place now may be too broken to run anything.
            migrated = current is not None and newest_migration(code.wanted) <= newest_migration(
                current.files
            )
            return replace(self, migrated=self.migrated or migrated)._put_in_place(code, bucket, None)

    def _code_bucket(self) -> CodeBucket | None:
        name = known_values(self.aws, self.environment).get("CodeBucketName")
        return CodeBucket(self.aws.client("s3"), name) if name else None

    def _existing_code_bucket(self) -> CodeBucket:
        bucket = self._code_bucket()
        if bucket is None:
            raise DeployError(
                f"The environment {self.environment.name} has no code bucket: deploy to it first, or name "
                "the bucket as CodeBucketName under parameters."
            )
        return bucket

    def _put_in_place(self, code: Code, bucket: CodeBucket, values: Mapping[str, str] | None) -> Deployment:
        present = bucket.files_in_place()
        changes = compare({key: file.sha256 for key, file in present.items()}, code.wanted)
        kept = code.wanted.keys() - set(changes.written)
        files = {key: file for key, file in present.items() if key in kept}

        def put(belongs: Callable[[str], bool]) -> None:
            keys = [key for key in changes.written if key not in files and belongs(key)]
            if keys:
                self.tell(f"uploading {_counted(keys)}")
                files.update(code.put(bucket, keys))

        runs_already = f"{DAGS}{MIGRATION_DAG}.py" in present and exists(self.aws, self.environment, AIRFLOW)
        put(lambda key: key.startswith(MIGRATIONS))
        if runs_already:
            self._migrate(code)
        put(lambda key: key in START_FILES)
        if AIRFLOW not in self.environment.leave_out:
            self._update_airflow(_versions(files), values, bucket)
        put(lambda key: key.startswith(INCLUDE))
        put(lambda key: True)
        if changes.removed:
            self.tell(f"removing {_counted(changes.removed)}")
            bucket.remove(changes.removed)
        if not runs_already:
            self._migrate(code)
        current = bucket.current()
        if current and current.files == files:
            return current
        return bucket.record(files, datetime.now(UTC))

    def _update_airflow(
        self, versions: Mapping[str, str], values: Mapping[str, str] | None, bucket: CodeBucket
    ) -> None:
        name, cloudformation = stack_name(self.environment.name, AIRFLOW), self.aws.client("cloudformation")
        if values is not None:
            self._bring_about(AIRFLOW, {**values, **versions})
        else:
            self.tell(f"{AIRFLOW}: changing what it starts with")
            body = bucket.environment_template()
            template = parse_template(AIRFLOW, body) if body else None
            change_stack(cloudformation, name, template, versions, self.poll_s)
        # A stack's tags do not reach an Amazon MWAA environment.
        tags = tag_list(self.environment.name, self.environment.tags)
        self.aws.client("mwaa").tag_resource(
            ResourceArn=outputs_of(cloudformation, name)["EnvironmentArn"],
            Tags={tag["Key"]: tag["Value"] for tag in tags},
        )

    def _bring_about(self, template: str, values: Mapping[str, str]) -> dict[str, str]:
        self.tell(f"{template}: bringing about")
        return bring_about(
            self.aws.client("cloudformation"),
            self.environment.name,
            read_template(template),
            values,
            tags=self.environment.tags,
            poll_s=self.poll_s,
        )

    def _migrate(self, code: Code) -> None:
        """Bring the tables up to what the code needs."""
        if self.migrated or AIRFLOW in self.environment.leave_out:
            return
        newest = newest_migration(code.wanted)
        self.tell(f"running {MIGRATION_DAG} up to {newest:04d}")
        runs = AirflowRuns(self.aws.client("mwaa"), f"vigil-{self.environment.name}", self.poll_s)
        runs.run_to_its_end(MIGRATION_DAG, f"deploy-{datetime.now(UTC):%Y%m%dT%H%M%SZ}", {"up_to": newest})

    def _write_connection(self, values: Mapping[str, str]) -> None:
        """Write the connection to a database of one's own into its secret, if it says something else."""
        variable = self.environment.database_connection_from
        if not variable:
            return
        text = os.environ.get(variable, "")
        if not text:
            raise DeployError(
                f"{variable} is not set: the environment {self.environment.name} takes the database "
                "connection from it. Set it to mysql://user:password@host:port/schema."
            )
        tags = tag_list(self.environment.name, self.environment.tags)
        write_secret(
            self.aws, self.environment.secret_name, connection_secret(text, variable), values["KeyArn"], tags
        )
        self.tell(f"the secret {self.environment.secret_name} holds the connection")


def newest_migration(keys: Iterable[str]) -> int:
    """Return the number of the newest migration among a deployment's files."""
    files = (key.removeprefix(MIGRATIONS) for key in keys if key.startswith(MIGRATIONS))
    return max((int(file.partition("_")[0]) for file in files), default=0)


def connection_secret(text: str, name: str) -> str:
    """Return an Airflow connection as the JSON that its Secrets Manager backend reads.

    Args:
        text: the connection as URI or JSON.
        name: what to call it in errors; the text is never shown.
    """
    database = parse_connection(text, name)
    secret: dict[str, Any] = {
        "conn_type": "mysql",
        "host": database.host,
        "port": database.port,
        "login": database.user,
        "password": database.password,
        "schema": database.name,
    }
    if database.ca_file:
        secret["extra"] = json.dumps({"ssl_ca": database.ca_file})
    return json.dumps(secret, sort_keys=True)


def write_secret(aws: Aws, name: str, text: str, key: str, tags: list[dict[str, str]]) -> None:
    """Create a secret, or change it where it says something else or is encrypted with another key."""
    secrets = aws.client("secretsmanager")
    try:
        present = secrets.get_secret_value(SecretId=name)["SecretString"]
    except secrets.exceptions.ResourceNotFoundException:
        secrets.create_secret(Name=name, SecretString=text, KmsKeyId=key, Tags=tags)
        return
    if (present, secrets.describe_secret(SecretId=name).get("KmsKeyId")) != (text, key):
        secrets.update_secret(SecretId=name, SecretString=text, KmsKeyId=key)
    secrets.tag_resource(SecretId=name, Tags=tags)


def _versions(files: Mapping[str, StoredFile]) -> dict[str, str]:
    return {parameter: files[key].version for key, parameter in VERSION_PARAMETERS.items()}


def _counted(keys: Iterable[str]) -> str:
    found = list(keys)
    return found[0] if len(found) == 1 else f"{len(found)} files, {found[0]} to {found[-1]}"
