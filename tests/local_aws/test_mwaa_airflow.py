"""The whole course of an environment, with Airflow in it. Slow, and so not part of `make test`.

Created by a stack from the real package, run, changed in S3, updated, taken back, restarted, deleted.
"""

from __future__ import annotations

import io
import os
import signal
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError
from local_aws_support import PROJECT, make_client, running

from deploy.packaging import build_package
from local_stack.airflow import every

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(900)]

LIMIT_S = 240
STACK = "vigil-test-airflow"
NAME = "vigil-test"
TEMPLATE = """
Parameters:
  PluginsVersion: {Type: String}
  Greeting: {Type: String, Default: hello}
Resources:
  Airflow:
    Type: AWS::MWAA::Environment
    Properties:
      Name: vigil-test
      AirflowVersion: 3.3.1
      ExecutionRoleArn: arn:aws:iam::123456789012:role/vigil-test-airflow
      SourceBucketArn: arn:aws:s3:::vigil-test-code
      DagS3Path: dags
      PluginsS3Path: plugins.zip
      PluginsS3ObjectVersion: !Ref PluginsVersion
      RequirementsS3Path: requirements.txt
      StartupScriptS3Path: startup.sh
      MaxWorkers: "2"
      NetworkConfiguration: {SubnetIds: [subnet-1, subnet-2], SecurityGroupIds: [sg-1]}
      LoggingConfiguration: {TaskLogs: {Enabled: true, LogLevel: INFO}}
      Tags: {Environment: test}
      AirflowConfigurationOptions:
        vigil.environment: test
        test.greeting: !Ref Greeting
        # So that the test need not wait half a minute for a changed file.
        dag_processor.min_file_process_interval: 2
        dag_processor.refresh_interval: 3
        core.executor: CeleryExecutor
Outputs:
  EnvironmentName: {Value: !Ref Airflow}
  EnvironmentArn: {Value: !GetAtt Airflow.Arn}
  WebserverUrl: {Value: !GetAtt Airflow.WebserverUrl}
"""
DAG = """
from airflow.sdk import DAG, task

with DAG("hello", schedule=None, description="%s"):

    @task
    def look():
        import os
        import vigil.paths
        from vigil.greeting import GREETING

        return {
            "plugins": GREETING,
            "file": vigil.paths.__file__,
            "include": str(vigil.paths.include_dir()),
            "option": os.environ["AIRFLOW__TEST__GREETING"],
            "executor": os.environ["AIRFLOW__CORE__EXECUTOR"],
        }

    look()
"""


def wait_until(condition: Callable[[], Any], what: str) -> None:
    for _ in every(0.5, LIMIT_S, what):
        if condition():
            return


class Cloud:
    """An embedded AWS with the code bucket, and what a person does there."""

    def __init__(self, url: str) -> None:
        self.s3, self.mwaa, self.stacks = (
            make_client(url, name) for name in ("s3", "mwaa", "cloudformation")
        )

    def upload(self, package: Path) -> None:
        for path in sorted(package.rglob("*")):
            if path.is_file() and path.name != "plugins.zip":
                self.put(path.relative_to(package).as_posix(), path.read_bytes())

    def put(self, key: str, content: bytes) -> str:
        return str(self.s3.put_object(Bucket="vigil-test-code", Key=key, Body=content)["VersionId"])

    def change_stack(self, what: str, **parameters: str) -> None:
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        getattr(self.stacks, f"{what}_stack")(StackName=STACK, TemplateBody=TEMPLATE, Parameters=given)
        waiter = self.stacks.get_waiter(f"stack_{what}_complete")
        waiter.wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": LIMIT_S})

    def stack_status(self) -> str:
        return str(self.stacks.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"])

    def environment(self) -> dict[str, Any]:
        found: dict[str, Any] = self.mwaa.get_environment(Name=NAME)["Environment"]
        return found

    def call(self, method: str, path: str, **further: Any) -> Any:
        return self.mwaa.invoke_rest_api(Name=NAME, Method=method, Path=path, **further)["RestApiResponse"]

    def description(self) -> str | None:
        listed = self.call("GET", "/dags", QueryParameters={"dag_id_pattern": "hello"})["dags"]
        return listed[0]["description"] if listed else None

    def run(self) -> dict[str, Any]:
        run_id = uuid.uuid4().hex[:8]
        body = {"dag_run_id": run_id, "logical_date": None}
        self.call("POST", "/dags/hello/dagRuns", Body=body)
        path = f"/dags/hello/dagRuns/{run_id}"
        wait_until(lambda: self.call("GET", path)["state"] in ("success", "failed"), "the run to end")
        tasks = self.call("GET", f"/dags/hello/dagRuns/{run_id}/taskInstances")["task_instances"]
        assert [task["state"] for task in tasks] == ["success"]
        path = f"/dags/hello/dagRuns/{run_id}/taskInstances/look/xcomEntries/return_value"
        url = f"http://{self.environment()['WebserverUrl']}"
        return look_up(url, path)


def look_up(url: str, path: str) -> dict[str, Any]:
    """Ask Airflow itself: the path is longer than MWAA's API takes."""
    import httpx

    token = httpx.get(f"{url}/auth/token").json()["access_token"]
    answer = httpx.get(f"{url}/api/v2{path}", headers={"Authorization": f"Bearer {token}"})
    return dict(answer.json()["value"])


def plugins_that_say(package: Path, greeting: str) -> bytes:
    """Return the package's plugins with one module more."""
    target = io.BytesIO((package / "plugins.zip").read_bytes())
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("vigil/greeting.py", f"GREETING = {greeting!r}\n")
    return target.getvalue()


def processes_of(home: Path) -> set[tuple[int, str]]:
    """Return the process groups of an Airflow, and the commands in them."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"AIRFLOW_HOME={home}\0".encode() in (process / "environ").read_bytes():
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.add((os.getpgid(int(process.name)), command.strip()))
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_the_course_of_an_environment(tmp_path: Path) -> None:
    state = tmp_path / "state"
    package = build_package(PROJECT, tmp_path / "mwaa").folder
    for dag in (package / "dags").glob("*.py"):
        if dag.name not in ("snooze_alerts.py", "sweep_training_stacks.py"):
            dag.unlink()
    with running(state) as server:
        cloud = Cloud(server.url)
        cloud.s3.create_bucket(Bucket="vigil-test-code")
        cloud.s3.put_bucket_versioning(
            Bucket="vigil-test-code", VersioningConfiguration={"Status": "Enabled"}
        )
        cloud.upload(package)
        cloud.put("dags/hello.py", (DAG % "one").encode())
        first = cloud.put("plugins.zip", plugins_that_say(package, "first"))
        cloud.change_stack("create", PluginsVersion=first)
        found = cloud.environment()
        assert found["Status"] == "AVAILABLE"
        assert found["MaxWorkers"] == 2
        assert found["Tags"] == {"Environment": "test"}

        wait_until(lambda: cloud.description() == "one", "the DAG")
        assert cloud.call("GET", "/importErrors")["import_errors"] == []
        names = {dag["dag_id"] for dag in cloud.call("GET", "/dags")["dags"]}
        assert names == {"hello", "snooze_alerts", "sweep_training_stacks"}
        with pytest.raises(ClientError) as refused:
            cloud.call("GET", "/dags/no-such-dag")
        assert refused.value.response["Error"]["Code"] == "RestApiClientException"
        assert refused.value.response["RestApiStatusCode"] == 404
        cloud.call("PATCH", "/dags/hello", Body={"is_paused": False})
        home = state / "mwaa" / "us-east-1" / NAME / "airflow"
        assert cloud.run() == {
            "plugins": "first",
            "file": str(home / "plugins" / "vigil" / "paths.py"),
            "include": str(home / "dags" / "include"),
            "option": "hello",
            "executor": "LocalExecutor",
        }

        assert (home.parent / "logs" / "requirements.log").read_text().startswith("Nothing is installed")

        # A process that dies is started anew. A DAG is taken up as it lies in S3, plugins only by an update.
        # What it has forked goes by its name, too.
        (processor,) = {group for group, command in processes_of(home) if command.endswith("dag-processor")}
        os.killpg(processor, signal.SIGKILL)
        cloud.put("dags/hello.py", (DAG % "two").encode())
        second = cloud.put("plugins.zip", plugins_that_say(package, "second"))
        cloud.s3.delete_object(Bucket="vigil-test-code", Key="dags/snooze_alerts.py")
        wait_until(lambda: cloud.description() == "two", "the changed DAG")
        wait_until(lambda: not (home / "dags" / "snooze_alerts.py").exists(), "the DAG to go")
        assert cloud.run()["plugins"] == "first"
        cloud.change_stack("update", PluginsVersion=second, Greeting="good day")
        said = cloud.run()
        assert (said["plugins"], said["option"]) == ("second", "good day")

        # What S3 does not hold is refused, and nothing changes.
        with pytest.raises(WaiterError):
            cloud.change_stack("update", PluginsVersion="no-such-version")
        assert cloud.stack_status() == "UPDATE_ROLLBACK_COMPLETE"
        assert cloud.environment()["PluginsS3ObjectVersion"] == second
        assert cloud.run()["plugins"] == "second"
        assert processes_of(home)
    wait_until(lambda: not processes_of(home), "Airflow to end")

    with running(state) as server:
        cloud = Cloud(server.url)
        wait_until(lambda: cloud.environment()["Status"] == "AVAILABLE", "the environment")
        assert cloud.run()["plugins"] == "second"
        cloud.stacks.delete_stack(StackName=STACK)
        cloud.stacks.get_waiter("stack_delete_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": LIMIT_S}
        )
        assert cloud.mwaa.list_environments()["Environments"] == []
        assert not processes_of(home)
        assert not home.exists()
