"""The common part of every training run, whatever set it off: train, judge, release."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor

from vigil.operators.approval import ApproveCandidateOperator
from vigil.operators.leases import (
    ConfirmReleaseLeaseSensor,
    TakeReleaseLeaseSensor,
    give_back_release_lease,
)
from vigil.operators.release import (
    DeployModelOperator,
    register_candidate,
    remove_old_releases,
    verify_deployment,
)
from vigil.operators.telling import tell_of_failure
from vigil.operators.training import (
    EvaluateModelOperator,
    PredictWithCandidateOperator,
    PredictWithChampionOperator,
    TrainModelOperator,
    gather_data,
    judge_candidate,
    prepare_dataset,
    report_evaluation,
)

_LEASE = {"poke_interval": 30, "timeout": timedelta(hours=12).total_seconds()}


def train_and_release(request: Any) -> Any:
    """Wire the tasks from the resolved request to the verified release.

    Args:
        request: output of the task that settled it.

    Returns:
        The version as registered, for what follows whether it is deployed or not.
    """
    data = gather_data(request)
    gathered = S3KeySensor(
        task_id="wait_for_data",
        bucket_key="{{ ti.xcom_pull('gather_data')['manifest'] }}",
        deferrable=True,
        poke_interval=15,
        timeout=timedelta(minutes=30).total_seconds(),
    )
    dataset = prepare_dataset(request, data)
    train = TrainModelOperator(task_id="train", request=request, dataset=dataset)
    by_candidate = PredictWithCandidateOperator(
        task_id="predict_with_candidate", request=request, dataset=dataset, training=train.output
    )

    take_lease = TakeReleaseLeaseSensor(task_id="take_release_lease", request=request, **_LEASE)
    by_champion = PredictWithChampionOperator(
        task_id="predict_with_champion", request=request, dataset=dataset, champion=take_lease.output
    )
    evaluate = EvaluateModelOperator(
        task_id="evaluate",
        request=request,
        dataset=dataset,
        training=train.output,
        champion=take_lease.output,
        # The first model of all has no champion beside it.
        trigger_rule="none_failed_min_one_success",
    )
    report = report_evaluation(request, evaluate.output)
    decision = judge_candidate(request, evaluate.output)
    registered = register_candidate(request, dataset, train.output, evaluate.output, decision, report)

    approve = ApproveCandidateOperator(
        task_id="approve", request=request, registered=registered, report=report
    )
    confirm_lease = ConfirmReleaseLeaseSensor(
        task_id="confirm_release_lease",
        request=request,
        approved=approve.output,
        champion=take_lease.output,
        **_LEASE,
    )
    deploy = DeployModelOperator(task_id="deploy", request=request, approved=confirm_lease.output)
    verified = verify_deployment(request, deploy.output)
    removed = remove_old_releases(request)
    # These two run whatever happened, and have no say in whether the run succeeded.
    give_back = give_back_release_lease(request).as_teardown()
    told = tell_of_failure(request).as_teardown()

    data >> gathered >> dataset >> train >> [by_candidate, take_lease]
    take_lease >> by_champion
    [by_candidate, by_champion] >> evaluate
    verified >> removed >> [give_back, told]
    return registered
