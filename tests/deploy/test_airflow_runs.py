from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.airflow_runs import AirflowRuns
from deploy.errors import DeployError


class Answering:
    """Stands for Amazon MWAA: gives one answer after the other; a number is the status of a refusal."""

    def __init__(self, *answers: dict[str, Any] | int) -> None:
        self.answers: Iterator[dict[str, Any] | int] = iter(answers)

    def invoke_rest_api(self, **_: Any) -> dict[str, Any]:
        answer = next(self.answers)
        if isinstance(answer, int):
            response: Any = {"Error": {"Code": "RestApiException"}, "RestApiStatusCode": answer}
            raise ClientError(response, "InvokeRestApi")
        return {"RestApiResponse": answer}


def run(*answers: dict[str, Any] | int) -> None:
    AirflowRuns(Answering(*answers), "vigil-test", poll_s=0).run_to_its_end("migrate_database", "run", {})


def test_a_run_is_waited_for_though_airflow_cannot_always_tell():
    run(404, 502, {"is_paused": False}, {}, {"state": "running"}, 503, {"state": "success"})


def test_a_run_that_was_started_before_is_waited_for():
    run({"is_paused": False}, 409, {"state": "success"})


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (({"is_paused": True},), "switch it on"),
        ((403,), "airflow:InvokeRestApi"),
        (({"is_paused": False}, 502), "MIGRATED=1"),
        (({"is_paused": False}, 404), "deploy again"),
        (({"is_paused": False}, {}, {"state": "failed"}), "its log in Airflow says why"),
    ],
)
def test_what_keeps_a_run_from_success_is_told_with_the_way_out(answers, said):
    with pytest.raises(DeployError, match=said):
        run(*answers)
