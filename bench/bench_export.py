"""Measures the weekly export against Airflow's SqlToS3Operator on the same table.

Each run is a fresh process, imports included, against a private MariaDB and S3 by moto.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import boto3
from botocore.exceptions import EndpointConnectionError

from bench.report import Contender, Sample, measure, write_report
from local_stack.mariadb import MariaDB
from local_stack.ports import free_port
from vigil.aws import S3Location
from vigil.database import Database, connected
from vigil.migrations import migrate
from vigil.training.counts.export import MANIFEST, read_manifest, read_parts

MANY, FEW = 5_000_000, 500_000
RUNS = 3
# A year of a series is 105,120 windows.
WINDOWS_A_SERIES = 100_000
BUCKET = "bench-export"
FIRST = datetime(2025, 1, 6)
LAST = FIRST + timedelta(days=366)
LEAST_TIME_RATIO, LEAST_MEMORY_RATIO, MOST_MB = 5, 10, 150
# Peaks of the same work differ by the allocator's mood; growth with the rows would be tenfold.
SAME_MB = 10
MOTO_START_LIMIT_S = 30

# MariaDB's sequence engine makes the rows on the server; the counts follow a day's shape.
_FILL = """
INSERT INTO window_counts (series, window_start, observed, counted_at)
SELECT CONCAT('series-', LPAD(seq DIV %(windows)s, 5, '0')),
       %(first)s + INTERVAL (seq %% %(windows)s) * 5 MINUTE,
       FLOOR(60 + 50 * SIN(seq * 0.0218) + seq %% 17), %(first)s
FROM seq_0_to_{last}
"""
_DESCRIBE = """
INSERT INTO series (series, source, first_window, watermark, live_from, counted_until, judged_until)
SELECT CONCAT('series-', LPAD(seq, 5, '0')), 'bench', %(first)s, %(last)s, %(last)s, %(last)s, %(last)s
FROM seq_0_to_{last}
"""


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(_mariadb(folder))
        environment = {**_environment(server), **stack.enter_context(_moto(folder))}
        runs = [_run_of_each(environment) for _ in range(RUNS)]
        _check_export(environment)
    many, against, few = zip(*runs, strict=True)
    ours, theirs = Contender("vigil.training.counts.export", many), Contender("SqlToS3Operator", against)
    mb_few = Contender("few", few).peak_mb
    met = (
        theirs.median_s / ours.median_s >= LEAST_TIME_RATIO
        and theirs.peak_mb / ours.peak_mb >= LEAST_MEMORY_RATIO
        and max(sample.peak_mb for sample in many) < MOST_MB
        and abs(ours.peak_mb - mb_few) < SAME_MB
    )
    write_report(
        "export",
        ours,
        theirs,
        met,
        rows=MANY,
        rows_per_s=round(MANY / ours.median_s),
        fewer_rows=FEW,
        peak_with_fewer_rows_mb=round(mb_few, 1),
    )


def _run_of_each(environment: dict[str, str]) -> list[Sample]:
    """Take turns, so that what else the machine does falls on all alike."""
    contenders = (("ours", "many"), ("against", "many"), ("ours", "few"))
    command = [sys.executable, "-m", "bench.bench_export"]
    return [measure([*command, who, schema], environment) for who, schema in contenders]


def _check_export(environment: dict[str, str]) -> None:
    s3 = boto3.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"])
    manifest = read_manifest(s3, S3Location(BUCKET, f"ours/many/{MANIFEST}"))
    rows = sum(content.count(b"\n") - 1 for _, content in read_parts(s3, manifest))
    if not rows == manifest.rows == MANY:
        raise AssertionError(f"{rows} rows were exported, {manifest.rows} claimed, of {MANY}")


@contextmanager
def _mariadb(folder: Path) -> Iterator[MariaDB]:
    server = MariaDB(folder / "mariadb", free_port(), {"innodb-flush-log-at-trx-commit": "0"})
    server.prepare()
    process = server.start()
    try:
        for schema, rows in (("many", MANY), ("few", FEW)):
            _fill(server.database, schema, rows)
        yield server
    finally:
        process.terminate()
        process.wait()


def _fill(login: Database, schema: str, rows: int) -> None:
    with connected(login) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    database = Database(login.host, login.port, login.user, login.password, schema)
    migrate(database)
    values = {"first": FIRST, "last": LAST, "windows": WINDOWS_A_SERIES}
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute(_FILL.format(last=rows - 1), values)
        cursor.execute(_DESCRIBE.format(last=rows // WINDOWS_A_SERIES - 1), values)
        connection.commit()
        cursor.execute("ANALYZE TABLE window_counts")


@contextmanager
def _moto(folder: Path) -> Iterator[dict[str, str]]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }
    os.environ.update(environment)
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _create_bucket(address)
        yield environment
    finally:
        process.terminate()
        process.wait()


def _create_bucket(address: str) -> None:
    s3 = boto3.client("s3", endpoint_url=address)
    deadline = time.monotonic() + MOTO_START_LIMIT_S
    while True:
        try:
            s3.create_bucket(Bucket=BUCKET)
        except EndpointConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _environment(server: MariaDB) -> dict[str, str]:
    login = server.database
    return {"BENCH_PORT": str(login.port), "BENCH_USER": login.user, "BENCH_PASSWORD": login.password}


def _login(schema: str) -> Database:
    env = os.environ
    return Database("127.0.0.1", int(env["BENCH_PORT"]), env["BENCH_USER"], env["BENCH_PASSWORD"], schema)


def export_ours(schema: str) -> None:
    from vigil.aws import Aws
    from vigil.training.counts.export import export_windows

    destination = S3Location(BUCKET, f"ours/{schema}")
    export_windows(_login(schema), Aws().client("s3"), destination, FIRST, LAST)
    if "airflow" in sys.modules or "pandas" in sys.modules:
        raise AssertionError("the export must import neither Airflow nor pandas")


def export_against(schema: str) -> None:
    import pymysql
    from airflow.providers.amazon.aws.transfers.sql_to_s3 import SqlToS3Operator
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    class PyMySqlHook(DbApiHook):
        conn_name_attr = "bench_conn_id"
        default_conn_name = "bench"

        def get_conn(self) -> pymysql.connections.Connection:
            return _login(schema).connect()

    class SqlToS3WithPyMySql(SqlToS3Operator):
        def _get_hook(self) -> DbApiHook:
            return PyMySqlHook()

    SqlToS3WithPyMySql(
        task_id="export",
        query="SELECT series, window_start, observed FROM window_counts",
        s3_bucket=BUCKET,
        s3_key=f"against/{schema}.csv",
        sql_conn_id="bench",
        replace=True,
        df_kwargs={"index": False},
    ).execute({})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"ours": export_ours, "against": export_against}[sys.argv[1]](sys.argv[2])
    else:
        main()
