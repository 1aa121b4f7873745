from __future__ import annotations

from typing import Any

import pytest

from tests.vigil.setup.doubles import Answers, ground
from vigil.setup.findings import Look
from vigil.setup.mwaa import environment

RUNS: dict[str, Any] = {
    "Status": "AVAILABLE",
    "LastUpdate": {"Status": "SUCCESS"},
    "EnvironmentClass": "mw1.small",
    "SourceBucketArn": "arn:aws:s3:::code",
    "PluginsS3Path": "plugins.zip",
    "PluginsS3ObjectVersion": "v2",
    "AirflowConfigurationOptions": {
        "core.parallelism": "8",
        "vigil.bucket": "vigil-test",
        "vigil.allowed_lateness_s": "60",
        "vigil.image_push_queue_url": "",
    },
}


def look_at(newest: str = "v2", **changes: Any) -> Look:
    calls = {
        "mwaa": {"get_environment": lambda **_: {"Environment": RUNS | changes}},
        "s3": {"head_object": lambda **_: {"VersionId": newest}},
    }
    aws = Answers(calls=calls)
    return environment(ground(aws, AIRFLOW_ENV_NAME="vigil-production"))


def test_elsewhere_there_is_nothing_to_look_at() -> None:
    assert environment(ground(Answers())).outcome == "skip"


def test_an_environment_that_runs_what_was_deployed_is_fine() -> None:
    look = look_at()
    assert look.outcome == "ok"
    assert look.seen.startswith("vigil-production, mw1.small, state is AVAILABLE")


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"newest": "v3"}, "plugins lies newer in the bucket than what runs"),
        (
            {"AirflowConfigurationOptions": {"vigil.bucket": "another", "vigil.allowed_lateness_s": "60"}},
            "options differ from what runs: bucket",
        ),
        ({"Status": "UPDATING"}, "state is UPDATING, last update SUCCESS"),
        (
            {"LastUpdate": {"Status": "FAILED", "Error": {"ErrorMessage": "no such object"}}},
            "state is AVAILABLE, last update FAILED no such object",
        ),
    ],
)
def test_an_environment_that_does_not_is_not(changes: dict[str, Any], seen: str) -> None:
    look = look_at(**changes)
    assert look.outcome == "fail"
    assert look.seen.strip() == seen
    assert "update" in look.fix
