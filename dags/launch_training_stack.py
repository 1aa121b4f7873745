"""# launch_training_stack

One EC2 instance in a CloudFormation stack of its own runs one training script, and ceases to exist: when
the script has ended, at a fixed time, or when it has cost what was allowed. Three ends that do not know of
each other see to that - a timer in the instance, a schedule in the stack, and `sweep_training_stacks` -
even when Airflow is dead.

Trigger it with the name of a configuration in `include/configs/stacks/`, or with one in a bucket, or say it
all under `options`; what is said there wins, key by key. `dry_run` shows price, deadline and the most it
can cost. README.md, "Training stacks", has every key.

Killing the task deletes the stack, unless the configuration says `detach-on-kill`. A retry takes over the
stack of the first try.

**When a run fails**, nothing that costs is left: the log says why, and what was uploaded stays on S3. To
launch again, trigger a new run: a cleared task only tells again how its launch ended.

| it says | do |
|---|---|
| cannot be used | mend the configuration; the schema is `include/configs/stacks/training-stack.schema.json` |
| There is no price | set `hourly-price`, or allow `pricing:GetProducts` |
| exists, and is left as it is | wait, take another name, or set `stack-replacement` |
| the script ended with status | read the log below `log/` in the launch's folder on S3 |
| ended at its hard maximum | the script did not end by itself: raise `maximum-hours`, or mend it |
| cannot be deleted | its instance is terminated; look at the stack's events: the sweep goes on trying |
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.parameters import dry_run_parameter
from vigil.operators.stacks import LaunchTrainingStackOperator, leave_nothing, settle_launch

with DAG(
    dag_id="launch_training_stack",
    description="Run a training script on an EC2 instance that is certain to end.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=32,
    default_args=DEFAULT_ARGS,
    params={
        "config": Param(
            None,
            type=["null", "string"],
            minLength=1,
            title="Configuration",
            description="Name of a file in include/configs/stacks/, or s3://bucket/key.",
        ),
        "options": Param(
            None,
            type=["null", "object"],
            title="Options",
            description='Keys that win over the configuration\'s, as in {"termination-method": '
            '"around-cost-threshold", "cost-limit": 5}.',
        ),
        "dry_run": dry_run_parameter(),
    },
    tags=[TAG, "training-stacks"],
):
    settled = settle_launch()
    launched = LaunchTrainingStackOperator(task_id="launch", launch=settled)
    launched >> leave_nothing(settled).as_teardown()
