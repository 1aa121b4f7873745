"""Each DAG once, for real: database, embedded AWS, trained models, published alerts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymysql.connections import Connection

from tests.dags.runs import include_with, returned, run_dag, task_states
from tests.vigil.detection.conftest import insert_release
from tests.vigil.detection.doubles import BAND, VERSION, Expecting, always
from tests.vigil.training.history import daily_counts, insert_series
from vigil.aws import Aws
from vigil.operators import detection
from vigil.paths import include_dir
from vigil.settings import Settings
from vigil.windows import WINDOW, WINDOWS_PER_DAY, now, window_of

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_metadata")]

DAYS = 14
# Together they have the windows that a band of the shipped coverage needs.
SERIES = ("orders", "logins", "payments", "returns", "mails", "visits")


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vigil_environment: Settings) -> datetime:
    """Two weeks of simulated history with a spike in the first live window, which is returned."""
    live_from = window_of(now()) - 2 * WINDOW
    content = {
        "model": "event-counts",
        "sources": [
            {
                "kind": "simulator",
                "name": "shop",
                "starts_at": f"{live_from - timedelta(days=DAYS):%Y-%m-%dT%H:%M:%SZ}",
                "live_from": f"{live_from:%Y-%m-%dT%H:%M:%SZ}",
                "series": [{"name": name, "base_rate": 20} for name in SERIES],
                "anomalies": [
                    {
                        "series": "orders",
                        "kind": "spike",
                        "from": f"{live_from:%Y-%m-%dT%H:%M:%SZ}",
                        "to": f"{live_from + WINDOW:%Y-%m-%dT%H:%M:%SZ}",
                        "factor": 12,
                    }
                ],
            }
        ],
    }
    file = tmp_path / "pipeline.yaml"
    file.write_text(json.dumps(content))
    monkeypatch.setenv("AIRFLOW__VIGIL__PIPELINE_FILE", str(file))
    return live_from


def rows(connection: Connection[Any], query: str) -> list[tuple[Any, ...]]:
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def keys_of_outputs(aws: Aws, bucket: str) -> dict[str, set[str | None]]:
    """Keys that objects are encrypted with, by the ends of the names of what jobs write."""
    s3 = aws.client("s3")
    found: dict[str, set[str | None]] = {".out": set(), "evaluation.json": set(), "model.tar.gz": set()}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for name in (entry["Key"] for entry in page["Contents"]):
            for keys in (keys for end, keys in found.items() if name.endswith(end)):
                keys.add(s3.head_object(Bucket=bucket, Key=name).get("SSEKMSKeyId"))
    return found


def test_the_three_dags_turn_the_loop(
    aws: Aws, connection: Connection[Any], vigil_environment: Settings, pipeline: datetime
) -> None:
    queue = aws.client("sqs").create_queue(QueueName=vigil_environment.bucket)["QueueUrl"]
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    aws.client("sns").subscribe(
        TopicArn=vigil_environment.alert_topic_arn,
        Protocol="sqs",
        Endpoint=arn["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )

    # Before there is a model, windows are counted and wait.
    run = run_dag("detect_anomalies", now())
    assert run.state == "success"
    assert returned(run, "collect_judge_alert")["judged"]["model_version"] is None
    ((counted, events),) = rows(
        connection, "SELECT (SELECT SUM(observed) FROM window_counts), (SELECT COUNT(*) FROM events)"
    )
    assert counted == events > 0

    # The first model has no champion to beat.
    run = run_dag("retrain_weekly", now())
    assert run.state == "success", task_states(run)
    assert task_states(run)["predict_with_champion"] == "skipped"
    assert returned(run, "verify_deployment")["model_version"] == "event-counts/1"
    assert rows(connection, "SELECT model_version, status FROM released_models") == [
        ("event-counts/1", "champion")
    ]
    assert rows(connection, "SELECT * FROM release_leases") == []
    ((metrics,),) = rows(connection, "SELECT metrics FROM released_models")
    assert set(json.loads(metrics)["by_series"]) == set(SERIES)

    # What waited is judged now, and people are told.
    run = run_dag("detect_anomalies", now())
    outcome = returned(run, "collect_judge_alert")
    assert outcome["judged"]["judged"] >= 1
    assert outcome["relayed"] == {"published": outcome["judged"]["alerts"], "failed": 0}
    messages = aws.client("sqs").receive_message(
        QueueUrl=queue, MessageAttributeNames=["All"], MaxNumberOfMessages=10, WaitTimeSeconds=5
    )["Messages"]
    told = {message["MessageAttributes"]["identity"]["StringValue"]: message["Body"] for message in messages}
    # Of another series, too, a false incident may be told once a month.
    assert "orders" in told[f"orders/{pipeline:%Y%m%dT%H%MZ}/opened/1"]

    # History is judged without telling anybody.
    day = datetime.combine(pipeline.date() - timedelta(days=2), datetime.min.time())
    run = run_dag("backfill_detections", day + timedelta(days=1))
    assert run.state == "success"
    assert returned(run, "judge_day")["judged"] > 0
    assert rows(connection, "SELECT COUNT(*) FROM alerts WHERE published_at IS NULL") == [(0,)]

    # The second candidate is compared with the first, and takes its place.
    run = run_dag("retrain_weekly", now())
    assert run.state == "success", task_states(run)
    assert returned(run, "judge_candidate")["champion"] == "event-counts/1"
    versions = dict(rows(connection, "SELECT model_version, status FROM released_models"))
    assert versions == {"event-counts/1": "retired", "event-counts/2": "champion"}
    assert len(aws.client("sagemaker").list_endpoints(NameContains="event-counts")["Endpoints"]) == 1

    # All that jobs have written is encrypted with the key.
    keys = keys_of_outputs(aws, vigil_environment.bucket)
    assert keys == {end: {vigil_environment.key_arn} for end in (".out", "evaluation.json", "model.tar.gz")}


def test_a_backfill_tells_people_only_if_its_params_say_so(
    connection: Connection[Any], vigil_environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = datetime(2026, 3, 2)
    insert_series(connection, "orders", [*[20] * 100, 90, *[20] * 187], first=day)
    insert_release(connection, VERSION, "champion", BAND)
    monkeypatch.setattr(detection, "predictor_of", lambda aws: always(Expecting(20)))
    run = run_dag("backfill_detections", day + timedelta(days=1))
    quiet = returned(run, "judge_day")
    assert (quiet["judged"], quiet["incidents"], quiet["alerts"]) == (288, 1, 0)
    run = run_dag("backfill_detections", day + timedelta(days=1, hours=1), {"send_alerts": True})
    assert returned(run, "judge_day")["alerts"] == 2
    assert rows(connection, "SELECT COUNT(*) FROM alerts") == [(2,)]


def test_a_snooze_is_set_and_ended_by_the_form(
    connection: Connection[Any], vigil_environment: Settings
) -> None:
    run = run_dag("snooze_alerts", now(), {"series": "orders*", "hours": 2, "reason": "moving"})
    assert returned(run, "snooze_series")["pattern"] == "orders*"
    assert rows(connection, "SELECT pattern, reason FROM snoozes") == [("orders*", "moving")]
    run = run_dag("snooze_alerts", now() + timedelta(minutes=1), {"series": "orders*", "end": True})
    assert returned(run, "snooze_series") == {"pattern": "orders*", "until": None, "ended": 1}
    run = run_dag("snooze_alerts", now() + timedelta(minutes=2), {"series": "orders*"})
    assert run.state == "failed"


def test_a_rejected_candidate_ends_a_successful_run_without_a_deployment(
    aws: Aws, connection: Connection[Any], vigil_environment: Settings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    include_with_a_gate_that_none_passes(tmp_path, monkeypatch)
    end = window_of(now())
    counts = daily_counts(DAYS, 20)
    for series in SERIES:
        insert_series(connection, series, counts, first=end - DAYS * WINDOWS_PER_DAY * WINDOW)
    run = run_dag("retrain_weekly", now(), {"model": "strict"})
    assert run.state == "success"
    states = task_states(run)
    assert (states["register_candidate"], states["deploy"], states["verify_deployment"]) == (
        "success",
        "skipped",
        "skipped",
    )
    assert states["give_back_release_lease"] == "success"
    decision = returned(run, "judge_candidate")
    assert not decision["passed"]
    package = aws.client("sagemaker").describe_model_package(
        ModelPackageName=returned(run, "register_candidate")["model_package_arn"]
    )
    assert package["ModelApprovalStatus"] == "Rejected"
    assert "wape" in package["ApprovalDescription"]
    assert rows(connection, "SELECT * FROM released_models") == []
    assert rows(connection, "SELECT * FROM release_leases") == []


def include_with_a_gate_that_none_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tasks find a model spec of the test's own."""
    shipped = include_dir() / "configs" / "models" / "event-counts.yaml"
    spec = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    spec["name"] = spec["endpoint"]["name"] = "strict"
    spec["gates"] = {"max_wape": 0.000001}
    include_with(spec, tmp_path, monkeypatch)


def test_an_empty_database_is_told_and_leaves_nothing_half_written(
    aws: Aws, connection: Connection[Any], vigil_environment: Settings
) -> None:
    run = run_dag("retrain_weekly", now())
    assert run.state == "failed"
    assert task_states(run)["train"] == "upstream_failed"
    (kept,) = aws.client("s3").list_objects_v2(Bucket=vigil_environment.bucket)["Contents"]
    assert kept["Key"].endswith("/request.json"), "what was asked for, and no data"
    assert rows(connection, "SELECT * FROM release_leases") == []
