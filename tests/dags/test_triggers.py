"""What can set off a training or a roll-back, and what comes of it: the table of triggers and outcomes.

Every run is real: MariaDB, the embedded AWS, trained models. After each, what was paid for is exactly what
was asked for. Rows that need the real scheduler stand in `test_under_the_scheduler.py`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import CronTriggerTimetable
from airflow.sdk.bases.operator import TriggerFailureReason
from pymysql.connections import Connection

from tests.dags.runs import include_with, load_dag, returned, run_dag, task_states
from tests.dags.tabular_model import TabularModel
from tests.vigil.training.tables import csv_of, tabular_spec
from tests.waiting import wait_for
from vigil.aws import Aws
from vigil.operators.incoming import IncomingFilesSensor
from vigil.settings import Settings
from vigil.windows import now

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_metadata")]

NEW_DATA, IMAGE_PUSH, WEEKLY = "retrain_on_new_data", "retrain_on_image_push", "retrain_weekly"
ROLL_BACK = "roll_back_model"
ROWS = 400
AWKWARD = "a b+c%20d/ünï (1)&=.csv"
QUEUE = "http://127.0.0.1:1/123456789012/pushes"

# Training, transform and processing jobs.
NOTHING = (0, 0, 0)
WITHOUT_A_CHAMPION = (1, 1, 1)
# Released by the test itself, which evaluates nothing.
ONE_RELEASED, TWO_RELEASED = (1, 0, 0), (2, 0, 0)
ONE_RELEASED_ONE_TRAINED = (2, 2, 1)


@pytest.fixture
def model(
    aws: Aws,
    connection: Connection[Any],
    vigil_environment: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[TabularModel]:
    bucket = vigil_environment.bucket
    aws.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    monkeypatch.setenv("AIRFLOW__VIGIL__OPERATIONS_TOPIC_ARN", vigil_environment.alert_topic_arn)
    name = bucket.replace("vigil", "orders")
    include = include_with(tabular_spec(name), tmp_path, monkeypatch)
    model = TabularModel(name, bucket, include, aws, connection)
    yield model
    assert model.rows("SELECT * FROM release_leases") == []
    model.take_down()


# New data


def test_a_good_file_is_released_and_one_that_comes_meanwhile_is_trained_on_with_it_next(
    model: TabularModel,
) -> None:
    model.drop("first.csv", csv_of(ROWS))
    run = run_dag(NEW_DATA, now(), before={"train": lambda: model.drop("second.csv", csv_of(ROWS, seed=1))})
    assert run.state == "success", task_states(run)
    assert model.paid() == WITHOUT_A_CHAMPION
    assert returned(run, "prepare_dataset")["notes"] == {"files": 1}
    assert model.serving() == "v1"
    assert model.names("accepted/") == ["first.csv"]
    assert model.names("incoming/") == ["second.csv"]
    assert len(model.told("deployed")) == 1

    with model.asked_all_along() as variants:
        run = run_dag(NEW_DATA, now())
    assert run.state == "success", task_states(run)
    assert variants == ["v1", "v2"]
    assert model.paid() == (2, 3, 2), "the champion predicts too"
    assert sum(returned(run, "prepare_dataset")["rows"].values()) == 2 * ROWS
    assert model.serving() == "v2"
    assert model.names("accepted/") == ["first.csv", "second.csv"]
    assert model.names("incoming/") == []
    assert model.released() == {"1": "retired", "2": "champion"}


def test_a_bad_file_is_set_aside_with_its_row_and_column_and_nothing_is_trained(model: TabularModel) -> None:
    lines = csv_of(ROWS).splitlines()
    lines[3] = "many,far,yes"
    model.drop("bad.csv", "\n".join(lines))
    run = run_dag(NEW_DATA, now())
    assert run.state == "success", task_states(run)
    assert task_states(run)["claim_new_files"] == "skipped"
    assert model.paid() == NOTHING
    assert model.names("incoming/") == []
    assert model.names("set-aside/") == ["bad.csv", "bad.csv.report.md"]
    report = model.read(model.keys("set-aside/")[1])
    assert "| 4 | amount |" in report
    assert "many" in report
    (notice,) = model.told("file-set-aside")
    assert "bad.csv" in notice


def test_a_file_that_was_trained_on_before_is_set_aside_and_nothing_is_trained(model: TabularModel) -> None:
    model.release(csv_of(ROWS))
    model.drop("again.csv", csv_of(ROWS))
    run = run_dag(NEW_DATA, now())
    assert run.state == "success", task_states(run)
    assert model.paid() == ONE_RELEASED
    assert model.names("set-aside/") == ["again.csv", "again.csv.report.md"]
    assert model.claims() == ["trained"]
    assert model.serving() == "v1"


def test_files_of_a_run_that_died_are_trained_on_once_whatever_their_keys_and_copies(
    model: TabularModel,
) -> None:
    model.drop(AWKWARD, csv_of(ROWS))
    assert model.claim(f"{NEW_DATA}/gone")
    model.drop("copy.csv", csv_of(ROWS))
    model.drop("more +1.CSV", csv_of(ROWS, seed=1))
    run = run_dag(NEW_DATA, now())
    assert run.state == "success", task_states(run)
    assert model.paid() == WITHOUT_A_CHAMPION
    assert sum(returned(run, "prepare_dataset")["rows"].values()) == 2 * ROWS
    assert model.names("accepted/") == ["more +1.CSV", "ünï (1)&=.csv"]
    assert model.names("set-aside/") == ["copy.csv", "copy.csv.report.md"]
    assert model.names("incoming/") == []
    assert model.claims() == ["trained", "trained"]
    assert model.serving() == "v1"


def test_files_that_no_model_learns_from_are_set_aside(model: TabularModel) -> None:
    model.drop("lost.csv", csv_of(ROWS), model="nobody")
    model.drop("events.csv", csv_of(ROWS), model="event-counts")
    run = run_dag(NEW_DATA, now())
    assert run.state == "success", task_states(run)
    assert model.keys("training/") == model.keys("incoming/") == []
    assert len(model.told("file-set-aside")) == 2
    assert model.claims() == []


def test_without_a_file_the_run_is_skipped(model: TabularModel, monkeypatch: pytest.MonkeyPatch) -> None:
    deferred = []

    def nothing_comes(sensor: IncomingFilesSensor) -> None:
        """Go on as Airflow does when the sensor's time is over; `dag.test()` would wait for ever."""
        deferred.append(sensor.timeout)
        sensor.resume_execution("__fail__", {"error": TriggerFailureReason.TRIGGER_TIMEOUT}, {})

    monkeypatch.setattr(IncomingFilesSensor, "_defer", nothing_comes)
    run = run_dag(NEW_DATA, now())
    assert run.state == "success", task_states(run)
    assert deferred == [9 * 60]
    assert set(task_states(run).values()) <= {"skipped", "success"}
    assert task_states(run)["claim_new_files"] == task_states(run)["train"] == "skipped"
    assert model.keys() == []


# Manifest and trigger form


def test_a_manifest_with_a_typo_is_refused_and_told_once_and_a_corrected_one_is_obeyed(
    model: TabularModel,
) -> None:
    model.drop("first.csv", csv_of(ROWS))
    model.drop_manifest(hyperparameters={"num_rounds": 7})
    for _ in range(2):
        assert run_dag(NEW_DATA, now()).state == "failed"
    assert model.paid() == NOTHING
    assert model.names("incoming/") == ["first.csv", "manifest.json"]
    assert model.claims() == model.keys("training/") == []
    (notice,) = model.told("training-failed")
    assert "did you mean num_round?" in notice

    model.drop_manifest(hyperparameters={"num_round": 7, "eta": 0.4}, instance={"type": "ml.m5.xlarge"})
    run = run_dag(NEW_DATA, now(), {"hyperparameters": {"eta": 0.5}})
    assert run.state == "success", task_states(run)
    assert model.paid() == WITHOUT_A_CHAMPION
    (job,) = model.training_jobs()
    assert job["HyperParameters"] == {"objective": "binary:logistic", "num_round": "7", "eta": "0.5"}
    assert job["ResourceConfig"]["InstanceType"] == "ml.m5.xlarge"
    (kept,) = [key for key in model.keys("training/") if key.endswith("/request.json")]
    request = json.loads(model.read(kept))
    assert request["origins"]["algorithm.hyperparameters.num_round"] == "manifest.json"
    assert request["origins"]["algorithm.hyperparameters.eta"] == "trigger form"
    assert model.serving() == "v1"
    assert model.names("incoming/") == ["manifest.json"]


def test_whoever_drops_files_brings_no_image_of_strangers_and_no_manifest_without_end(
    model: TabularModel,
) -> None:
    model.drop("first.csv", csv_of(ROWS))
    model.drop_manifest(image_uri="999999999999.dkr.ecr.eu-west-1.amazonaws.com/strange:1")
    assert run_dag(NEW_DATA, now()).state == "failed"
    model.drop("manifest.json", "[" * 100_000)
    assert run_dag(NEW_DATA, now() + timedelta(minutes=1)).state == "failed"
    assert model.paid() == NOTHING
    image, endless = sorted(model.told("training-failed"), key=lambda text: "is no JSON" in text)
    assert "no registry of the account 123456789012 or of Amazon" in image
    assert "is no JSON" in endless


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ({"hyperparameters": {"eta": 2}}, "eta"),
        ({"hyperparameters": {"objective": "reg:squarederror"}}, "objective"),
        ({"gates": {"max_wape": 0.1}}, "wape"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_paid_for(
    model: TabularModel, conf: dict[str, Any], reason: str
) -> None:
    model.drop("first.csv", csv_of(ROWS))
    run = run_dag(NEW_DATA, now(), conf)
    assert run.state == "failed"
    assert model.paid() == NOTHING
    assert model.names("") == ["first.csv"]
    assert model.claims() == []
    (notice,) = model.told("training-failed")
    assert reason in notice


@pytest.mark.parametrize("dag_id", [NEW_DATA, WEEKLY, IMAGE_PUSH])
def test_a_dry_run_changes_nothing(model: TabularModel, dag_id: str) -> None:
    model.drop("first.csv", csv_of(ROWS))
    model.drop("bad.csv", "nonsense")
    follow(model)
    push(model, "one")
    before = model.keys()
    run = run_dag(dag_id, now(), {"model": model.name, "dry_run": True})
    assert run.state == "success", task_states(run)
    assert task_states(run)["train"] == "skipped"
    assert model.paid() == NOTHING
    assert model.keys() == before
    assert model.rows("SELECT identity FROM training_claims UNION SELECT identity FROM notices") == []


# Inheriting hyperparameters


def asked_for(model: TabularModel, mode: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the hyperparameters that a run would take, and their origins."""
    run = run_dag(WEEKLY, now(), {"model": model.name, "inherit": mode, "dry_run": True})
    assert run.state == "success", task_states(run)
    request = returned(run, "resolve_request")
    return request["spec"]["algorithm"]["hyperparameters"], request["origins"]


@pytest.mark.parametrize("mode", ["champion", "last_job"])
def test_with_no_earlier_job_the_model_specs_own_values_are_taken(
    model: TabularModel, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    found, origins = asked_for(model, mode)
    assert found == {"objective": "binary:logistic", "num_round": "10", "eta": "0.3"}
    assert set(origins) == {"algorithm.inherit"}
    assert f"There is no job to inherit from ({mode})" in caplog.text


def test_hyperparameters_are_inherited_from_the_champion_or_from_the_last_job_by_prefix(
    model: TabularModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.release(csv_of(ROWS), eta=0.7)
    (job,) = [job["TrainingJobName"] for job in model.training_jobs()]
    found, origins = asked_for(model, "champion")
    assert found["eta"] == "0.7"
    assert origins["algorithm.hyperparameters.eta"] == f"the champion's job {job}"
    monkeypatch.setenv("AIRFLOW__VIGIL__INHERIT_JOB_PREFIX", model.name)
    found, origins = asked_for(model, "last_job")
    assert found["eta"] == "0.7"
    assert origins["algorithm.hyperparameters.eta"] == f"the last completed job {job}"
    # It contains this, and does not begin with it.
    monkeypatch.setenv("AIRFLOW__VIGIL__INHERIT_JOB_PREFIX", model.name.removeprefix("orders-"))
    assert asked_for(model, "last_job")[0]["eta"] == "0.3"
    assert model.paid() == ONE_RELEASED


# Pushed images


def repository_of(model: TabularModel) -> str:
    return f"{model.name}/sagemaker-xgboost"


def follow(model: TabularModel) -> None:
    """Let the model follow a repository of its own, without an image yet."""
    model.aws.client("ecr").create_repository(repositoryName=repository_of(model))
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    algorithm = {
        "image_uri": f"{registry}/{repository_of(model)}:stable",
        "retrain_on_push": True,
        "hyperparameters": tabular_spec()["algorithm"]["hyperparameters"],
    }
    model.specify(algorithm=algorithm)


def push(model: TabularModel, content: str) -> str:
    """Push an image, and return its digest."""
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "n": content}
    pushed = model.aws.client("ecr").put_image(
        repositoryName=repository_of(model), imageManifest=json.dumps(manifest), imageTag="stable"
    )
    digest: str = pushed["image"]["imageId"]["imageDigest"]
    return digest


def test_a_pushed_image_is_trained_with_once_by_its_digest_also_when_its_event_was_lost_or_doubled(
    model: TabularModel,
) -> None:
    model.release(csv_of(ROWS))
    follow(model)
    push(model, "overtaken")
    digest = push(model, "newest")

    def fails() -> None:
        raise RuntimeError("The worker is gone")

    # Nobody has told of the push: the hourly look finds it. A run that dies loses it to the next one.
    run = run_dag(IMAGE_PUSH, now(), before={"gather_data": fails})
    assert run.state == "failed"
    assert model.paid() == ONE_RELEASED
    run = run_dag(IMAGE_PUSH, now())
    assert run.state == "success", task_states(run)
    assert model.paid() == ONE_RELEASED_ONE_TRAINED
    image = model.training_jobs()[-1]["AlgorithmSpecification"]["TrainingImage"]
    assert image.endswith(f"{repository_of(model)}@{digest}")
    assert model.serving() == "v2"

    # The same event again.
    run = run_dag(IMAGE_PUSH, now())
    assert run.state == "success"
    assert task_states(run)["claim_pushed_image"] == "skipped"
    assert model.paid() == ONE_RELEASED_ONE_TRAINED
    assert model.claims() == ["trained", "trained"], "the file and the image"


def test_without_an_image_the_run_is_skipped(model: TabularModel) -> None:
    follow(model)
    run = run_dag(IMAGE_PUSH, now())
    assert run.state == "success", task_states(run)
    assert task_states(run)["claim_pushed_image"] == "skipped"
    assert model.keys() == []


def test_without_a_queue_nothing_watches_pushes_and_the_tag_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__VIGIL__IMAGE_PUSH_QUEUE_URL", raising=False)
    dag = load_dag(IMAGE_PUSH)
    assert "hourly-look-only" in dag.tags
    assert dag.schedule == CronTriggerTimetable("23 * * * *", timezone="UTC")


def test_with_a_queue_a_watcher_waits_for_pushes_beside_the_hourly_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__VIGIL__IMAGE_PUSH_QUEUE_URL", QUEUE)
    dag = load_dag(IMAGE_PUSH)
    assert "watches-pushes" in dag.tags
    assert dag.schedule.timetable == CronTriggerTimetable("23 * * * *", timezone="UTC")
    (asset,) = dag.schedule.asset_condition.objects
    (watcher,) = asset.watchers
    assert watcher.trigger.sqs_queue == QUEUE


# Release


def test_a_candidate_worse_than_the_champion_is_registered_with_reasons_and_not_deployed(
    model: TabularModel,
) -> None:
    model.release(csv_of(ROWS))
    model.drop("second.csv", csv_of(ROWS, seed=1))
    conf = {
        # A tree of one question cannot tell late orders.
        "hyperparameters": {"max_depth": 1, "num_round": 1},
        "gates": {"min_auc": 0.01, "not_worse_than_champion": {"metric": "auc", "by": 0.1}},
    }
    run = run_dag(NEW_DATA, now(), conf)
    assert run.state == "success", task_states(run)
    assert task_states(run)["deploy"] == "skipped"
    assert model.paid() == ONE_RELEASED_ONE_TRAINED
    package = model.registered(2)
    assert package["ModelApprovalStatus"] == "Rejected"
    assert f"worse than the champion {model.name}/1" in package["ApprovalDescription"]
    (notice,) = model.told("candidate-rejected")
    assert "auc" in notice
    assert model.serving() == "v1"
    assert model.released() == {"1": "champion"}
    assert model.names("incoming/") == [], "it was trained on"


def test_a_broken_artifact_fails_the_run_and_the_old_version_answers_throughout(model: TabularModel) -> None:
    model.release(csv_of(ROWS))
    model.drop("second.csv", csv_of(ROWS, seed=1))
    with model.asked_all_along() as variants:
        run = run_dag(NEW_DATA, now(), before={"deploy": model.break_artifact})
    assert run.state == "failed"
    assert task_states(run)["deploy"] == "failed"
    assert model.paid() == ONE_RELEASED_ONE_TRAINED
    assert variants == ["v1"]
    assert model.serving() == "v1"
    assert model.released() == {"1": "champion", "2": "failed"}
    package = model.registered(2)
    assert package["ModelApprovalStatus"] == "Rejected"
    assert "Its deployment failed" in package["ApprovalDescription"]
    assert len(model.told("deployment-failed")) == 1
    assert model.claims() == ["trained", "trained"], "the file is not to blame"


def test_an_alarm_in_the_middle_of_a_canary_takes_everything_back(model: TabularModel, aws: Aws) -> None:
    alarm = f"{model.name}-errors"
    cloudwatch = aws.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=alarm,
        MetricName="Invocation5XXErrors",
        Namespace="AWS/SageMaker",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",  # it keeps the state that the test sets
    )
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="quiet")
    model.release(csv_of(ROWS), due_at=now() - timedelta(days=1))
    shifting = {"traffic": "canary", "step_percent": 50, "wait_s": 120, "alarms": [alarm]}
    endpoint = {"name": model.name, "instance_type": "ml.m5.large", "instance_count": 2, "shifting": shifting}
    model.specify(endpoint=endpoint)
    model.drop("second.csv", csv_of(ROWS, seed=1))
    with model.asked_all_along() as variants:

        def ring() -> None:
            wait_for(lambda: "v2" in variants, "the canary to answer")
            cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="errors")

        ringing = threading.Thread(target=ring)
        run = run_dag(NEW_DATA, now(), before={"deploy": lambda: ringing.ident or ringing.start()})
        ringing.join()
        wait_for(lambda: variants[-1] == "v1", "the version before to answer")
    assert run.state == "failed"
    assert task_states(run)["deploy"] == "failed"
    assert set(variants) == {"v1", "v2"}
    assert model.serving() == "v1"
    assert model.paid() == ONE_RELEASED_ONE_TRAINED
    assert model.released() == {"1": "champion", "2": "failed"}
    assert alarm in model.registered(2)["ApprovalDescription"]
    assert len(model.told("deployment-failed")) == 1


def test_a_version_that_answers_otherwise_than_it_did_is_taken_out_of_service(model: TabularModel) -> None:
    model.release(csv_of(ROWS), due_at=now() - timedelta(days=1))
    model.drop("second.csv", csv_of(ROWS, seed=1))
    with model.asked_all_along() as variants:
        run = run_dag(NEW_DATA, now(), before={"deploy": model.spoil_known_answers})
        wait_for(lambda: variants == ["v1", "v2", "v1"], "the version before to come back")
    assert run.state == "failed"
    assert task_states(run)["verify_deployment"] == "failed"
    assert model.paid() == ONE_RELEASED_ONE_TRAINED
    assert model.serving() == "v1"
    assert model.released() == {"1": "champion", "2": "failed"}
    assert "smoke test" in model.registered(2)["ApprovalDescription"]
    assert len(model.told("deployment-failed")) == 1


def test_a_late_run_is_skipped_and_nothing_is_paid_for(model: TabularModel) -> None:
    model.release(csv_of(ROWS))
    run = run_dag(WEEKLY, now() - timedelta(days=7), {"model": model.name})
    assert run.state == "success", task_states(run)
    assert task_states(run)["resolve_request"] == task_states(run)["train"] == "skipped"
    assert model.paid() == ONE_RELEASED
    assert model.serving() == "v1"


def test_the_weekly_run_trains_a_tabular_model_on_every_accepted_file(model: TabularModel) -> None:
    model.release(csv_of(ROWS), eta=0.7)
    model.release(csv_of(ROWS, seed=1), eta=0.7)
    run = run_dag(WEEKLY, now(), {"model": model.name, "inherit": "champion"})
    assert run.state == "success", task_states(run)
    assert returned(run, "gather_data")["rows"] == 2 * ROWS
    assert model.paid() == (3, 2, 1)
    assert model.training_jobs()[-1]["HyperParameters"]["eta"] == "0.7"
    assert model.serving() == "v3"


# Roll-back


def test_a_roll_back_brings_the_previous_version_and_then_a_chosen_one(model: TabularModel) -> None:
    model.release(csv_of(ROWS))
    model.release(csv_of(ROWS, seed=1))
    conf = {"model": model.name, "reason": "too many late orders"}
    run = run_dag(ROLL_BACK, now(), {**conf, "dry_run": True})
    assert run.state == "success", task_states(run)
    assert model.serving() == "v2"
    assert model.registered(2)["ModelApprovalStatus"] == "Approved"

    with model.asked_all_along() as variants:
        run = run_dag(ROLL_BACK, now(), conf)
    assert run.state == "success", task_states(run)
    assert variants == ["v2", "v1"]
    assert model.serving() == "v1"
    assert model.released() == {"1": "champion", "2": "retired"}
    assert model.registered(2)["ModelApprovalStatus"] == "Rejected"
    assert "too many late orders" in model.registered(2)["ApprovalDescription"]
    assert len(model.told("rolled-back")) == 1

    # What was left is not brought back unawares.
    assert run_dag(ROLL_BACK, now(), {**conf, "version": 2}).state == "failed"
    assert model.serving() == "v1"
    model.sagemaker.update_model_package(
        ModelPackageArn=model.registered(2)["ModelPackageArn"], ModelApprovalStatus="Approved"
    )
    run = run_dag(ROLL_BACK, now(), {**conf, "version": 2})
    assert run.state == "success", task_states(run)
    assert model.serving() == "v2"
    assert model.paid() == TWO_RELEASED


def test_with_nothing_to_go_back_to_a_roll_back_fails_and_changes_nothing(model: TabularModel) -> None:
    model.release(csv_of(ROWS))
    run = run_dag(ROLL_BACK, now(), {"model": model.name})
    assert run.state == "failed"
    assert task_states(run)["choose_version"] == "failed"
    assert model.serving() == "v1"
    assert model.released() == {"1": "champion"}
    assert model.paid() == ONE_RELEASED
