"""Tasks of `check_model_health`."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import task

from vigil.operators.environment import load_settings, open_aws, open_database
from vigil.operators.telling import publish_what_waits

log = logging.getLogger(__name__)


@task
def measure_health() -> dict[str, Any]:
    """Measure the days that are over; return which."""
    from vigil.detection.pipeline import load_pipeline
    from vigil.health.measuring import measure
    from vigil.windows import now

    settings = load_settings()
    pipeline = load_pipeline(settings.pipeline_file)
    measured = measure(open_database(settings), pipeline.model, settings, now())
    return {"days": [day.isoformat() for day in measured.days], "rows": measured.rows}


@task
def judge_health() -> dict[str, Any]:
    """Hold the last days against what was promised, tell people, and return how the champion does."""
    from dataclasses import asdict

    from vigil.detection.pipeline import load_pipeline
    from vigil.health.checking import check_health
    from vigil.windows import now

    settings = load_settings()
    pipeline = load_pipeline(settings.pipeline_file)
    health = check_health(open_database(settings), pipeline.model, pipeline.health, settings, now())
    log.info("%s is %s", health.model_version or health.model, health.outcome)
    for day, figures in health.days.items():
        log.info("%s: %s", day, figures)
    publish_what_waits(settings, open_aws(settings))
    return asdict(health)


@task.short_circuit
def retraining_is_due(health: Any) -> bool:
    """Skip the training unless the model has left its limits."""
    return health["retraining_run"] is not None
