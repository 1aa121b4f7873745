"""Each thing is broken in turn, for real, and exactly its line fails and says its fix."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from local_stack.private_server import PrivateServer
from tests.vigil.setup.conftest import Examine
from vigil.aws import Aws
from vigil.database import Database
from vigil.errors import DatabaseError, SettingsError
from vigil.settings import Settings
from vigil.setup import databases
from vigil.setup.findings import Finding
from vigil.setup.ground import Ground
from vigil.windows import now

Broken = Callable[..., Finding]


def run(database: Database, *statements: str) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        for text in statements:
            cursor.execute(text)
        connection.commit()


def test_where_nothing_is_missing_nothing_fails(asked: Examine) -> None:
    findings = asked()
    assert {what: str(found) for what, found in findings.items() if found.outcome == "fail"} == {}
    not_looked_at = {what for what, found in findings.items() if found.outcome == "skip"}
    assert not_looked_at == {
        "Amazon MWAA",
        "database encryption",
        "databases of sources",
        "endpoints",
        "model registry",
        "queues of sources",
    }
    assert "retrain_weekly" in findings["endpoints"].fix


def test_settings_that_cannot_be_used_fail_and_the_rest_waits(asked: Examine) -> None:
    def cannot() -> Settings:
        raise SettingsError(
            "The settings [vigil] cannot be used:\n- AIRFLOW__VIGIL__BUCKET is not set: set it."
        )

    findings = asked(read_settings=cannot)
    assert [what for what, found in findings.items() if found.outcome == "fail"] == ["settings"]
    assert findings["settings"].seen.endswith("AIRFLOW__VIGIL__BUCKET is not set")
    assert findings["settings"].fix == "set it."
    assert findings["bucket"].seen == "waits for: AWS"


def test_a_pipeline_file_that_is_not_there(broken: Broken) -> None:
    found = broken(account_too=False, settings={"pipeline_file": "another.yaml"})
    assert found.what == "pipeline file"
    assert "set pipeline_file to another" in found.fix


def test_a_pipeline_file_whose_model_nobody_has_specified(broken: Broken, tmp_path: Path) -> None:
    source = {"kind": "simulator", "name": "shop", "series": [{"name": "orders", "base_rate": 20}]}
    file = tmp_path / "pipeline.yaml"
    file.write_text(json.dumps({"model": "nobody", "sources": [source]}))
    found = broken(account_too=False, settings={"pipeline_file": str(file)})
    assert found.what == "pipeline file"
    assert "event-counts" in found.fix


def test_a_database_that_does_not_answer(broken: Broken, login: Database) -> None:
    def unreachable(*_: object) -> Database:
        return Database("127.0.0.1", 1, login.user, login.password, login.name, connect_timeout_s=1)

    found = broken(account_too=False, open_connection=unreachable)
    assert found.what == "database"
    assert "cannot be reached" in found.seen


def test_a_connection_that_airflow_does_not_have(broken: Broken) -> None:
    def unknown(_: Settings, conn_id: str) -> Database:
        raise LookupError(f"The conn_id `{conn_id}` isn't defined")

    found = broken(account_too=False, open_connection=unknown)
    assert found.what == "database connection"
    assert "vigil_database" in found.seen


def test_a_grant_that_is_missing(broken: Broken, database: Database, login: Database) -> None:
    run(database, f"REVOKE ALTER, INDEX ON `{database.name}`.* FROM '{login.user}'@'%'")
    found = broken(account_too=False)
    assert found.what == "database grants"
    assert found.fix == f"GRANT ALTER, INDEX ON `{database.name}`.* TO '{login.user}'"


def test_a_grant_on_a_pattern_of_schemas_holds(asked: Examine, database: Database, login: Database) -> None:
    run(
        database,
        f"REVOKE ALL ON `{database.name}`.* FROM '{login.user}'@'%'",
        f"GRANT ALL ON `{database.name[:2]}%`.* TO '{login.user}'@'%'",
    )
    assert asked(account_too=False)["database grants"].outcome == "ok"


def test_grants_that_come_by_a_role_hold(
    asked: Examine, database: Database, login: Database, database_server: PrivateServer
) -> None:
    user = f"'{login.user}'@'%'"
    # The one statement of the tests that the two servers spell differently.
    preposition = {"MariaDB": "FOR", "MySQL": "TO"}[database_server.kind]
    run(
        database,
        f"REVOKE ALL ON `{database.name}`.* FROM {user}",
        "CREATE ROLE keeper",
        f"GRANT ALL ON `{database.name}`.* TO keeper",
        f"GRANT keeper TO {user}",
        f"SET DEFAULT ROLE keeper {preposition} {user}",
    )
    try:
        assert asked(account_too=False)["database grants"].outcome == "ok"
    finally:
        run(database, "DROP ROLE keeper")


def test_a_migration_that_was_forgotten(broken: Broken, database: Database) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM schema_migrations ORDER BY number DESC LIMIT 1")
        newest = cursor.fetchone()
        assert newest
        cursor.execute("DELETE FROM schema_migrations WHERE number = %s", newest[:1])
        connection.commit()
        found = broken(account_too=False)
        cursor.execute("INSERT INTO schema_migrations VALUES (%s, %s, %s, %s)", newest)
        connection.commit()
    assert found.what == "database migrations"
    assert found.seen == f"missing: {newest[0]:04d}_{newest[1]}"


def test_a_migration_that_was_edited(
    broken: Broken, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    def edited(_: Database) -> None:
        raise DatabaseError("Migration 0001 was edited after it was applied: restore it.")

    monkeypatch.setattr("vigil.setup.databases.pending_migrations", edited)
    assert (found := broken(account_too=False)).what == "database migrations"
    assert found.fix == "restore it."


def test_a_server_that_takes_short_statements_only(broken: Broken, database: Database) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
        ((before,),) = cursor.fetchall()
        cursor.execute("SET GLOBAL max_allowed_packet = 1048576")
        found = broken(account_too=False)
        cursor.execute("SET GLOBAL max_allowed_packet = %s", (before,))
    assert found.what == "database packets"
    assert "1,048,576" in found.seen


@pytest.mark.parametrize(
    ("version", "aurora", "outcome"),
    [
        ("10.6.12-MariaDB-log", None, "fail"),
        ("11.8.6-MariaDB", None, "ok"),
        ("8.0.39", None, "fail"),
        ("8.4.7", None, "ok"),
        ("8.0.39", "3.08.0", "ok"),
        ("5.7.44", "2.11.1", "fail"),
    ],
)
def test_servers_that_are_not_at_hand(
    monkeypatch: pytest.MonkeyPatch, version: str, aurora: str | None, outcome: str
) -> None:
    answers = {"setup/select_version": [(version,)], "setup/select_variables": []}
    if aurora:
        answers["setup/select_variables"] = [("aurora_version", aurora)]
    monkeypatch.setattr(databases, "_rows", lambda ground, name: answers[name])
    assert databases.server(cast("Ground", None)).outcome == outcome


@pytest.mark.parametrize(
    ("cipher", "ca_file", "seen"),
    [
        ("", None, "the connection is not encrypted"),
        ("TLS_AES_256_GCM_SHA384", None, "the server is not checked"),
        ("TLS_AES_256_GCM_SHA384", "aurora.pem", "TLS_AES_256_GCM_SHA384, server checked by aurora.pem"),
    ],
)
def test_a_server_elsewhere_must_be_encrypted_and_checked(
    monkeypatch: pytest.MonkeyPatch, cipher: str, ca_file: str | None, seen: str
) -> None:
    elsewhere = Database("database.example", 3306, "vigil", "", "vigil", ca_file)
    settings = SimpleNamespace(database_ca_file=ca_file)
    ground = cast("Ground", SimpleNamespace(database=elsewhere, settings=settings))
    monkeypatch.setattr(databases, "_rows", lambda ground, name: [("Ssl_cipher", cipher)])
    look = databases.encryption(ground)
    assert look.seen == seen
    assert (look.outcome == "ok") == bool(ca_file)
    settings.database_ca_file = "none"
    assert databases.encryption(ground).outcome == "skip"


def test_a_clock_that_is_wrong(asked: Examine) -> None:
    findings = asked(now=lambda: now() + timedelta(minutes=2))
    bad = {what: found for what, found in findings.items() if found.outcome == "fail"}
    assert bad.keys() == {"database clock", "AWS clock"}
    assert all("NTP" in found.fix for found in bad.values())


def test_a_bucket_that_is_not_there(broken: Broken) -> None:
    found = broken(settings={"bucket": f"nobodys-{uuid4().hex[:8]}"})
    assert found.what == "bucket"
    assert "BucketName" in found.fix


def test_a_bucket_as_somebody_made_it_by_hand(asked: Examine, account: Aws) -> None:
    name = f"by-hand-{uuid4().hex[:8]}"
    s3 = account.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    findings = asked(settings={"bucket": name})
    bad = [what for what, found in findings.items() if found.outcome == "fail"]
    assert bad == ["bucket versions", "bucket encryption", "bucket privacy"]
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0, "what is written is deleted"
    s3.delete_bucket(Bucket=name)


def test_versioning_that_was_suspended(broken: Broken, account: Aws, provisioned: Settings) -> None:
    s3, name = account.client("s3"), provisioned.bucket
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    found = broken()
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    assert (found.what, found.seen) == ("bucket versions", "versioning is suspended")


@pytest.mark.parametrize("option", ["alert_topic_arn", "operations_topic_arn"])
def test_a_topic_that_is_not_there(broken: Broken, option: str) -> None:
    found = broken(settings={option: "arn:aws:sns:eu-west-1:123456789012:nobodys"})
    assert found.what == option.replace("_arn", "").replace("_", " ")
    assert option in found.fix


def test_a_topic_that_nobody_hears(broken: Broken, account: Aws) -> None:
    arn = account.client("sns").create_topic(Name=f"unheard-{uuid4().hex[:8]}")["TopicArn"]
    found = broken(settings={"alert_topic_arn": arn})
    assert (found.what, found.seen) == ("alert subscribers", "nobody is subscribed")


def test_a_queue_that_refuses_its_topic(broken: Broken, account: Aws, provisioned: Settings) -> None:
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=f"vigil-{provisioned.environment}-alerts")["QueueUrl"]
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    elsewhere = before["Policy"].replace(provisioned.alert_topic_arn, f"{provisioned.alert_topic_arn}-2")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": elsewhere})
    found = broken()
    sqs.set_queue_attributes(QueueUrl=url, Attributes=before)
    assert found.what == "alert subscribers"
    assert "refuses the topic" in found.seen


def test_a_topic_that_refuses_alarms(broken: Broken, account: Aws, provisioned: Settings) -> None:
    sns, arn = account.client("sns"), provisioned.operations_topic_arn
    before = sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]
    without = before.replace("cloudwatch.amazonaws.com", "budgets.amazonaws.com")
    assert without != before
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=without)
    found = broken()
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=before)
    assert (found.what, found.seen) == ("operations publishers", "alarms are refused by its policy")


def test_a_rule_that_is_switched_off(broken: Broken, account: Aws, provisioned: Settings) -> None:
    events, name = account.client("events"), f"vigil-{provisioned.environment}-image-pushes"
    events.disable_rule(Name=name)
    found = broken()
    events.enable_rule(Name=name)
    assert (found.what, found.seen) == ("image pushes", f"{name} is switched off")


def test_a_dead_letter(broken: Broken, account: Aws, provisioned: Settings) -> None:
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=f"vigil-{provisioned.environment}-image-pushes-dead")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    found = broken()
    sqs.purge_queue(QueueUrl=url)
    assert found.what == "dead letters"
    assert "holds 1 messages" in found.seen


def test_a_queue_of_events_that_is_not_there(broken: Broken, account: Aws, tmp_path: Path) -> None:
    url = account.client("sqs").create_queue(QueueName=f"gone-{uuid4().hex[:8]}")["QueueUrl"]
    account.client("sqs").delete_queue(QueueUrl=url)
    source = {"kind": "sqs", "name": "till", "queue_url": url}
    file = tmp_path / "pipeline.yaml"
    file.write_text(json.dumps({"model": "event-counts", "sources": [source]}))
    found = broken(settings={"pipeline_file": str(file)})
    assert (found.what, found.fix) == ("queues of sources", "mend its queue_url")


def test_a_role_that_is_not_there(broken: Broken) -> None:
    found = broken(settings={"sagemaker_role_arn": "arn:aws:iam::123456789012:role/nobodys"})
    assert found.what == "roles"
    assert "sagemaker_role_arn" in found.fix


def test_a_role_that_another_service_takes(broken: Broken, provisioned: Settings) -> None:
    found = broken(settings={"sagemaker_role_arn": provisioned.schedule_role_arn})
    assert found.what == "roles"
    assert "does not trust sagemaker.amazonaws.com" in found.seen


def test_settings_of_training_stacks_that_are_half_set(broken: Broken) -> None:
    found = broken(settings={"schedule_group": None})
    assert found.what == "training stacks"
    assert "schedule_group" in found.seen


def test_an_aws_that_does_not_answer(broken: Broken) -> None:
    nowhere = Aws(boto3.session.Session("local", "local", region_name="eu-west-1"), "http://127.0.0.1:1")
    found = broken(open_aws=lambda settings: nowhere)
    assert (found.what, found.seen) == ("AWS", "127.0.0.1 cannot be reached")


def test_services_that_only_checks_call_may_be_out_of_reach(asked: Examine, account: Aws) -> None:
    class PrivateNetwork(Aws):
        def client(self, service: str) -> Any:
            if service in ("sts", "iam", "events"):
                raise EndpointConnectionError(endpoint_url=f"https://{service}.eu-west-1.amazonaws.com/")
            return super().client(service)

    findings = asked(open_aws=lambda settings: PrivateNetwork(account.session, account.endpoint_url))
    assert [what for what, found in findings.items() if found.outcome == "fail"] == []
    out_of_reach = {what for what, found in findings.items() if "cannot be reached" in found.seen}
    assert out_of_reach == {"AWS caller", "image pushes", "operations publishers", "roles"}


def test_a_service_that_tasks_call_may_not(broken: Broken, account: Aws) -> None:
    class NoWayToLogs(Aws):
        def client(self, service: str) -> Any:
            if service == "logs":
                raise EndpointConnectionError(endpoint_url="https://logs.eu-west-1.amazonaws.com/")
            return super().client(service)

    found = broken(open_aws=lambda settings: NoWayToLogs(account.session, account.endpoint_url))
    assert found.seen == "logs.eu-west-1.amazonaws.com cannot be reached"
