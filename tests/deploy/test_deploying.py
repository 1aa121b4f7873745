"""Deployments to the embedded AWS, without an Airflow that would take them up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.code import EarlierCode, PackagedCode
from deploy.code_bucket import CodeBucket, Deployment, StoredFile
from deploy.deploying import Deployer
from deploy.environment import Environment
from deploy.errors import DeployError
from deploy.packaging import build_package
from deploy.planning import draw_plan, known_values, templates_of
from deploy.stacks import bring_about, refuse_unusable
from deploy.teardown import Teardown
from deploy.templates import ORDER, Template, read_template, stack_name
from vigil.aws import Aws

PROJECT = Path(__file__).resolve().parents[2]
CONNECTION = "mysql://vigil:not/shown@db.example:3307/events"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("VIGIL_TEST_DATABASE", CONNECTION.replace("not/shown", "not%2Fshown"))
    unique = f"t-{uuid4().hex[:8]}"
    return Environment(
        name=unique,
        account="123456789012",
        region="eu-west-1",
        leave_out=frozenset(ORDER) - {"storage"},
        parameters={"RequireTls": False, "ModelName": unique},
        database_connection_from="VIGIL_TEST_DATABASE",
        tags={"team": "data"},
    )


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def deployer(aws: Aws, environment: Environment, told: list[str]) -> Iterator[Deployer]:
    yield Deployer(environment, aws, told.append, poll_s=0.1)
    Teardown(environment, aws, told.append, poll_s=0.1).tear_down()


@pytest.fixture
def deployer_of_two(aws: Aws, environment: Environment, told: list[str]) -> Iterator[Deployer]:
    """Deploys two stacks, of which the second is fed by the first."""
    two = environment.model_copy(update={"leave_out": environment.leave_out - {"pipeline"}})
    yield Deployer(two, aws, told.append, poll_s=0.1)
    Teardown(two, aws, told.append, poll_s=0.1).tear_down()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project of the same shape."""
    copy = tmp_path / "project"
    for name in ("dags", "include", "plugins", "deploy"):
        (copy / name).mkdir(parents=True)
    for name in ("requirements.txt", "deploy/startup.sh", "dags/.airflowignore", "plugins/.airflowignore"):
        shutil.copy(PROJECT / name, copy / name)
    (copy / "dags" / "first.py").write_text("# first\n")
    (copy / "plugins" / "vigil").mkdir()
    (copy / "plugins" / "vigil" / "__init__.py").write_text("")
    migrations = copy / "include" / "sql" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "0001_create.sql").write_text("SELECT 1")
    (copy / "include" / "sql" / "select.sql").write_text("SELECT 1")
    return copy


def packed(project: Path) -> PackagedCode:
    return PackagedCode(build_package(project, project / "build" / "mwaa"), {"dags/include/ca.pem": b"pem"})


def bucket_of(deployer: Deployer) -> CodeBucket:
    name = known_values(deployer.aws, deployer.environment)["CodeBucketName"]
    return CodeBucket(deployer.aws.client("s3"), name)


def test_a_deployment_is_planned_done_and_then_changes_nothing(deployer_of_two, project):
    code = packed(project)
    plan = draw_plan(deployer_of_two.aws, deployer_of_two.environment, code)
    assert [stack.created for stack in plan.stacks] == [True, True]
    assert "dags/first.py" in plan.files.added
    first = deployer_of_two.deploy(code)
    plan = draw_plan(deployer_of_two.aws, deployer_of_two.environment, code)
    assert plan.changes_nothing
    assert deployer_of_two.deploy(code) == first
    assert bucket_of(deployer_of_two).history() == [first.name]
    assert set(first.files) == set(code.wanted)


def test_what_a_stack_before_it_will_tell_keeps_no_stack_from_being_planned(
    deployer_of_two, project, monkeypatch
):
    code = packed(project)
    deployer_of_two.deploy(code)
    storage, pipeline = templates_of(deployer_of_two.environment)
    storage.content["Outputs"]["NewArn"] = {"Value": "new"}
    pipeline.content["Parameters"]["NewArn"] = {"Type": "String"}
    monkeypatch.setattr("deploy.planning.templates_of", lambda _: [storage, pipeline])
    (_, waiting) = draw_plan(deployer_of_two.aws, deployer_of_two.environment, code).stacks
    assert [change.name for change in waiting.resources] == ["NewArn"]


def test_the_database_connection_lies_in_the_secret_and_is_told_nowhere(deployer, project, told, monkeypatch):
    with monkeypatch.context() as before:
        before.setenv("VIGIL_TEST_DATABASE", CONNECTION.replace("not/shown", "before"))
        deployer.deploy(packed(project))
    deployer.deploy(packed(project))
    secrets = deployer.aws.client("secretsmanager")
    secret = json.loads(secrets.get_secret_value(SecretId=deployer.environment.secret_name)["SecretString"])
    assert secret == {
        "conn_type": "mysql",
        "host": "db.example",
        "port": 3307,
        "login": "vigil",
        "password": "not/shown",
        "schema": "events",
    }
    assert not any("not/shown" in line for line in told)
    described = secrets.describe_secret(SecretId=deployer.environment.secret_name)
    assert described["KmsKeyId"] == known_values(deployer.aws, deployer.environment)["KeyArn"]
    assert {tag["Key"]: tag["Value"] for tag in described["Tags"]} == {
        "team": "data",
        "vigil:environment": deployer.environment.name,
    }


def test_migrations_go_before_what_airflow_starts_with_then_sql_then_dags_and_deletions_last(
    deployer, project, told
):
    deployer.deploy(packed(project))
    for name, text in {
        "dags/second.py": "# new",
        "plugins/vigil/more.py": "",
        "include/sql/more.sql": "SELECT 2",
        "include/sql/migrations/0002_more.sql": "SELECT 2",
    }.items():
        (project / name).write_text(text)
    (project / "dags" / "first.py").unlink()
    told.clear()
    deployer.deploy(packed(project))
    assert [line for line in told if line.startswith(("uploading", "removing"))] == [
        "uploading dags/include/sql/migrations/0002_more.sql",
        "uploading plugins.zip",
        "uploading dags/include/sql/more.sql",
        "uploading dags/second.py",
        "removing dags/first.py",
    ]


def test_a_deployment_that_dies_anywhere_is_finished_by_the_next(deployer, project, monkeypatch):
    deployer.deploy(packed(project))
    (project / "dags" / "second.py").write_text("# new")
    (project / "include" / "sql" / "select.sql").write_text("SELECT 3")
    (project / "dags" / "first.py").unlink()
    code = packed(project)
    for step in ("write", "remove", "current", "record"):
        with monkeypatch.context() as patch:
            patch.setattr(CodeBucket, step, _die)
            with pytest.raises(KeyboardInterrupt):
                deployer.deploy(code)
    deployment = deployer.deploy(code)
    assert set(deployment.files) == set(code.wanted)
    assert not bucket_of(deployer).changes_to(code.wanted)
    assert len(bucket_of(deployer).history()) == 2


def test_an_earlier_deployment_is_brought_back(deployer, project):
    first = deployer.deploy(packed(project))
    (project / "dags" / "first.py").write_text("# changed")
    (project / "dags" / "second.py").write_text("# new")
    deployer.deploy(packed(project))
    again = deployer.put_in_place(EarlierCode(bucket_of(deployer).deployment(first.name)))
    assert digests(again) == digests(first)
    body = deployer.aws.client("s3").get_object(Bucket=bucket_of(deployer).name, Key="dags/first.py")["Body"]
    assert body.read() == b"# first\n"


def test_while_somebody_deploys_or_tears_down_nothing_is_touched(deployer, project, told):
    deployer.deploy(packed(project))
    told.clear()
    with bucket_of(deployer).locked(), pytest.raises(DeployError, match="TAKE_OVER=1"):
        deployer.deploy(packed(project))
    assert told == []


def test_without_the_variable_nothing_is_uploaded_and_the_way_out_is_told(deployer, project, monkeypatch):
    monkeypatch.delenv("VIGIL_TEST_DATABASE")
    with pytest.raises(DeployError, match="VIGIL_TEST_DATABASE is not set"):
        deployer.deploy(packed(project))
    assert bucket_of(deployer).current() is None


def test_a_teardown_leaves_nothing_and_may_be_said_twice(deployer, project):
    deployer.deploy(packed(project))
    end = Teardown(deployer.environment, deployer.aws, deployer.tell, poll_s=0.1)
    before = bucket_of(deployer).name
    assert any(before in arn for arn in end.what_is_left())
    assert end.tear_down() == []
    assert end.tear_down() == []
    assert before not in {one["Name"] for one in deployer.aws.client("s3").list_buckets()["Buckets"]}


@pytest.fixture
def things_of_a_person(aws: Aws, environment: Environment) -> Iterator[set[str]]:
    """What a person put the environment's tag on: a bucket, a key, and a snapshot of a restored database."""
    tag, name = {"Key": "vigil:environment", "Value": environment.name}, f"{environment.name}-mine"
    s3, kms, rds = aws.client("s3"), aws.client("kms"), aws.client("rds")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [tag]})
    key = kms.create_key(Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]}])["KeyMetadata"]["Arn"]
    cluster = {"DBClusterIdentifier": name}
    login = {"MasterUsername": "me", "MasterUserPassword": "only-for-this"}
    rds.create_db_cluster(**cluster, Engine="aurora-mysql", **login)
    snapshot = rds.create_db_cluster_snapshot(**cluster, DBClusterSnapshotIdentifier=name, Tags=[tag])
    yield {f"arn:aws:s3:::{name}", key, snapshot["DBClusterSnapshot"]["DBClusterSnapshotArn"]}
    s3.delete_bucket(Bucket=name)
    kms.schedule_key_deletion(KeyId=key.rpartition("/")[2], PendingWindowInDays=7)
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    rds.delete_db_cluster(**cluster, SkipFinalSnapshot=True)


def test_a_teardown_takes_nothing_that_a_person_put_the_tag_on(deployer, project, things_of_a_person):
    deployer.deploy(packed(project))
    end = Teardown(deployer.environment, deployer.aws, deployer.tell, poll_s=0.1)
    assert things_of_a_person < set(end.what_is_left())
    assert set(end.tear_down()) == things_of_a_person


def test_a_teardown_that_dies_anywhere_is_finished_by_the_next(deployer, project):
    deployer.deploy(packed(project))

    def dies_at(text: str) -> Callable[[str], None]:
        return lambda line: _die() if text in line else None

    for text in ("deleting the stack", "emptying the bucket"):
        with pytest.raises(KeyboardInterrupt):
            Teardown(deployer.environment, deployer.aws, dies_at(text), poll_s=0.1).tear_down()
    assert Teardown(deployer.environment, deployer.aws, deployer.tell, poll_s=0.1).tear_down() == []


def test_while_somebody_deploys_nothing_is_torn_down(deployer, project):
    deployer.deploy(packed(project))
    end = Teardown(deployer.environment, deployer.aws, deployer.tell, poll_s=0.1)
    before = end.what_is_left()
    with bucket_of(deployer).locked(), pytest.raises(DeployError, match="TAKE_OVER=1"):
        end.tear_down()
    assert end.what_is_left() == before


def test_a_teardown_deletes_the_logs_of_airflow_and_database_and_none_of_an_environment_that_begins_alike(
    deployer,
):
    logs, name = deployer.aws.client("logs"), deployer.environment.name
    groups = ("airflow-vigil-{}-Task", "/aws/rds/cluster/vigil-{}-database-cluster-1a2b/error")
    for group in groups:
        for environment in (name, f"{name}-2"):
            logs.create_log_group(logGroupName=group.format(environment))
    Teardown(deployer.environment, deployer.aws, deployer.tell, poll_s=0.1).tear_down()
    present = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}
    assert not present & {group.format(name) for group in groups}
    for group in groups:
        logs.delete_log_group(logGroupName=group.format(f"{name}-2"))


def test_a_database_that_is_gone_already_keeps_nothing_from_being_torn_down(
    aws, environment, told, monkeypatch
):
    cloudformation, stack = aws.client("cloudformation"), stack_name(environment.name, "database")
    content = {"Resources": {"Any": {"Type": "AWS::SQS::Queue"}}}
    cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(content))
    monkeypatch.setattr("deploy.teardown.clusters_of", lambda *_: [environment.name])
    own = {
        "leave_out": environment.leave_out - {"database"} | {"storage"},
        "database_connection_from": None,
    }
    end = Teardown(environment.model_copy(update=own), aws, told.append, poll_s=0.1)
    assert end.tear_down() == []
    assert f"deleting the stack {stack}" in told


def digests(deployment: Deployment) -> dict[str, str]:
    files: dict[str, StoredFile] = dict(deployment.files)
    return {key: file.sha256 for key, file in files.items()}


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def with_a_broken_end(name: str) -> Template:
    """Read a template to which something was added that cannot be made, after all the rest."""
    good = read_template(name)
    if name != "database":
        return good
    nobody = "arn:aws:sns:eu-west-1:123456789012:nobody"
    last = {
        "Type": "AWS::SNS::Subscription",
        "DependsOn": "Instance",
        "Properties": {"TopicArn": nobody, "Protocol": "email", "Endpoint": "me@example.org"},
    }
    content = {**good.content, "Resources": {**good.content["Resources"], "Last": last}}
    return Template(name, json.dumps(content), content)


def test_a_database_is_protected_once_it_is_there_and_then_nothing_is_torn_down(
    aws: Aws, environment: Environment, project: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
):
    protected = environment.model_copy(
        update={
            "leave_out": environment.leave_out - {"network", "database"},
            "database_connection_from": None,
        }
    )
    zones = {"AvailabilityZones": "eu-west-1b,eu-west-1c"}
    bring_about(aws.client("cloudformation"), protected.name, read_template("network"), zones, 0.1)
    with monkeypatch.context() as broken:
        broken.setattr("deploy.deploying.read_template", with_a_broken_end)
        with pytest.raises(DeployError, match="database is ROLLBACK_COMPLETE"):
            Deployer(protected, aws, told.append, poll_s=0.1).deploy(packed(project))
    Deployer(protected, aws, told.append, poll_s=0.1).deploy(packed(project))
    ids = known_values(aws, protected)["PrivateSubnetIds"].split(",")
    subnets = aws.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"]
    assert {subnet["AvailabilityZone"] for subnet in subnets} == {"eu-west-1b", "eu-west-1c"}
    stacks = {stack["StackName"] for stack in aws.client("cloudformation").describe_stacks()["Stacks"]}
    with pytest.raises(DeployError, match=r"and nothing was removed.*--no-deletion-protection"):
        Teardown(protected, aws, told.append, poll_s=0.1).tear_down()
    stuck = {"StackName": stack_name(protected.name, "database"), "StackStatus": "ROLLBACK_FAILED"}
    with pytest.raises(DeployError, match=rf"--db-cluster-identifier vigil-{protected.name}-\S+ --no-del"):
        refuse_unusable(aws.client("cloudformation"), stuck)
    there = aws.client("cloudformation").describe_stacks()["Stacks"]
    assert {stack["StackName"] for stack in there} == stacks
    free = protected.model_copy(update={"parameters": protected.parameters | {"DeletionProtection": "false"}})
    Deployer(free, aws, told.append, poll_s=0.1).deploy(packed(project))
    cluster = known_values(aws, free)["DatabaseClusterArn"].rpartition(":")[2]
    logs, log_group = aws.client("logs"), f"/aws/rds/cluster/{cluster}/error"
    logs.create_log_group(logGroupName=log_group)

    def dies(line: str) -> None:
        if "deleting the snapshot" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Teardown(free, aws, dies, poll_s=0.1).tear_down()
    assert Teardown(free, aws, told.append, poll_s=0.1).tear_down() == []
    assert not logs.describe_log_groups(logGroupNamePrefix=log_group)["logGroups"]
    clusters = aws.client("rds").describe_db_clusters()["DBClusters"]
    assert not [one for one in clusters if environment.name in one["DBClusterIdentifier"]]
    snapshots = aws.client("rds").describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    assert not [one for one in snapshots if environment.name in one["DBClusterIdentifier"]]
