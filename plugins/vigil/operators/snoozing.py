"""The task of `snooze_alerts`."""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context, task

from vigil.operators.environment import load_settings, open_database


@task
def snooze_series() -> dict[str, Any]:
    """Set or end a snooze as the trigger form says, and return what became of it."""
    from dataclasses import asdict

    from vigil.detection.snoozing import snooze
    from vigil.windows import now

    context = get_current_context()
    run = f"{context['dag'].dag_id}/{context['run_id']}"
    outcome = asdict(snooze(open_database(load_settings()), dict(context["params"]), run, now()))
    return outcome | {"until": outcome["until"] and f"{outcome['until']:%Y-%m-%dT%H:%M:%SZ}"}
