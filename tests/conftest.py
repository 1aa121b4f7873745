"""What several folders of tests need: a database of their own, the embedded AWS."""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import boto3
import botocore.loaders
import pymysql
import pytest
from hypothesis import settings as examples

from tests.airflow_home import point_airflow_at_a_fresh_home
from tests.certificates import ServerCertificate, make_certificate

# Airflow reads its environment when it is first imported, which any test module may do.
AIRFLOW_HOME = point_airflow_at_a_fresh_home()
# Read when XGBoost is first imported: its threads share few cores with other workers, and must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says more of who else works on the machine than of the code.
examples.register_profile("vigil", deadline=None)
examples.load_profile("vigil")

from local_stack.mariadb import MariaDB
from local_stack.mysql import MySQL
from local_stack.ports import free_port
from local_stack.private_server import PrivateServer
from vigil.aws import Aws
from vigil.database import Database
from vigil.migrations import migrate
from vigil.settings import Settings, settings_from_environment

SMALL_SERVER = {
    "innodb-buffer-pool-size": "64M",
    "loose-innodb-log-file-size": "32M",  # MySQL knows it no more
    "innodb-flush-log-at-trx-commit": "0",
    "performance-schema": "OFF",
}
LOCAL_AWS_START_LIMIT_S = 60


def pytest_sessionfinish() -> None:
    """Let pytest collect no garbage at the end: it would look through all of Airflow five times."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _services_are_described_once() -> Iterator[None]:
    """Each test, and each task, has an AWS session of its own, which would read long descriptions anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(botocore.loaders.create_loader))
        yield


# "mysql" for the server that `make test-mysql` takes; then what needs no database is left out.
TEST_SERVER = "VIGIL_TEST_SERVER"
SERVERS: dict[str | None, type[PrivateServer]] = {None: MariaDB, "mysql": MySQL}

# They take longest, each in one worker: begun last, they would keep the others waiting at the end.
LONG_FILES = ("test_under_the_scheduler.py", "test_parity.py", "test_triggers.py", "test_training_stacks.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long files first; leave out what another server than the usual one could not change."""
    if TEST_SERVER in os.environ:
        needs: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            needs["database_server" in getattr(item, "fixturenames", ())].append(item)
        config.hook.pytest_deselected(items=needs[False])
        items[:] = needs[True]
    items.sort(key=lambda item: item.path.name not in LONG_FILES)
    items.sort(key=lambda item: item.path.name != LONG_FILES[0])


@pytest.fixture(scope="session")
def server_certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    """What the server of this test process shows to those who ask for encryption."""
    return make_certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def database_server(
    tmp_path_factory: pytest.TempPathFactory, server_certificate: ServerCertificate
) -> Iterator[PrivateServer]:
    """A real server of this test process's own."""
    certificate = {
        "ssl-cert": str(server_certificate.certificate),
        "ssl-key": str(server_certificate.key),
    }
    kind = SERVERS[os.environ.get(TEST_SERVER)]
    server = kind(tmp_path_factory.mktemp("database"), 0, SMALL_SERVER | certificate)
    server.prepare()
    # Chosen last: preparing takes seconds, in which somebody else may take a port that is free.
    server = replace(server, port=free_port())
    process = server.start()
    try:
        yield server
    finally:
        process.kill()
        process.wait(timeout=20)


@pytest.fixture(scope="session")
def _migrated(database_server: PrivateServer) -> Database:
    migrate(database_server.database)
    return database_server.database


@pytest.fixture
def database(_migrated: Database) -> Iterator[Database]:
    """A migrated schema with empty tables."""
    yield _migrated
    empty(_migrated)


@pytest.fixture
def blank_database(database_server: PrivateServer) -> Iterator[Database]:
    """A schema without a table."""
    login = database_server.database
    blank = Database(login.host, login.port, login.user, login.password, "blank")
    with login.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS blank")
        cursor.execute("CREATE DATABASE blank CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    yield blank
    with login.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE blank")


def empty(database: Database) -> None:
    """Delete every row of every table but the log of migrations."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
        for (table,) in cursor.fetchall():
            if table != "schema_migrations":
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - the name comes from the server
        connection.commit()


@pytest.fixture
def connection(database: Database) -> Iterator[pymysql.connections.Connection]:
    """An open connection to the migrated schema."""
    opened = database.connect()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an embedded AWS of this test process's own."""
    state = tmp_path_factory.mktemp("local-aws")
    log = (state / "log").open("wb")
    place = ["--port", "0", "--in-memory", "--state-dir", str(state)]
    process = subprocess.Popen(
        [sys.executable, "-m", "local_aws", "serve", *place],
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield _address_of(process, state)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


@pytest.fixture(scope="session", autouse=True)
def _airflow_home() -> Iterator[None]:
    """Delete Airflow's folder at the end."""
    yield
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_metadata() -> None:
    """Create Airflow's own database."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def vigil_environment(aws: Aws, database: Database, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Let tasks find the test's database, the embedded AWS, and a bucket, topic and role in it."""
    suffix = uuid.uuid4().hex[:8]
    bucket = f"vigil-{suffix}"
    aws.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    topic = aws.client("sns").create_topic(Name=f"alerts-{suffix}")["TopicArn"]
    options = {
        "BUCKET": bucket,
        "ALERT_TOPIC_ARN": topic,
        "SAGEMAKER_ROLE_ARN": "arn:aws:iam::123456789012:role/sagemaker",
        "KEY_ARN": "arn:aws:kms:eu-west-1:123456789012:key/any",
        "ALLOWED_LATENESS_S": "10",
        "POLL_INTERVAL_S": "0.2",
    }
    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__VIGIL__{name}", value)
    connection = f"mysql://{database.user}:{database.password}@127.0.0.1:{database.port}/{database.name}"
    monkeypatch.setenv("AIRFLOW_CONN_VIGIL_DATABASE", connection)
    return settings_from_environment()


def _address_of(process: subprocess.Popen[bytes], state: Path) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + LOCAL_AWS_START_LIMIT_S
    while time.monotonic() < deadline:
        readable, _, _ = select.select([process.stdout], [], [], 0.5)
        if readable:
            line = process.stdout.readline().decode()
            if not line:
                break
            if "ready" in line:
                return line.split()[-1]
    raise AssertionError(f"The embedded AWS did not start: {(state / 'log').read_text()}")


@pytest.fixture
def aws(local_aws: str, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Clients of the embedded AWS; the environment points there too."""
    for name, value in aws_environment(local_aws).items():
        monkeypatch.setenv(name, value)
    return Aws(boto3.session.Session(region_name="eu-west-1"))


def aws_environment(address: str) -> dict[str, str]:
    """Return the variables that make every AWS client talk to the embedded AWS."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.environ["PATH"],
    }
