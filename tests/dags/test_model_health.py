"""`check_model_health`, run for real: what it measures, tells and triggers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from pymysql.connections import Connection

from tests.dags.runs import returned, run_dag, task_states
from tests.vigil.health.released import MODEL, ONE, count, judge, release
from vigil.aws import Aws
from vigil.settings import Settings
from vigil.windows import now

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_metadata")]

DAG_ID, RETRAIN = "check_model_health", "retrain_weekly"
DAY = timedelta(days=1)
HEALTH = {"days": 2, "wape_factor": 1.2}
TODAY = datetime(2026, 11, 5)
RUN = f"model-health__event-counts-1__{TODAY - 2 * DAY:%Y%m%d}"


@pytest.fixture(autouse=True)
def _night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Early on a day, and limits that two days of too many errors miss."""
    monkeypatch.setattr("vigil.windows.now", lambda: TODAY + timedelta(hours=1, minutes=20))
    simulator = {"kind": "simulator", "name": "shop", "series": [{"name": "orders", "base_rate": 20}]}
    file = tmp_path / "pipeline.yaml"
    file.write_text(json.dumps({"model": MODEL, "sources": [simulator], "health": HEALTH}))
    monkeypatch.setenv("AIRFLOW__VIGIL__PIPELINE_FILE", str(file))


@pytest.fixture
def queue(aws: Aws, vigil_environment: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """What operators are told."""
    topic = vigil_environment.alert_topic_arn
    monkeypatch.setenv("AIRFLOW__VIGIL__OPERATIONS_TOPIC_ARN", topic)
    sqs = aws.client("sqs")
    url = str(sqs.create_queue(QueueName=topic.rpartition(":")[2])["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )
    return url


@pytest.fixture
def triggered() -> Iterator[Callable[[], list[tuple[str, Any]]]]:
    """The early trainings that Airflow knows of, by name and conf."""

    def find() -> list[tuple[str, Any]]:
        runs = DagRun.find(dag_id=RETRAIN)
        return [(run.run_id, run.conf) for run in runs if run.run_id.startswith("model-health__")]

    yield find
    with create_session() as session:
        for run in DagRun.find(dag_id=RETRAIN, session=session):
            if run.run_id.startswith("model-health__"):
                session.delete(run)


def serve(connection: Connection[Any], expected: float) -> None:
    """Let a version expect so many events of each window for three days, where there are twenty."""
    starts = [TODAY - 3 * DAY + place * timedelta(minutes=5) for place in range(3 * 288)]
    count(connection, "orders", dict.fromkeys(starts, 20))
    release(connection, at=TODAY - 2 * DAY + timedelta(hours=1))
    judge(connection, [("orders", start, 1, ONE, expected, 0.0, 99.0, start) for start in starts])


def die() -> None:
    raise RuntimeError("The worker died.")


def test_a_model_that_breaks_its_promise_is_trained_early_once_and_people_are_told_once(
    connection: Connection[Any], aws: Aws, queue: str, triggered: Callable[[], list[tuple[str, Any]]]
) -> None:
    serve(connection, expected=26)
    # Decided and told, but the task that triggers comes to nothing.
    run = run_dag(DAG_ID, now(), before={"retrain_early": die})
    assert task_states(run)["retrain_early"] == "failed"
    assert triggered() == []

    run = run_dag(DAG_ID, now())
    assert run.state == "success", task_states(run)
    assert returned(run, "measure_health")["rows"] == 2
    health = returned(run, "judge_health")
    assert (health["outcome"], health["retraining_run"]) == ("retraining-triggered", RUN)
    days = [figures["wape"] for figures in health["days"].values()]
    assert days == pytest.approx([0.3, 0.3])
    assert task_states(run)["retrain_early"] == "success"
    assert triggered() == [(RUN, {"model": MODEL})]

    # The next night asks for the same training, and Airflow has it.
    run = run_dag(DAG_ID, now())
    assert run.state == "success", task_states(run)
    assert returned(run, "judge_health")["outcome"] == "retraining-triggered"
    assert task_states(run)["retrain_early"] == "skipped"
    assert len(triggered()) == 1
    messages = aws.client("sqs").receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )["Messages"]
    assert [message["MessageAttributes"]["kind"]["StringValue"] for message in messages] == [
        "model-left-its-limits"
    ]
    assert RUN in messages[0]["Body"]


def test_a_healthy_model_and_none_at_all_train_nothing(
    connection: Connection[Any], vigil_environment: Settings, triggered: Callable[[], list[tuple[str, Any]]]
) -> None:
    run = run_dag(DAG_ID, now())
    assert run.state == "success", task_states(run)
    assert returned(run, "judge_health")["outcome"] == "unknown"
    serve(connection, expected=22)
    run = run_dag(DAG_ID, now())
    assert run.state == "success", task_states(run)
    assert returned(run, "judge_health")["outcome"] == "healthy"
    assert task_states(run)["retrain_early"] == "skipped"
    assert triggered() == []
