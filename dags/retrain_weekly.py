"""# retrain_weekly

Every Monday: gather what the model learns from, train a candidate, compare it with the model that serves on
rows that neither has seen, and release it if it is good enough. Event counts are exported from the database
for the last year; a tabular model gets every file it was ever trained on.

The trigger form says what each parameter does; empty fields leave it to `incoming/<model>/manifest.json`
and to the model spec. `dry_run` only shows what would be trained.

**Its outcome.** A candidate that misses a gate, or that a person rejects, is registered as rejected and not
deployed: the run succeeds, with `deploy` and what follows skipped; the reasons stand in the registry, in the
notice and in the report. The run fails only when something did not work; a deployment that was rolled back is
such a thing.

**When a run fails**, clear the failed task. Every job has a name that follows from the run and its data, so a
cleared task adopts what is running or done, and pays for nothing twice; a job that failed or was stopped is
started anew. Marking a waiting task as failed, or clearing it, stops its job.

| it says | do |
|---|---|
| something cannot be used | correct what it names: manifest, trigger form or model spec; trigger a new run |
| no closed window | check `detect_anomalies`: are events counted? |
| a job ended as Failed | read its last log lines, in the task's own log; mend the cause; clear the task |
| was not taken into service | the old model serves; mend what it names; then see below |
| the lease is no longer held | another run released meanwhile: clear from `take_release_lease` |
| became the champion after | somebody else's release came first: trigger a new run |

**A version whose deployment failed** is rejected in the registry. Once the cause is gone, approve it there
and bring it in by `roll_back_model` with its number; nothing is trained again.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.parameters import dry_run_parameter, model_parameter, training_parameters
from vigil.operators.requests import resolve_request
from vigil.operators.train_and_release import train_and_release

with DAG(
    dag_id="retrain_weekly",
    description="Gather data, train, evaluate, and release what is good enough.",
    doc_md=__doc__,
    # Without a start date, switching the DAG on trains nothing before next Monday.
    schedule=CronTriggerTimetable("0 4 * * 1", timezone="UTC", run_immediately=False),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "model": model_parameter("event-counts", "Name of the model spec in include/configs/models/."),
        **training_parameters(),
        "dry_run": dry_run_parameter(),
    },
    tags=[TAG, "training"],
):
    request = resolve_request("{{ params.model }}")
    train_and_release(request)
