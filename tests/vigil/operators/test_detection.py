from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from vigil.aws import Aws
from vigil.database import Database
from vigil.errors import VigilError
from vigil.operators import detection
from vigil.operators.detection import DetectAnomaliesOperator
from vigil.settings import Settings

ROLE = "arn:aws:iam::123456789012:role/vigil"
SIMULATOR = {"kind": "simulator", "name": "shop", "series": [{"name": "orders", "base_rate": 600}]}
TABLE = {
    "kind": "table",
    "name": "till",
    "connection": "gone",
    "table": "sales",
    "time_column": "sold_at",
    "id_column": "sale",
    "series": "sales",
}


@pytest.fixture
def detect(
    aws: Aws, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    def run(*sources: dict[str, Any]) -> dict[str, Any]:
        file = tmp_path / "pipeline.yaml"
        file.write_text(json.dumps({"sources": sources}))
        topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]
        settings = Settings(
            bucket="vigil-test", alert_topic_arn=topic, sagemaker_role_arn=ROLE, pipeline_file=str(file)
        )
        monkeypatch.setattr(detection, "load_settings", lambda: settings)
        monkeypatch.setattr(detection, "open_database", lambda _: database)
        monkeypatch.setattr(detection, "open_aws", lambda _: aws)
        return DetectAnomaliesOperator(task_id="detect").execute({})

    return run


@pytest.fixture
def waiting(connection: Connection[Any]) -> None:
    """Put an alert into the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts (identity, subject, title, body, attributes, created_at)"
            " VALUES ('orders/1/opened/1', 'orders', 'title', 'body', '{}', UTC_TIMESTAMP(6))"
        )
    connection.commit()


def test_alerts_that_wait_are_published_before_anything_else(
    detect: Callable[..., dict[str, Any]], waiting: None
) -> None:
    outcome = detect(SIMULATOR)
    assert list(outcome) == ["relayed_before", "collected", "judged", "relayed"]
    assert outcome["relayed_before"] == {"published": 1, "failed": 0}
    assert outcome["relayed"] == {"published": 0, "failed": 0}
    assert json.loads(json.dumps(outcome)) == outcome


def test_a_step_that_breaks_keeps_no_other_from_being_done(
    detect: Callable[..., dict[str, Any]],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def no_connection(*_: object) -> None:
        raise LookupError("there is no connection gone")

    monkeypatch.setattr(detection, "open_connection", no_connection)
    monkeypatch.setattr("vigil.detection.judging.judge_due_windows", lambda *_: 1 / 0)
    monkeypatch.setattr(detection, "publish_what_waits", lambda *_: done.append("notices"))
    with pytest.raises(
        VigilError, match=r"source till failed .*no connection gone.*Judging failed .*division"
    ):
        detect(TABLE, SIMULATOR)
    assert done == ["notices"]
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT series FROM series")
        assert cursor.fetchall() == (("orders",),)
