"""# roll_back_model

Back to an earlier version of a model: the previous approved one, or a chosen one. The endpoint is moved and
verified as in a release, and answers throughout. The version that is left is marked as rejected with the
reason given, so that a second roll-back goes further back.

Trigger it by hand. `dry_run` shows which version would come back.

**When a run fails**, the version that served still serves, or the log says what does. Clear the failed task.

| it says | do |
|---|---|
| no earlier approved version | retrain; or approve one in the registry and name it |
| is Rejected | approve it in the registry first, if you are sure, and trigger again |
| is releasing | a training run is in the middle of its release: it ends first, or stop it |
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.parameters import dry_run_parameter, model_parameter
from vigil.operators.rollback import roll_back

with DAG(
    dag_id="roll_back_model",
    description="Bring back an earlier version of a model.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "model": model_parameter("event-counts", "Name of the model spec whose endpoint is rolled back."),
        "version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Version",
            description="Number of the version to bring back; empty takes the previous approved one.",
        ),
        "reason": Param(
            "",
            type="string",
            maxLength=500,
            title="Reason",
            description="Why; written into the registry and the notice.",
        ),
        "dry_run": dry_run_parameter(),
    },
    tags=[TAG, "release"],
):
    roll_back()
