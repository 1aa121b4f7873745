"""How long one task takes to judge 5,000 series for one window.

The series have fifteen days of counts each, and the endpoint is the embedded AWS's with a real XGBoost model
of the size that training makes. Each run judges another window, everything included: finding what is due,
reading counts by key and the half day before each window, describing, predicting, verdicts, incidents, and
one transaction that writes it all. The statistics of the day are there, as they are after midnight.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import xgboost

from bench.laptop import SETTINGS, private_database
from bench.many_series import ManySeries, rows_read
from bench.report import Contender, measure_call, write_report
from vigil.calibration import Calibration
from vigil.count_bands import CountBand
from vigil.database import Database, connected
from vigil.detection.expectations.predicting import EndpointPredictor
from vigil.detection.expectations.statistics import keep_statistics
from vigil.detection.judging import judge_due_windows
from vigil.detection.pipeline import Pipeline
from vigil.deviations import VIEWS, spans_on
from vigil.features import FEATURE_NAMES
from vigil.rarity import Rarity
from vigil.windows import WINDOW, window_of
from vigil.windows import now as present

GOAL_S = 10.0
GOAL_CALLS = 5
GOAL_ROWS_A_SERIES = 400
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


def release(database: Database, names: Sequence[str], at: datetime) -> None:
    """Make a model the champion whose calibration knows every series, as that of a training does."""
    generator = np.random.default_rng(2)
    shape = (len(VIEWS), len(spans_on()), 2)
    calibration = Calibration(
        band=CountBand(0.99, -1.5, 1.5, dict.fromkeys(names, (1.5, 2.0)), (2.0, 2.0)),
        tails={name: generator.uniform(1.5, 6, shape) for name in names},
        default_tails=np.full(shape, 3.0),
        rarity=Rarity((0.1, 0.2, 0.4, 0.6, 0.7, 0.9, 1.0), 0.2, 20.0),
    )
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO released_models (model_version, model, endpoint, variant, band, status, created_at,"
            " model_package_arn, endpoint_config, sagemaker_model, model_data_url, training_job, metrics)"
            " VALUES (%s, 'event-counts', %s, %s, %s, 'champion', %s, '', '', '', '', '', '{}')",
            ("event-counts/1", ENDPOINT, VARIANT, json.dumps(calibration.to_json()), at),
        )
        connection.commit()


def mark(database: Database, window: datetime) -> None:
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO unjudged_windows SELECT series, %s FROM series", (window,))
        connection.commit()


def judge(database: Database, address: str, now: datetime) -> float:
    runtime, sagemaker = client(address, "sagemaker-runtime"), client(address, "sagemaker")
    started = time.perf_counter()
    outcome = judge_due_windows(
        database, lambda endpoint: EndpointPredictor(runtime, sagemaker, endpoint), PIPELINE, SETTINGS, now
    )
    seconds = time.perf_counter() - started
    if outcome.judged != SERIES or outcome.endpoint_calls > GOAL_CALLS:
        raise RuntimeError(f"{outcome}")
    print(outcome)
    return seconds


def main() -> None:
    end = window_of(present())
    series = ManySeries(SERIES, WINDOWS, end)
    live_from = end - RUNS * WINDOW
    with private_database() as database, embedded_aws() as address:
        deploy(address)
        release(database, series.names, end)
        series.fill(database, live_from)
        with connected(database) as connection:
            for day in {window.replace(hour=0, minute=0) for window in (live_from, end)}:
                keep_statistics(connection, day)
        samples, read = [], []
        for place in range(RUNS):
            mark(database, live_from + place * WINDOW)
            before = rows_read(database)
            samples.append(measure_call(partial(judge, database, address, end + timedelta(minutes=10))))
            read.append((rows_read(database) - before) / SERIES)
    ours = Contender(f"judging {SERIES} series for one window", samples)
    write_report(
        "judging",
        ours,
        None,
        met=ours.median_s < GOAL_S and max(read) <= GOAL_ROWS_A_SERIES,
        goal_s=GOAL_S,
        goal_calls=GOAL_CALLS,
        rows_read_a_series=round(max(read), 1),
        goal_rows_read_a_series=GOAL_ROWS_A_SERIES,
    )


if __name__ == "__main__":
    main()
