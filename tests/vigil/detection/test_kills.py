"""A kill -9 between any two statements of the detect path loses and doubles nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.vigil.detection.doubles import VARIANT
from vigil.aws import Aws
from vigil.database import Database

PROJECT = Path(__file__).resolve().parents[3]


class Endpoint(BaseHTTPRequestHandler):
    """Answers InvokeEndpoint: expects 10 events of every window."""

    def do_POST(self) -> None:
        rows = self.rfile.read(int(self.headers["Content-Length"])).decode().split("\n")
        answer = "\n".join("10.0" for _ in rows).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("x-Amzn-Invoked-Production-Variant", VARIANT)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *details: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def endpoint_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def received(aws: Aws, queue_url: str) -> Counter[str]:
    """Return how often each identity arrived."""
    sqs = aws.client("sqs")
    identities: Counter[str] = Counter()
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            identities[json.loads(message["Body"])["MessageAttributes"]["identity"]["Value"]] += 1
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return identities


def test_a_kill_before_any_statement_commit_or_call_loses_and_doubles_nothing(
    database: Database, aws: Aws, endpoint_url: str, tmp_path: Path
) -> None:
    name = f"kills-{uuid4().hex}"
    topic_arn = aws.client("sns").create_topic(Name=name)["TopicArn"]
    queue_url = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    aws.client("sns").subscribe(
        TopicArn=topic_arn, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"]
    )
    request = tmp_path / "request.json"
    request.write_text(
        json.dumps({"database": asdict(database), "topic_arn": topic_arn, "endpoint_url": endpoint_url})
    )
    command = [sys.executable, "-m", "tests.vigil.detection.dying", str(request)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    *killed, survived = [json.loads(line) for line in done.stdout.splitlines()]

    # Every boundary of the path was hit: the last child had nothing left to die before.
    assert survived["ended"] == 0
    assert len(killed) > 60
    assert all(run["ended"] == -9 for run in killed)

    undisturbed = {key: value for key, value in survived.items() if key not in ("step", "ended")}
    assert undisturbed["counted"] == undisturbed["events"]
    assert (undisturbed["dirty"], undisturbed["unpublished"]) == ("0", "0")
    identities = [identity for (identity,) in undisturbed["alerts"]]
    opened = [identity for identity in identities if "/opened/" in identity]
    assert len(opened) == len(undisturbed["incidents"]) >= 3
    assert [identity for identity in identities if "/corrected/" in identity] == [
        "orders/20260304T1140Z/corrected/1"
    ]
    assert len(set(identities)) == len(identities)
    for run in killed:
        assert {key: run[key] for key in undisturbed} == undisturbed, f"killed before step {run['step']}"

    # Delivered at least once each time; twice only by a relay that died between SNS and its mark.
    arrived = received(aws, queue_url)
    assert set(arrived) == set(identities)
    runs = len(killed) + 1
    assert all(runs <= times <= runs + 6 for times in arrived.values()), arrived
