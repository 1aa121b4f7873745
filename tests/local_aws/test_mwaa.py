"""MWAA's API as far as no Airflow starts; `make test-deploy` starts it."""

from __future__ import annotations

import io
import json
import socket
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from local_aws_support import make_client, wait_until

from local_aws.clients import Clients
from local_aws.files import UnsafePathError
from local_aws.mwaa.code_bucket import CodeBucket, DagFolder, MissingObjectError
from local_aws.mwaa.environments import Environments
from local_aws.sagemaker.store import Store

ROLE = "arn:aws:iam::123456789012:role/vigil-airflow"


@pytest.fixture(scope="module")
def mwaa(local_aws: str) -> Any:
    return make_client(local_aws, "mwaa")


@pytest.fixture
def environment(bucket: str, name: str) -> dict[str, Any]:
    """What an environment is created with whose plugins are not there."""
    return {
        "Name": name,
        "SourceBucketArn": f"arn:aws:s3:::{bucket}",
        "DagS3Path": "dags",
        "PluginsS3Path": "no-such-plugins.zip",
        "ExecutionRoleArn": ROLE,
        "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
        "AirflowConfigurationOptions": {"vigil.bucket": "b"},
        "Tags": {"Environment": "prod"},
    }


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def status_of(mwaa: Any, name: str) -> dict[str, Any]:
    def settled() -> Any:
        found = mwaa.get_environment(Name=name)["Environment"]
        return found["Status"] not in ("CREATING", "UPDATING", "DELETING") and found

    return wait_until(settled)


def test_an_environment_whose_objects_are_missing_fails_and_says_which(
    mwaa: Any, environment: dict[str, Any], bucket: str
) -> None:
    name = environment["Name"]
    arn = mwaa.create_environment(**environment)["Arn"]
    found = status_of(mwaa, name)
    assert found["Status"] == "CREATE_FAILED"
    assert f"s3://{bucket}/no-such-plugins.zip cannot be read" in found["LastUpdate"]["Error"]["ErrorMessage"]
    assert found["Arn"] == arn == f"arn:aws:airflow:us-east-1:123456789012:environment/{name}"
    assert found["AirflowVersion"] == "3.3.1"
    assert found["Tags"] == {"Environment": "prod"}
    assert found["CreatedAt"].tzinfo

    with pytest.raises(ClientError, match="already exists") as refused:
        mwaa.create_environment(**environment)
    assert code_of(refused) == "ValidationException"
    with pytest.raises(ClientError, match="is CREATE_FAILED and cannot be updated"):
        mwaa.update_environment(Name=name, MaxWorkers=2)
    with pytest.raises(ClientError) as refused:
        mwaa.invoke_rest_api(Name=name, Path="/dags", Method="GET")
    assert code_of(refused) == "ResourceNotFoundException"

    mwaa.tag_resource(ResourceArn=arn, Tags={"Owner": "me"})
    mwaa.untag_resource(ResourceArn=arn, tagKeys=["Environment"])
    assert mwaa.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"Owner": "me"}
    assert name in mwaa.list_environments()["Environments"]

    mwaa.delete_environment(Name=name)
    gone(mwaa, name)
    mwaa.create_environment(**environment)
    assert status_of(mwaa, name)["Tags"] == {"Environment": "prod"}
    mwaa.delete_environment(Name=name)
    gone(mwaa, name)


def gone(mwaa: Any, name: str) -> None:
    with pytest.raises(ClientError) as refused:
        status_of(mwaa, name)
    assert code_of(refused) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("plugins", "startup", "words"),
    [
        (b"no archive", b"", "plugins.zip is no zip archive"),
        ("../escaped.py", b"", "leads out of its directory"),
        ("fine.py", b"exit 1", "startup.sh left the shell"),
    ],
)
def test_what_no_container_can_start_with_fails_before_airflow_starts(
    mwaa: Any,
    s3: Any,
    bucket: str,
    environment: dict[str, Any],
    plugins: str | bytes,
    startup: bytes,
    words: str,
) -> None:
    name = environment["Name"]
    s3.put_object(Bucket=bucket, Key=f"{name}.sh", Body=startup)
    s3.put_object(Bucket=bucket, Key=f"{name}.zip", Body=zipped(plugins))
    paths = {"PluginsS3Path": f"{name}.zip", "StartupScriptS3Path": f"{name}.sh"}
    mwaa.create_environment(**{**environment, **paths})
    found = status_of(mwaa, name)
    assert found["Status"] == "CREATE_FAILED"
    assert words in found["LastUpdate"]["Error"]["ErrorMessage"]


def zipped(name: str | bytes) -> bytes:
    if isinstance(name, bytes):
        return name
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, "")
    return target.getvalue()


def test_a_stack_whose_environment_fails_says_why_and_leaves_none(
    client: Callable[[str], Any], mwaa: Any, environment: dict[str, Any]
) -> None:
    stacks, name = client("cloudformation"), environment["Name"]
    resource = {"Type": "AWS::MWAA::Environment", "Properties": {**environment, "MaxWorkers": "3"}}
    stacks.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Airflow": resource}}))
    (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = stacks.describe_stack_events(StackName=name)["StackEvents"]
    (reason,) = [e["ResourceStatusReason"] for e in events if e["ResourceStatus"] == "CREATE_FAILED"]
    assert "no-such-plugins.zip cannot be read" in reason
    assert name not in mwaa.list_environments()["Environments"]


def test_an_environment_whose_port_was_taken_meanwhile_gets_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Environment:
        def __init__(self, record: dict[str, Any], *_: object) -> None:
            self.port = int(record["WebserverUrl"].rpartition(":")[2])

        def read_code(self) -> None:
            pass

        def start(self, _: None) -> None:
            socket.create_server(("127.0.0.1", self.port)).close()

        def stop(self) -> None:
            pass

    monkeypatch.setattr("local_aws.mwaa.environments.Environment", Environment)
    arn = "arn:aws:airflow:us-east-1:123456789012:environment/moves"
    store = Store(lambda: None)
    environments = Environments(store, Clients("http://127.0.0.1"), tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = f"localhost:{somebody.getsockname()[1]}"
        store.add(arn, {"Status": "CREATING", "WebserverUrl": taken}, lambda _: KeyError(arn))
        environments.create(arn)
        found = wait_until(lambda: (one := store.get(arn, KeyError()))["Status"] != "CREATING" and one)
    environments.close()
    assert found["Status"] == "AVAILABLE"
    assert found["WebserverUrl"] != taken


def test_a_call_about_a_stack_is_answered_before_a_client_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from local_aws.moto_patches.cloudformation import patience

    may_end, ended = threading.Event(), threading.Event()

    class Backend:
        def get_stack(self, name: str) -> str:
            return f"{name} in progress"

        def create_stack(self, name: str) -> str:
            may_end.wait(10)
            ended.set()
            return name

        def delete_stack(self, name: str) -> None:
            raise ValueError(name)

    monkeypatch.setattr(patience, "CloudFormationBackend", Backend)
    monkeypatch.setattr(patience, "PATIENCE_S", 0.05)
    monkeypatch.setattr(patience, "CALLS", ("create_stack", "delete_stack"))
    patience.apply()
    assert Backend().create_stack(name="slow") == "slow in progress"
    may_end.set()
    assert ended.wait(10), "what was begun goes on"
    monkeypatch.setattr(patience, "PATIENCE_S", 10)
    assert Backend().create_stack(name="fast") == "fast"
    with pytest.raises(ValueError, match="refused"):
        Backend().delete_stack("refused")


def test_lists_come_in_pages(mwaa: Any, environment: dict[str, Any]) -> None:
    names = [f"{environment['Name']}-{number}" for number in range(3)]
    for name in names:
        mwaa.create_environment(**{**environment, "Name": name})
    seen = []
    for page in mwaa.get_paginator("list_environments").paginate(PaginationConfig={"PageSize": 2}):
        assert len(page["Environments"]) <= 2
        seen += page["Environments"]
    assert set(names) <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Name": "1st"}, "Member must satisfy regular expression pattern"),
        ({"AirflowVersion": "2.10.3"}, "runs Airflow 3.3.1 and no 2.10.3"),
        ({"AirflowConfigurationOptions": {"bucket": "b"}}, r"section\.option"),
        ({"WebserverAccessMode": "SOMEBODY"}, "Member must satisfy enum value set"),
        ({"ExecutionRoleArn": "role"}, "executionRoleArn"),
        ({"MaxWorkers": 0}, None),
    ],
)
def test_what_the_cloud_refuses_is_refused(
    mwaa: Any, environment: dict[str, Any], change: dict[str, Any], words: str | None
) -> None:
    expected = ClientError if words else ParamValidationError
    with pytest.raises(expected, match=words):
        mwaa.create_environment(**{**environment, **change})
    assert environment["Name"] not in mwaa.list_environments()["Environments"]


@pytest.mark.parametrize(
    ("operation", "further"),
    [
        ("get_environment", {}),
        ("update_environment", {"MaxWorkers": 1}),
        ("delete_environment", {}),
        ("invoke_rest_api", {"Path": "/dags", "Method": "GET"}),
    ],
)
def test_what_does_not_exist_is_not_found(mwaa: Any, name: str, operation: str, further: Any) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(mwaa, operation)(Name=name, **further)
    assert code_of(refused) == "ResourceNotFoundException"


def test_nobody_is_let_in_without_airflows_own_door(mwaa: Any, name: str) -> None:
    with pytest.raises(ClientError, match="has no CreateWebLoginToken") as refused:
        mwaa.create_web_login_token(Name=name)
    assert code_of(refused) == "UnsupportedOperation"


def test_named_versions_are_read(s3: Any, bucket: str, name: str) -> None:
    code = CodeBucket(s3, f"arn:aws:s3:::{bucket}")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key=name, Body=b"first")["VersionId"]
    s3.put_object(Bucket=bucket, Key=name, Body=b"second")
    assert code.read(name, first) == b"first"
    assert code.read(name, None) == b"second"
    assert code.read(None, None) is None
    with pytest.raises(MissingObjectError, match="version no-such-version cannot be read"):
        code.read(name, "no-such-version")
    with pytest.raises(MissingObjectError, match="cannot be listed"):
        CodeBucket(s3, "arn:aws:s3:::no-such-bucket-anywhere").tags_under("dags")


def test_a_folder_follows_its_prefix(s3: Any, bucket: str, name: str, tmp_path: Path) -> None:
    put: Callable[[str, bytes], Any] = lambda key, body: s3.put_object(  # noqa: E731
        Bucket=bucket, Key=f"{name}/{key}", Body=body
    )
    put("a.py", b"1")
    put("include/sql/x.sql", b"2")
    s3.put_object(Bucket=bucket, Key=f"{name}-other/b.py", Body=b"not ours")
    stale = tmp_path / "stale.py"
    stale.write_text("of an earlier time")
    folder = DagFolder(CodeBucket(s3, f"arn:aws:s3:::{bucket}"), f"{name}/", tmp_path)
    assert folder.follow() == ["a.py", "include/sql/x.sql", "stale.py"]
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a.py", "x.sql"}
    assert folder.follow() == []
    put("a.py", b"changed")
    s3.delete_object(Bucket=bucket, Key=f"{name}/include/sql/x.sql")
    assert folder.follow() == ["a.py", "include/sql/x.sql"]
    assert (tmp_path / "a.py").read_bytes() == b"changed"
    assert not (tmp_path / "include" / "sql" / "x.sql").exists()


def test_no_key_leads_out_of_the_folder(s3: Any, bucket: str, name: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key=f"{name}/../../escaped.py", Body=b"x")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with pytest.raises(UnsafePathError):
        DagFolder(CodeBucket(s3, f"arn:aws:s3:::{bucket}"), name, inner).follow()
    assert not list(tmp_path.rglob("escaped.py"))
