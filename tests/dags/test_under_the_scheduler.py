"""What only the real Airflow shows: people who answer, runs at the same time, a scheduler that dies.

One stack serves all of it, so the file stays with one worker: database, embedded AWS, Airflow's processes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import yaml

from local_stack.airflow import AirflowApi, DagRun, every
from local_stack.demo.endpoint_client import EndpointClient
from local_stack.dropping import NEW_DATA, DropBox
from local_stack.lifecycle import aws_of, bring_down, start_airflow, start_services
from local_stack.processes import Processes
from local_stack.stack import REGION, Stack, open_stack
from tests.vigil.training.tables import csv_of, tabular_spec
from vigil.aws import Aws
from vigil.database import connected
from vigil.paths import include_dir

pytestmark = pytest.mark.timeout(400)

MINUTELY = ("detect_anomalies", "report_metrics")
DAGS = (NEW_DATA, "retrain_weekly", *MINUTELY)
ROWS = 400
RUN_LIMIT_S = 240
# A scheduler that was killed is missed after seconds, not after minutes.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "4",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
}
# Some seconds, also where nothing else runs: long enough to be met in training.
SLOW_TRAINING = {"objective": "binary:logistic", "num_round": 10000, "eta": 0.01, "max_depth": 3}
PERSON = {"by": "person", "wait_h": 1, "otherwise": "approve"}
MODELS: dict[str, dict[str, Any]] = {
    "careful": {"approval": PERSON},
    "hasty": {"approval": {"by": "person", "wait_h": 0.001, "otherwise": "reject"}},
    "quick": {},
    "slow": {
        "algorithm": {"image": "sagemaker-xgboost", "version": "1.7-1", "hyperparameters": SLOW_TRAINING},
        # The endpoint is in motion for so long that a scheduler can be killed meanwhile.
        "endpoint": {
            "name": "slow",
            "instance_type": "ml.m5.large",
            "instance_count": 2,
            "shifting": {"bake_s": 4},
        },
    },
}


class Airflow:
    """A stack with small tabular models, and what the tests do with it."""

    def __init__(self, stack: Stack, api: AirflowApi, bucket: str) -> None:
        self.stack = stack
        self.api = api
        self.box = DropBox(api, self.aws.client("s3"), bucket)

    @property
    def aws(self) -> Aws:
        return aws_of(self.stack)

    def trigger(self, dag_id: str, model: str, name: str) -> str:
        return self.api.trigger(dag_id, name, {"model": model}).run_id

    def end_of(self, dag_id: str, run_id: str) -> DagRun:
        return self.api.follow(dag_id, run_id, RUN_LIMIT_S, lambda _: None)

    def wait_for(self, dag_id: str, run_id: str, task_id: str, *states: str) -> None:
        for _ in every(0.1, RUN_LIMIT_S, f"{task_id} to be {' or '.join(states)}"):
            found = self.api.task_states(dag_id, run_id)
            if found.get(task_id) in states:
                return
            assert "failed" not in found.values(), found

    def drop_and_find_run(self, model: str, seed: int) -> str:
        self.box.drop(model, {f"orders-{seed}.csv": csv_of(ROWS, seed=seed).encode()})
        return self.box.run_that_claims(model, RUN_LIMIT_S)

    def say(self, dag_id: str, run_id: str, option: str) -> None:
        """Answer as a person would; again, if Airflow asks again.

        Answered in the moment of the question, Airflow 3.3.1 may take the task for lost and retry it.
        """
        for _ in every(0.5, RUN_LIMIT_S, f"{option} to be heard"):
            state = self.api.task_states(dag_id, run_id)["approve"]
            if state == "success":
                return
            if state == "awaiting_input":
                self.api.answer(dag_id, run_id, "approve", option)

    def release(self, model: str, seed: int) -> None:
        """Train a first version on a dropped file, and let it serve."""
        assert self.end_of(NEW_DATA, self.drop_and_find_run(model, seed)).state == "success"

    def versions(self, model: str) -> dict[int, str]:
        answer = self.aws.client("sagemaker").list_model_packages(ModelPackageGroupName=model)
        return {p["ModelPackageVersion"]: p["ModelApprovalStatus"] for p in answer["ModelPackageSummaryList"]}

    def trainings(self, model: str) -> list[str]:
        answer = self.aws.client("sagemaker").list_training_jobs(NameContains=f"{model}-train-")
        return [job["TrainingJobName"] for job in answer["TrainingJobSummaries"]]

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with connected(self.stack.database) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def champion(self, model: str) -> str | None:
        found = self.rows(
            "SELECT model_version FROM released_models WHERE model = %s AND status = 'champion'", model
        )
        return found[0][0] if found else None

    def log(self, dag_id: str, task_id: str) -> list[dict[str, Any]]:
        """Return every line that a task has written, in any run; none has a password in it."""
        folder = self.stack.airflow_home / "logs" / f"dag_id={dag_id}"
        text = "".join(file.read_text() for file in folder.glob(f"run_id=*/task_id={task_id}/attempt=*.log"))
        assert self.stack.database.password not in text
        return [json.loads(line) for line in text.splitlines()]

    def client(self, model: str) -> EndpointClient:
        return EndpointClient(self.stack.aws_url, REGION, model, "500.0,1.0,0.0")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("airflow")
    include = folder / "include"
    shutil.copytree(include_dir(), include, ignore=shutil.ignore_patterns("sample-data", "__pycache__"))
    for name, changes in MODELS.items():
        spec = tabular_spec(name, **changes)
        (include / "configs" / "models" / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    shop = {"kind": "simulator", "name": "shop", "series": [{"name": "orders", "base_rate": 5}]}
    pipeline = {"model": "event-counts", "sources": [shop]}
    (include / "configs" / "pipeline.yaml").write_text(yaml.safe_dump(pipeline))
    stack = open_stack(folder / "stack")
    stack.extra_environment_file.write_text(json.dumps({"VIGIL_INCLUDE_DIR": str(include), **IMPATIENT}))
    try:
        outputs = start_services(stack, print)
        api = start_airflow(stack, print)
        for _ in every(0.3, 60, "the DAGs"):
            if set(DAGS) <= api.dag_ids():
                break
        assert api.import_errors() == []
        for dag_id in DAGS:
            api.unpause(dag_id)
        yield Airflow(stack, api, outputs["BucketName"])
    finally:
        bring_down(stack)


@pytest.mark.long
def test_a_person_sees_the_metrics_and_what_they_say_is_done(airflow: Airflow) -> None:
    run_id = airflow.drop_and_find_run("careful", 1)
    airflow.wait_for(NEW_DATA, run_id, "approve", "awaiting_input")
    question = airflow.api.question(NEW_DATA, run_id, "approve")
    assert question["subject"] == "Deploy careful/1?"
    assert "auc" in question["body"]
    assert question["defaults"] == ["Approve"]
    assert airflow.rows("SELECT * FROM release_leases WHERE endpoint = 'careful'") == []
    assert airflow.champion("careful") is None
    airflow.say(NEW_DATA, run_id, "Approve")
    assert airflow.end_of(NEW_DATA, run_id).state == "success"
    assert airflow.champion("careful") == "careful/1"

    run_id = airflow.trigger("retrain_weekly", "careful", "refused")
    airflow.wait_for("retrain_weekly", run_id, "approve", "awaiting_input")
    airflow.say("retrain_weekly", run_id, "Reject")
    assert airflow.end_of("retrain_weekly", run_id).state == "success"
    assert airflow.api.task_states("retrain_weekly", run_id)["deploy"] == "skipped"
    assert airflow.versions("careful") == {1: "Approved", 2: "Rejected"}
    assert airflow.champion("careful") == "careful/1"
    kinds = [kind for (kind,) in airflow.rows("SELECT kind FROM notices WHERE model = 'careful'")]
    assert sorted(kinds) == sorted(
        [
            *("retraining-triggered", "training-succeeded", "approval-wanted") * 2,
            "deployed",
            "candidate-rejected",
        ]
    )


@pytest.mark.long
def test_silence_means_what_the_model_spec_says(airflow: Airflow) -> None:
    run_id = airflow.drop_and_find_run("hasty", 2)
    assert airflow.end_of(NEW_DATA, run_id).state == "success"
    assert airflow.api.task_states(NEW_DATA, run_id)["deploy"] == "skipped"
    assert airflow.versions("hasty") == {1: "Rejected"}
    package = airflow.aws.client("sagemaker").list_model_packages(ModelPackageGroupName="hasty")
    arn = package["ModelPackageSummaryList"][0]["ModelPackageArn"]
    described = airflow.aws.client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert described["ApprovalDescription"] == "Rejected by nobody in time."


@pytest.mark.long
def test_of_two_releases_at_once_the_second_is_compared_with_the_first(airflow: Airflow) -> None:
    airflow.release("quick", 3)
    client = airflow.client("quick")
    client.start()
    weekly = airflow.trigger("retrain_weekly", "quick", "both")
    runs = [(NEW_DATA, airflow.drop_and_find_run("quick", 4)), ("retrain_weekly", weekly)]
    decisions = []
    for dag_id, name in runs:
        assert airflow.end_of(dag_id, name).state == "success"
        decisions.append(airflow.api.xcom(dag_id, name, "judge_candidate"))
    client.stop()
    assert len(airflow.trainings("quick")) == len(airflow.versions("quick")) == 3
    assert sorted(decision["champion"] for decision in decisions) in (
        ["quick/1", "quick/2"],
        # The first of the two may miss its gate.
        ["quick/1", "quick/1"],
    )
    assert client.failures == []
    assert client.calls > 0


@pytest.mark.long
def test_a_scheduler_that_dies_again_and_again_costs_nothing_twice(airflow: Airflow) -> None:
    airflow.release("slow", 5)
    client = airflow.client("slow")
    client.start()
    dag_id, run_id = NEW_DATA, airflow.drop_and_find_run("slow", 6)
    processes = Processes(airflow.stack)

    airflow.wait_for(dag_id, run_id, "train", "deferred")
    processes.kill("airflow-scheduler")
    airflow.wait_for(dag_id, run_id, "register_candidate", "success")
    processes.kill("airflow-scheduler")
    airflow.wait_for(dag_id, run_id, "deploy", "deferred")
    processes.kill("airflow-scheduler")

    assert airflow.end_of(dag_id, run_id).state == "success"
    client.stop()
    assert client.failures == []
    assert client.answers_by_variant.keys() == {"v1", "v2"}
    assert len(airflow.trainings("slow")) == 2, "one for each run that was asked for"
    assert airflow.versions("slow") == {1: "Approved", 2: "Approved"}
    assert airflow.champion("slow") == "slow/2"
    assert airflow.rows("SELECT * FROM release_leases WHERE endpoint = 'slow'") == []
    assert airflow.box.keys("incoming/slow/") == []


def test_clicks_at_the_same_time_are_all_served(airflow: Airflow) -> None:
    # It is switched off: its runs are queued and nothing else.
    clicks = [f"click-{number}" for number in range(20)]
    with ThreadPoolExecutor(len(clicks)) as people:
        list(people.map(partial(airflow.api.trigger, "sweep_training_stacks"), clicks))
    assert sorted(run.run_id for run in airflow.api.runs("sweep_training_stacks")) == sorted(clicks)


def test_operators_find_the_lines_of_a_run_by_its_keys_and_see_every_success(airflow: Airflow) -> None:
    with connected(airflow.stack.database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts (identity, subject, title, body, attributes, created_at)"
            " VALUES ('orders/1/opened/1', 'orders', 'orders is high', '', '{}', UTC_TIMESTAMP(6))"
        )
        connection.commit()
    for dag_id in MINUTELY:
        airflow.api.trigger(dag_id, "by-hand")
        assert airflow.end_of(dag_id, "by-hand").state == "success"
    lines = {
        (line["run_id"], line["series"], line["alert"], line["event"])
        for line in airflow.log("detect_anomalies", "collect_judge_alert")
        if line.get("dag_id") == "detect_anomalies" and line.get("try_number") == 1 and "series" in line
    }
    # A scheduled run may have been faster.
    (line,) = lines
    assert line[1:] == ("orders", "orders/1/opened/1", "Published: orders is high")
    assert {
        line["source"] for line in airflow.log("detect_anomalies", "collect_judge_alert") if "source" in line
    }
    ages = airflow.api.xcom("report_metrics", "by-hand", "measure_and_send")["last_success_age_s"]
    assert ages.keys() == {NEW_DATA, "retrain_weekly", "detect_anomalies"}
    assert all(0 <= age < 3600 for age in ages.values())
