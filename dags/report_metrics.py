"""# report_metrics

Every minute: tells CloudWatch how far the system is behind, in the namespace `Vigil`.

| metric | says |
|---|---|
| `DetectionLag` | seconds since the end of the newest judged window, of the live series that is behind most |
| `OldestUnsentAlert` | seconds that the oldest alert has waited in the outbox; 0 for none |
| `DirtyWindows` | windows that wait for a recount |
| `LastSuccessAge` | by DAG: seconds since its last success, or since it was switched on if that is later |

It is a DAG of its own so that it speaks also when detection hangs. `DetectionLag` grows before the first
release, too: nothing is judged yet. A series whose source is known to be silent does not count in it, unless
all are. It is missing while no series is live, and `LastSuccessAge` while a DAG is switched off or after its
file was removed.

**When an alarm rings**

| alarm | do |
|---|---|
| `detection-lag` | look at the runs of `detect_anomalies`; without data, at those of this DAG |
| `unsent-alerts` | the log of `detect_anomalies` says why SNS does not take them; none is lost |
| `dirty-windows` | events come faster than they are counted, or the database is slow |
| `last-success-…` | read the log of that DAG's last run, mend the cause, and clear the run |

**When a run fails**, nothing was sent, and the next one measures anew; nothing needs to be cleared. If it
goes on, the alarm on `DetectionLag` rings for want of data.
"""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG

from vigil.operators.defaults import MINUTELY_ARGS, TAG
from vigil.operators.reporting import measure_and_send

# Every other DAG with a schedule.
WATCHED = [
    "backfill_detections",
    "check_model_health",
    "detect_anomalies",
    "retrain_on_image_push",
    "retrain_on_new_data",
    "retrain_weekly",
    "sweep_training_stacks",
]

with DAG(
    dag_id="report_metrics",
    description="Tell CloudWatch how far the system is behind.",
    doc_md=__doc__,
    schedule="* * * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=MINUTELY_ARGS,
    tags=[TAG, "operations"],
):
    measure_and_send(WATCHED)
