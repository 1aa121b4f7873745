"""What the tests of detection share: settings, a model that serves, an endpoint's stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymysql.connections import Connection

from tests.vigil.detection.doubles import BAND, ENDPOINT, NOW, VERSION
from vigil.calibration import Calibration
from vigil.detection.pipeline import Pipeline
from vigil.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings(
        bucket="vigil-test",
        alert_topic_arn="arn:aws:sns:eu-west-1:123456789012:alerts",
        sagemaker_role_arn="arn:aws:iam::123456789012:role/vigil",
    )


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline.model_validate(
        {
            "sources": [
                {"kind": "simulator", "name": "shop", "series": [{"name": "orders", "base_rate": 20}]}
            ],
            # One normal window closes an incident and none is reopened: a few windows tell a whole story.
            "incidents": {"closes_after_min": 5, "reopens_within_h": 0},
        }
    )


@pytest.fixture
def rows(connection: Connection[Any]) -> Callable[..., list[tuple[Any, ...]]]:
    """Run a statement on the database as it is now, commit, and return its rows."""

    def run(sql: str, *values: Any) -> list[tuple[Any, ...]]:
        connection.commit()
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            found = list(cursor.fetchall())
        connection.commit()
        return found

    return run


@pytest.fixture
def released(connection: Connection[Any]) -> Callable[..., str]:
    """Release a version of the model `event-counts`; the first one by default."""

    def release(version: str = VERSION, status: str = "champion", band: Calibration = BAND) -> str:
        insert_release(connection, version, status, band)
        return version

    return release


def insert_release(connection: Connection[Any], version: str, status: str, band: Calibration) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO released_models (model_version, model, endpoint, variant, band, status, created_at,"
            " model_package_arn, endpoint_config, sagemaker_model, model_data_url, training_job, metrics)"
            " VALUES (%s, 'event-counts', %s, %s, %s, %s, %s, '', '', '', '', '', '{}')",
            (version, ENDPOINT, version.replace("/", "-"), json.dumps(band.to_json()), status, NOW),
        )
    connection.commit()


@pytest.fixture
def counted(connection: Connection[Any]) -> Callable[..., None]:
    """Put the counts of a series into the database, as if they had been ingested and counted."""

    def put(
        series: str,
        counts: list[int],
        *,
        first: datetime,
        live_from: datetime,
        unjudged: bool = True,
        retired: bool = False,
    ) -> None:
        starts = [first + place * timedelta(minutes=5) for place in range(len(counts))]
        end = starts[-1] + timedelta(minutes=5)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO sources VALUES ('shop', '{}', %s) ON DUPLICATE KEY UPDATE source = source",
                (NOW,),
            )
            cursor.execute(
                "INSERT INTO series VALUES (%s, 'shop', %s, %s, %s, %s, %s, %s, 0) ON DUPLICATE KEY UPDATE"
                " watermark = VALUES(watermark), counted_until = VALUES(counted_until)",
                (series, first, end, end if retired else None, live_from, end, live_from),
            )
            cursor.executemany(
                "INSERT INTO window_counts (series, window_start, observed, counted_at)"
                " VALUES (%s, %s, %s, %s)",
                [(series, start, count, NOW) for start, count in zip(starts, counts, strict=True)],
            )
            if unjudged:
                cursor.executemany(
                    "INSERT INTO unjudged_windows VALUES (%s, %s)",
                    [(series, start) for start in starts if start >= live_from],
                )
        connection.commit()

    return put
