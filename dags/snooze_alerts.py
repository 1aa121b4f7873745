"""# snooze_alerts

Nothing is told of some series for a while: trigger it by hand, with a pattern of series, a time and a reason.

Windows are judged and incidents recorded all the same, with the reason beside them. What still goes on when
the snooze is over is told then, with the time since when; what ended meanwhile is not told at all, unless
people had been told of its opening: then they are told of its end.

| to | say |
|---|---|
| snooze one series for two hours | `series: orders`, `hours: 2` |
| snooze all whose names begin so, until a time | `series: orders*`, `until: 2026-11-21T18:00:00Z` |
| snooze the silence of a source | `series: source:shop` |
| end a snooze before its time | `end`, with the very pattern that it was set with |

Times that are known beforehand stand better in the pipeline file, under `maintenance`.

**When a run fails**, nothing was snoozed: the log says what in the form cannot be meant, or that the database
did not answer. Trigger it again, or clear the task: it sets a snooze once.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.snoozing import snooze_series

with DAG(
    dag_id="snooze_alerts",
    description="Tell nothing of some series for a while.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "series": Param(
            "orders",
            type="string",
            pattern=r"^[A-Za-z0-9._*?\[\]!:-]{1,100}$",
            title="Series",
            description="Name or pattern, as in orders*; source:shop for the silence of a source.",
        ),
        "hours": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=24 * 366,
            title="Hours",
            description="How long; or say until when.",
        ),
        "until": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Until",
            description="When it is over, with its time zone; or say how many hours.",
        ),
        "reason": Param(
            "",
            type="string",
            maxLength=400,
            title="Reason",
            description="Why; kept with the incidents of that time.",
        ),
        "end": Param(
            False,
            type="boolean",
            title="End it",
            description="End the snoozes of this very pattern now.",
        ),
    },
    tags=[TAG, "detection"],
):
    snooze_series()
