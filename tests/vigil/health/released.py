"""A version in service, what it promised, and verdicts of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from pymysql.connections import Connection

from vigil.bands import Band
from vigil.health.figures import Figures
from vigil.released_models import ReleasedModel
from vigil.settings import Settings

MODEL = "event-counts"
ONE, TWO = "event-counts/1", "event-counts/2"
RELEASED_AT = datetime(2026, 11, 1, 5)
BAND = Band(coverage=0.999, below=3.0, above=3.0)
PROMISED: dict[str, Any] = {"wape": 0.2, "mae": 4.0, "bias": 0.4, "coverage": 0.99}
SETTINGS = Settings(
    bucket="vigil-test",
    alert_topic_arn="arn:aws:sns:eu-west-1:123456789012:alerts",
    sagemaker_role_arn="arn:aws:iam::123456789012:role/vigil",
)

GOOD = Figures(windows=288, inside=287, observed=5000, absolute_error=1000.0, error=100.0)
"""WAPE 0.2, bias 2%, coverage 99.7%."""

BAD = Figures(windows=288, inside=280, observed=5000, absolute_error=2000.0, error=1500.0)
"""WAPE 0.4 where 0.3 is allowed, bias 30% where 22% are; coverage 97.2%, which is allowed."""


def released(metrics: Mapping[str, Any] = PROMISED, band: Band | None = BAND) -> ReleasedModel:
    """Return the version ONE as the champion."""
    return ReleasedModel(
        ONE, MODEL, MODEL, "event-counts-1", "", "", "", "", "", band, dict(metrics), "champion",
        RELEASED_AT, RELEASED_AT, None, None,
    )  # fmt: skip


def release(
    connection: Connection[Any],
    version: str = ONE,
    status: str = "champion",
    at: datetime = RELEASED_AT,
    metrics: Mapping[str, Any] = PROMISED,
) -> None:
    """Write a released version down."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO released_models (model_version, model, endpoint, variant, band, status, created_at,"
            " released_at, model_package_arn, endpoint_config, sagemaker_model, model_data_url, training_job,"
            " metrics) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '', '', '', '', '', %s)",
            (version, MODEL, MODEL, version.replace("/", "-"), json.dumps(BAND.to_json()), status, at, at,
             json.dumps(metrics)),
        )  # fmt: skip
    connection.commit()


def count(connection: Connection[Any], series: str, counts: Mapping[datetime, int]) -> None:
    """Write the counts of a series down, as of now."""
    first, end = min(counts), max(counts) + timedelta(minutes=5)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO series VALUES (%s, 'shop', %s, %s, NULL, %s, %s, %s, 0)",
            (series, first, end, first, end, first),
        )
        cursor.executemany(
            "INSERT INTO window_counts (series, window_start, observed, revision, counted_at)"
            " VALUES (%s, %s, %s, 1, %s)",
            [(series, start, observed, end) for start, observed in counts.items()],
        )
    connection.commit()


def judge(connection: Connection[Any], verdicts: Iterable[tuple[Any, ...]]) -> None:
    """Write verdicts down: series, window, revision, version, expected, lower, upper, judged_at."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO predictions (series, window_start, revision, model_version, expected, lower_bound,"
            " upper_bound, judged_at, observed, score, verdict)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, 0, 'normal')",
            list(verdicts),
        )
    connection.commit()


def measured(
    connection: Connection[Any], days: Mapping[date, Figures], series: str = "orders", version: str = ONE
) -> None:
    """Write figures down as if they had been measured."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "REPLACE INTO model_health VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(version, series, day, *vars(own).values()) for day, own in days.items()],
        )
    connection.commit()
