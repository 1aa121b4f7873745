"""How long one task takes to judge 5,000 series for one window.

The series have fifteen days of counts each, and the endpoint is the embedded AWS's with a real XGBoost model
of the size that training makes. Each run judges another window, everything included: finding what is due,
reading 305,000 counts by key, describing, predicting, verdicts, incidents, and one transaction that writes it
all.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import xgboost

from bench.laptop import SETTINGS, private_database
from bench.report import Contender, measure_call, write_report
from vigil.bands import Band
from vigil.database import Database, connected
from vigil.detection.judging import judge_due_windows
from vigil.detection.pipeline import Pipeline
from vigil.detection.predicting import EndpointPredictor
from vigil.features import FEATURE_NAMES
from vigil.windows import WINDOW, window_of
from vigil.windows import now as present

GOAL_S = 10.0
GOAL_CALLS = 5
RUNS = 5
SERIES = 5_000
WINDOWS = 15 * 288
ENDPOINT = "bench-judging"
VARIANT = "event-counts-1"
PIPELINE = Pipeline.model_validate(
    {"sources": [{"kind": "simulator", "name": "shop", "series": [{"name": "orders", "base_rate": 1}]}]}
)
_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
_ROLE = "arn:aws:iam::123456789012:role/vigil"


@contextmanager
def embedded_aws() -> Iterator[str]:
    """Start an embedded AWS with a state of its own; yield its address."""
    with (
        tempfile.TemporaryDirectory(prefix="vigil-bench-") as folder,
        (Path(folder) / "log").open("wb") as log,
    ):
        command = [
            sys.executable,
            "-m",
            "local_aws",
            "serve",
            "--port",
            "0",
            "--state-dir",
            f"{folder}/state",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None  # noqa: S101 - asked for a pipe
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            process.wait()


def client(address: str, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - the embedded AWS asks for any
    )


def deploy(address: str) -> None:
    """Train a real model on made-up counts and serve it."""
    generator = np.random.default_rng(1)
    features = generator.poisson(30, (50_000, len(FEATURE_NAMES))).astype(float)
    booster = xgboost.train(
        {"objective": "count:poisson", "max_depth": 6, "eta": 0.1},
        xgboost.DMatrix(features, generator.poisson(features[:, 8])),
        num_boost_round=200,
    )
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        model = bytes(booster.save_raw("ubj"))
        entry = tarfile.TarInfo("xgboost-model")
        entry.size = len(model)
        tar.addfile(entry, io.BytesIO(model))
    client(address, "s3").create_bucket(Bucket="bench")
    client(address, "s3").put_object(Bucket="bench", Key="model.tar.gz", Body=archive.getvalue())
    sagemaker = client(address, "sagemaker")
    sagemaker.create_model(
        ModelName=ENDPOINT,
        ExecutionRoleArn=_ROLE,
        PrimaryContainer={"Image": _IMAGE, "ModelDataUrl": "s3://bench/model.tar.gz"},
    )
    variant = {
        "VariantName": VARIANT,
        "ModelName": ENDPOINT,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=ENDPOINT, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def fill(database: Database, end: datetime) -> None:
    """Write fifteen days of counts of every series; the last windows are live."""
    first = end - WINDOWS * WINDOW
    live_from = end - RUNS * WINDOW
    band = Band(0.99, -4.0, 4.0, {}, (1.0, 1.0))
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO released_models (model_version, model, endpoint, variant, band, status, created_at,"
            " model_package_arn, endpoint_config, sagemaker_model, model_data_url, training_job, metrics)"
            " VALUES (%s, 'event-counts', %s, %s, %s, 'champion', %s, '', '', '', '', '', '{}')",
            ("event-counts/1", ENDPOINT, VARIANT, json.dumps(band.to_json()), end),
        )
        cursor.executemany(
            "INSERT INTO series VALUES (%s, 'shop', %s, %s, NULL, %s, %s, %s, 0)",
            [(f"series-{n:04d}", first, end, live_from, end, live_from) for n in range(SERIES)],
        )
        places = json.dumps(list(range(WINDOWS)))
        for hundred in range(SERIES // 100):
            cursor.execute(
                "INSERT INTO window_counts (series, window_start, observed, revision, counted_at)"
                " SELECT s.series, s.first_window + INTERVAL p.place * 300 SECOND, 20 + 20 * RAND(), 1, %s"
                " FROM series AS s"
                " STRAIGHT_JOIN JSON_TABLE(%s, '$[*]' COLUMNS (place INT PATH '$')) AS p"
                " WHERE s.series LIKE %s",
                (end, places, f"series-{hundred:02d}%"),
            )
            connection.commit()


def mark(database: Database, window: datetime) -> None:
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO unjudged_windows SELECT series, %s FROM series", (window,))
        connection.commit()


def judge(database: Database, address: str, now: datetime) -> float:
    runtime = client(address, "sagemaker-runtime")
    started = time.perf_counter()
    outcome = judge_due_windows(
        database, lambda endpoint: EndpointPredictor(runtime, endpoint), PIPELINE, SETTINGS, now
    )
    seconds = time.perf_counter() - started
    if outcome.judged != SERIES or outcome.endpoint_calls > GOAL_CALLS:
        raise RuntimeError(f"{outcome}")
    print(outcome)
    return seconds


def main() -> None:
    end = window_of(present())
    with private_database() as database, embedded_aws() as address:
        deploy(address)
        fill(database, end)
        samples = []
        for place in range(RUNS):
            mark(database, end - (RUNS - place) * WINDOW)
            samples.append(measure_call(partial(judge, database, address, end + timedelta(minutes=10))))
    ours = Contender(f"judging {SERIES} series for one window", samples)
    write_report("judging", ours, None, met=ours.median_s < GOAL_S, goal_s=GOAL_S, goal_calls=GOAL_CALLS)


if __name__ == "__main__":
    main()
