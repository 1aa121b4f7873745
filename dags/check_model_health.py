"""# check_model_health

Every night: measure how well the model that serves has kept what its evaluation promised - WAPE, bias and
coverage, by day and series - by what was counted in the end. When all series together have missed a limit for
some whole days on end, `retrain_weekly` is triggered early, and people are told. Series that miss theirs are
told too, and train nothing. Limits stand in the pipeline file, in the section `health`; docs/model-health.md
says what they mean.

**Its outcome** is what `judge_health` returns: `healthy`; `watch` while a limit is missed, but not for long
enough; `retraining-triggered` from then on until a day keeps the limits again; `unknown` without a released
model or with too little judged. `retrain_early` is skipped unless a training is due, and also when that
training was triggered before: a version that stays bad is trained away once, not every night.

**When a run fails**, clear it, or leave it to the next night: days that were not measured are made up for,
what people are told is written down with the decision, and for as long as the model is outside its limits
each night asks for the same training, by a name that follows from model version and first bad day; Airflow
refuses a second run of that name.

| it says | do |
|---|---|
| `model-left-its-limits` | see what came of the run it names; if it rejects the candidate, look at the data |
| that run stays queued | switch `retrain_weekly` on |
| `series-left-their-limits` | ask who feeds them; if what has changed stays so, trigger `retrain_weekly` |
| `retrain_early` is skipped, and you want a training | trigger `retrain_weekly` by hand |
| always `unknown` | is `detect_anomalies` on, and does its model serve? |
| the database is not migrated | run `python -m vigil.migrations` |
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.health import judge_health, measure_health, retraining_is_due

with DAG(
    dag_id="check_model_health",
    description="Measure the model in service, and train early when it breaks its promise.",
    doc_md=__doc__,
    # Behind midnight, when the windows of the day before are judged.
    schedule="20 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=[TAG, "training"],
):
    measured = measure_health()
    health = judge_health()
    retrain_early = TriggerDagRunOperator(
        task_id="retrain_early",
        trigger_dag_id="retrain_weekly",
        # The same for each night of a spell: Airflow refuses a second run of that name.
        trigger_run_id=health["retraining_run"],
        conf={"model": health["model"]},
        skip_when_already_exists=True,
    )

    measured >> health
    retraining_is_due(health) >> retrain_early
