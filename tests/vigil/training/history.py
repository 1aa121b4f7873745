"""Counted windows for tests, and where they stand in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from pymysql.connections import Connection

from vigil.windows import WINDOW, WINDOWS_PER_DAY

MONDAY = datetime(2026, 1, 5)


def insert_series(
    connection: Connection[Any],
    series: str,
    counts: Sequence[int | None],
    *,
    first: datetime = MONDAY,
    watermark: datetime | None = None,
    retired_at: datetime | None = None,
) -> None:
    """Write a series with a count for each window; None leaves a window without one."""
    end = first + len(counts) * WINDOW
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO series (series, source, first_window, watermark, retired_at, live_from,"
            " counted_until, judged_until) VALUES (%s, 'test', %s, %s, %s, %s, %s, %s)",
            (series, first, watermark or end, retired_at, end, end, end),
        )
        cursor.executemany(
            "INSERT INTO window_counts (series, window_start, observed, counted_at) VALUES (%s, %s, %s, %s)",
            [
                (series, first + place * WINDOW, count, end)
                for place, count in enumerate(counts)
                if count is not None
            ],
        )
    connection.commit()


def daily_counts(days: int, level: float, seed: int = 0) -> list[int]:
    """Draw counts with the shape of a day."""
    place = np.arange(days * WINDOWS_PER_DAY)
    expected = level * (1.2 + np.sin(2 * np.pi * place / WINDOWS_PER_DAY))
    return np.random.default_rng(seed).poisson(expected).tolist()


def small_spec(**changes: Any) -> dict[str, Any]:
    """Return a model spec as YAML would hold it: quick to train, easy to pass."""
    spec: dict[str, Any] = {
        "name": "small",
        "data": {"kind": "event_counts", "history_days": 60, "warm_up_days": 1},
        "algorithm": {
            "image": "sagemaker-xgboost",
            "version": "1.7-1",
            "hyperparameters": {"objective": "count:poisson", "num_round": 20, "eta": 0.3},
        },
        "training": {"instance_type": "ml.m5.large"},
        "transform": {"instance_type": "ml.m5.large"},
        "evaluation": {"image": "sagemaker-scikit-learn", "version": "1.2-1"},
        "band": {"coverage": 0.98},
        "gates": {"max_wape": 0.5, "min_coverage": 0.9},
        "endpoint": {"name": "small", "instance_type": "ml.m5.large"},
    }
    return spec | changes
