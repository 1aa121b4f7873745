"""# retrain_weekly

Every Monday: export the last year of counts, train a candidate on them, compare it with the model that serves
on rows that neither has seen, and release it if it is good enough.

| parameter | meaning |
|---|---|
| `model` | name of the model spec in `include/configs/models/` |

**Its outcome.** A candidate that misses a gate is registered as rejected and not deployed: the run succeeds,
with `deploy` and `verify` skipped and the reasons in the registry and in the log of `judge_candidate`. The
run fails only when something did not work; a deployment that AWS rolled back is such a thing.

**When a run fails**, clear the failed task. Every job has a name that follows from the run and its data, so a
cleared task adopts what is running or done, and pays for nothing twice; a job that failed or was stopped is
started anew. Marking a waiting task as failed, or clearing it, stops its job.

| it says | do |
|---|---|
| no closed window | check `detect_anomalies`: are events counted? |
| a job ended as Failed | read its last log lines, in the task's own log; mend the cause; clear the task |
| was not taken into service | the old model serves; mend what FailureReason names; clear `deploy` |
| the lease is no longer held | another run released meanwhile: clear from `take_release_lease` |
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk import DAG, CronTriggerTimetable, Param

from vigil.operators.defaults import DEFAULT_ARGS, TAG
from vigil.operators.release import (
    DeployModelOperator,
    GiveBackReleaseLeaseOperator,
    RegisterModelOperator,
    TakeReleaseLeaseSensor,
    VerifyDeploymentOperator,
)
from vigil.operators.training import (
    EvaluateModelOperator,
    ExportWindowsOperator,
    JudgeCandidateOperator,
    PredictWithCandidateOperator,
    PredictWithChampionOperator,
    PrepareDatasetOperator,
    TrainModelOperator,
)

MODEL = "{{ params.model }}"

with DAG(
    dag_id="retrain_weekly",
    description="Export, train, evaluate, and release what is good enough.",
    doc_md=__doc__,
    # Without a start date, switching the DAG on trains nothing before next Monday.
    schedule=CronTriggerTimetable("0 4 * * 1", timezone="UTC", run_immediately=False),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "model": Param(
            "event-counts",
            type="string",
            pattern="^[a-zA-Z0-9](-*[a-zA-Z0-9])*$",
            maxLength=40,
            title="Model",
            description="Name of the model spec in include/configs/models/.",
        )
    },
    tags=[TAG, "training"],
):
    export = ExportWindowsOperator(task_id="export", model=MODEL)
    exported = S3KeySensor(
        task_id="wait_for_export",
        bucket_key="{{ ti.xcom_pull('export')['manifest'] }}",
        deferrable=True,
        poke_interval=15,
        timeout=timedelta(minutes=30).total_seconds(),
    )
    dataset = PrepareDatasetOperator(task_id="prepare_dataset", model=MODEL, export=export.output)
    train = TrainModelOperator(task_id="train", model=MODEL, dataset=dataset.output)
    by_candidate = PredictWithCandidateOperator(
        task_id="predict_with_candidate", model=MODEL, dataset=dataset.output, training=train.output
    )

    take_lease = TakeReleaseLeaseSensor(
        task_id="take_release_lease",
        model=MODEL,
        poke_interval=30,
        timeout=timedelta(hours=12).total_seconds(),
    )
    by_champion = PredictWithChampionOperator(
        task_id="predict_with_champion", model=MODEL, dataset=dataset.output, champion=take_lease.output
    )
    evaluate = EvaluateModelOperator(
        task_id="evaluate",
        model=MODEL,
        dataset=dataset.output,
        training=train.output,
        champion=take_lease.output,
        # The first model of all has no champion beside it.
        trigger_rule="none_failed_min_one_success",
    )
    judge = JudgeCandidateOperator(task_id="judge_candidate", model=MODEL, evaluation=evaluate.output)
    register = RegisterModelOperator(
        task_id="register",
        model=MODEL,
        dataset=dataset.output,
        training=train.output,
        evaluation=evaluate.output,
        decision=judge.output,
    )
    deploy = DeployModelOperator(task_id="deploy", model=MODEL, registered=register.output)
    verify = VerifyDeploymentOperator(task_id="verify", model=MODEL, deployment=deploy.output)
    give_back_lease = GiveBackReleaseLeaseOperator(task_id="give_back_release_lease", model=MODEL)

    export >> exported >> dataset >> train >> [by_candidate, take_lease]
    take_lease >> by_champion
    [by_candidate, by_champion] >> evaluate >> judge >> register >> deploy >> verify >> give_back_lease
    # Also when something failed in between, and without a say in whether the run succeeded.
    give_back_lease.as_teardown()
