"""# backfill_detections

Judges one day of history a run, with the model that serves now.

The scheduled run looks after yesterday: it judges what no minutely run has judged, and draws the statistics
that today is judged by. Keep it switched on. To judge history, backfill it, a day a run:

```
airflow backfill create --dag-id backfill_detections --max-active-runs 1
    --from-date 2026-11-01 --to-date 2026-11-14
```

Where there is no command line, as on Amazon MWAA: *Trigger*, *Backfill* on this page, or `POST /backfills`
of the REST API.

A backfill run judges its whole day again. Verdicts of other model versions stay beside the new ones. Days of
many windows (`bulk.above_windows` in the pipeline file) are judged by Batch Transform.

Nobody is alerted of the past, unless you ask for it: `send_alerts` in the trigger form, or
`--dag-run-conf '{"send_alerts": true}'` behind the command above. Each incident of history is then told once,
however often its day is judged again.

**When a run fails**, clear it: judging a day twice changes nothing. A transform job that goes on is adopted.
Marking the task as failed stops it.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.detection import JudgePeriodOperator

with DAG(
    dag_id="backfill_detections",
    description="Judge a day of history.",
    doc_md=__doc__,
    # A backfill needs intervals; a plain cron string would give each run an empty one.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1),
    catchup=False,
    # Incidents go on over midnight: days are judged in order.
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "send_alerts": Param(
            False,
            type="boolean",
            title="Send alerts",
            description="Tell people of the incidents of this history, each once.",
        ),
    },
    tags=[TAG, "detection"],
):
    JudgePeriodOperator(task_id="judge_day")
