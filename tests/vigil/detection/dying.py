"""Runs the detect path again and again in children that kill themselves, one statement later each time.

    python -m tests.vigil.detection.dying <file with the request as JSON>

A child is forked, and dies by SIGKILL right before its n-th SQL statement, commit or AWS call. A clean run
then finishes the work, and what the database holds is printed as one line of JSON. The last line is of the
first child that survived. The hooks lie in the libraries underneath, none in the product.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.httpsession import URLLib3Session
from pymysql.connections import Connection

from tests.conftest import empty
from tests.vigil.detection.conftest import insert_release
from tests.vigil.detection.doubles import BAND, NOW, VERSION, at
from tests.waiting import wait_for
from vigil.database import Database, connected
from vigil.detection.collecting import collect
from vigil.detection.expectations.predicting import EndpointPredictor
from vigil.detection.judging import judge_due_windows
from vigil.detection.outbox import relay
from vigil.detection.pipeline import Pipeline, SimulatorOptions
from vigil.detection.sources.simulator import Simulator
from vigil.settings import Settings

BEGIN = NOW - timedelta(minutes=15)
END = NOW + timedelta(minutes=30)
SPIKE = at("11:40")
PIPELINE = {
    "sources": [
        {
            "kind": "simulator",
            "name": "shop",
            "starts_at": "2026-03-04T11:00:00Z",
            "live_from": "2026-03-04T11:30:00Z",
            "series": [
                {"name": "orders", "base_rate": 12, "daily_swing": 0},
                {"name": "clicks", "base_rate": 8, "daily_swing": 0},
            ],
            "anomalies": [
                {"series": "orders", "kind": "spike", "from": "2026-03-04T11:40:00Z",
                 "to": "2026-03-04T11:50:00Z", "factor": 9},
                {"series": "clicks", "kind": "outage", "from": "2026-03-04T11:50:00Z",
                 "to": "2026-03-04T12:10:00Z"},
            ],
        }
    ]
}  # fmt: skip


class Detection:
    """The whole detect path against real servers."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.database = Database(**request["database"])
        self.topic_arn = request["topic_arn"]
        self.pipeline = Pipeline.model_validate(PIPELINE)
        self.settings = Settings(
            bucket="vigil-test",
            alert_topic_arn=self.topic_arn,
            sagemaker_role_arn="arn:aws:iam::1:role/vigil",
        )
        (options,) = self.pipeline.sources
        assert isinstance(options, SimulatorOptions)
        self.source = Simulator(options)
        self.endpoint_url = request["endpoint_url"]

    def client(self, service: str, url: str | None = None) -> Any:
        return boto3.client(service, endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))

    def run(self, now: datetime) -> None:
        runtime = self.client("sagemaker-runtime", self.endpoint_url)
        sagemaker = self.client("sagemaker", self.endpoint_url)
        collect(self.database, [self.source], self.settings, now)
        judge_due_windows(
            self.database,
            lambda endpoint: EndpointPredictor(runtime, sagemaker, endpoint),
            self.pipeline,
            self.settings,
            now,
        )
        relay(self.database, self.client("sns"), self.topic_arn, now)

    def begin(self) -> None:
        empty(self.database)
        with connected(self.database) as connection:
            insert_release(connection, VERSION, "champion", BAND)
        self.run(BEGIN)
        self.take_back_the_spike()

    def take_back_the_spike(self) -> None:
        """Let the next recount clear the incident that people were told of."""
        with connected(self.database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT opened_at FROM incidents")
            assert cursor.fetchall() == ((SPIKE,),)
            cursor.execute(
                "DELETE FROM events WHERE series = 'orders' AND window_start = %s AND event_id NOT IN"
                " (SELECT event_id FROM (SELECT event_id FROM events WHERE series = 'orders'"
                " AND window_start = %s ORDER BY event_id LIMIT 10) AS kept)",
                (SPIKE, SPIKE),
            )
            cursor.execute("INSERT INTO dirty_windows VALUES ('orders', %s)", (SPIKE,))
            connection.commit()

    def others_are_gone(self) -> bool:
        """Tell whether the server has noticed the death of whoever was connected, and freed its locks."""
        with connected(self.database) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.processlist"
                " WHERE user = %s AND id <> CONNECTION_ID()",
                (self.database.user,),
            )
            return cursor.fetchall() == ((0,),)

    def state(self) -> dict[str, Any]:
        queries = {
            "counted": "SELECT SUM(observed) FROM window_counts",
            "events": "SELECT COUNT(*) FROM events",
            "counts": "SELECT series, window_start, observed FROM window_counts ORDER BY 1, 2",
            "dirty": "SELECT COUNT(*) FROM dirty_windows",
            "predictions": "SELECT series, window_start, revision, verdict FROM predictions ORDER BY 1, 2, 3",
            "incidents": "SELECT series, opened_at, closed_at, kind, windows, cleared_at FROM incidents"
            " ORDER BY 1, 2",
            "alerts": "SELECT identity FROM alerts ORDER BY 1",
            "unpublished": "SELECT COUNT(*) FROM alerts WHERE published_at IS NULL",
        }
        with connected(self.database) as connection, connection.cursor() as cursor:
            found = {}
            for name, query in queries.items():
                cursor.execute(query)
                rows = [[str(value) for value in row] for row in cursor.fetchall()]
                found[name] = rows[0][0] if name in ("counted", "events", "dirty", "unpublished") else rows
        return found


def die_before(step: int) -> None:
    """Make this process kill itself before its n-th statement, commit or AWS call."""
    left = step

    def pass_or_die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            pass_or_die()
            return method(*arguments, **options)

        return call

    Connection.query = guarded(Connection.query)  # type: ignore[method-assign]
    Connection.commit = guarded(Connection.commit)  # type: ignore[method-assign]
    URLLib3Session.send = guarded(URLLib3Session.send)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process; return how it ended: 0, or minus the signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    detection = Detection(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    step = 0
    ended = -signal.SIGKILL
    while ended == -signal.SIGKILL:
        step += 1
        detection.begin()

        def killed(step: int = step) -> None:
            die_before(step)
            detection.run(NOW)

        ended = in_child(killed)
        wait_for(detection.others_are_gone, "the server to notice the death")
        detection.run(NOW)
        detection.run(END)
        print(json.dumps({"step": step, "ended": ended, **detection.state()}), flush=True)


if __name__ == "__main__":
    main()
