"""# sweep_training_stacks

Every five minutes: ends every training stack that is past its deadline, that failed on its way, or whose
run is over. It terminates the instance directly and deletes the stack, and tries again what could not be
deleted. It finds stacks and instances by their tags and keeps nothing of its own, so it may be stopped and
started at will.

A run is skipped when there is nothing to sweep, as nearly always: instance and schedule end a stack by
themselves. Whatever is swept is told to the operations topic.

**When a run fails**, AWS did not take some of the calls, which the log names; the next run tries them
again. If it goes on, look at the stack's events in CloudFormation: the role in the setting
`training_stack_role_arn` must be allowed to remove what it made. The instance is terminated in any case:
nothing is billed.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from vigil.operators.defaults import MINUTELY_ARGS, TAG
from vigil.operators.sweeping import sweep_stacks

with DAG(
    dag_id="sweep_training_stacks",
    description="End every training stack that is past its end.",
    doc_md=__doc__,
    schedule=timedelta(minutes=5),
    catchup=False,
    max_active_runs=1,
    default_args=MINUTELY_ARGS,
    tags=[TAG, "training-stacks"],
):
    sweep_stacks()
