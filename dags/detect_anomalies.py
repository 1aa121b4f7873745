"""# detect_anomalies

Every minute: take new events from every source, count them into five-minute windows, judge the windows that
have closed, and publish what people should know.

**Before the first run** the database must be migrated and the options of the section `[vigil]` set; sources
stand in the pipeline file. Until a model has been released, windows are counted and wait to be judged.

**When a run fails**, the next one goes on where it stopped: events and the position of their source move in
one transaction, a verdict is written together with its incident and its alert, and an alert stays in the
outbox until SNS has taken it. Nothing needs to be cleared or run again. No step and no source waits for
another's success: everything else was done, and the message says all that failed.

**When there is much to do**, sources take turns for three minutes, windows are judged for three, the oldest
first, and the next run goes on with the rest: the outcome names the sources that have more under
`collected.unfinished`, and `judged.unfinished` says whether windows are left. Alerts that wait go out before
anything else.

| it says | do |
|---|---|
| a source cannot be read | mend the source; the others were taken all the same |
| events name series of other sources | only they were refused; find their sender, and correct it |
| the endpoint does not answer | look at `retrain_weekly` and at the endpoint; windows wait |
| a queue's windows come minutes late | messages are in flight that nobody deletes: look for malformed ones |
| SNS refuses | mend the topic or its permissions; the alerts go out with the next run |
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from vigil.operators.defaults import MINUTELY_ARGS, TAG
from vigil.operators.detection import DetectAnomaliesOperator

with DAG(
    dag_id="detect_anomalies",
    description="Count events, judge closed windows, alert.",
    doc_md=__doc__,
    schedule="* * * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=MINUTELY_ARGS,
    tags=[TAG, "detection"],
):
    # One task: when a source is down, the windows of the others are judged and alerted all the same.
    DetectAnomaliesOperator(task_id="collect_judge_alert")
