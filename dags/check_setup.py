"""# check_setup

Tells what is missing before the first run, and later what has gone missing: trigger it by hand.

It looks at settings and files; the database, its version, grants, migrations and clock; the bucket, topics,
queues and their policies; roles and permissions; the model registry and endpoints; and on Amazon MWAA at the
environment itself. Nothing is changed, but for an empty object that is put into the bucket and deleted again.

**Its outcome** stands in the log, a line for each thing, and as XCom `findings`. `ok` is as it should be;
`skip` does not apply, waits for another thing, or cannot be asked out of a private network without a way to
IAM, STS or EventBridge: `make doctor` asks from outside. `fail` says what to do behind its arrow.

**When a run fails**, something has to be mended: the end of the log lists it. Mend the first of them, and
trigger it again.
"""

from __future__ import annotations

from airflow.sdk import DAG

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.setup import look_at_everything

with DAG(
    dag_id="check_setup",
    description="Tell what is missing, each thing with its fix.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    # It is asked when nothing else runs yet, and changes nothing.
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=[TAG, "operations"],
):
    look_at_everything()
