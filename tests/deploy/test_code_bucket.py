from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pytest

from deploy.code_bucket import CodeBucket, Deployment, FileChanges
from deploy.errors import DeployError
from vigil.aws import Aws

NOW = datetime(2026, 11, 21, 9, 15, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
FIRST = {"dags/a.py": b"a", "dags/include/sql/x.sql": b"select 1", "plugins.zip": b"zip"}


@pytest.fixture
def bucket(aws: Aws) -> CodeBucket:
    name = f"code-{uuid4().hex[:8]}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return CodeBucket(s3, name)


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {key: sha256(body).hexdigest() for key, body in files.items()}


def deploy(bucket: CodeBucket, files: dict[str, bytes], now: datetime = NOW) -> Deployment:
    changes = bucket.changes_to(digests(files))
    kept = {key: file for key, file in bucket.files_in_place().items() if key in files}
    written = bucket.write(changes.written, files.__getitem__)
    bucket.remove(changes.removed)
    return bucket.record(kept | written, now)


def content(bucket: CodeBucket, key: str) -> bytes:
    return bucket.s3.get_object(Bucket=bucket.name, Key=key)["Body"].read()


def test_an_empty_bucket_lacks_everything_and_a_second_deployment_changes_nothing(bucket):
    assert bucket.current() is None
    assert bucket.changes_to(digests(FIRST)) == FileChanges(tuple(sorted(FIRST)), (), ())
    deployment = deploy(bucket, FIRST)
    assert not bucket.changes_to(digests(FIRST))
    assert bucket.current() == deployment
    assert bucket.history() == [deployment.name]
    assert deployment.name.startswith("20261121T091500Z-")


def test_only_what_differs_is_written_and_what_is_gone_is_removed(bucket):
    first = deploy(bucket, FIRST)
    second = {"dags/a.py": b"b", "plugins.zip": b"zip", "dags/new.py": b"n"}
    assert bucket.changes_to(digests(second)) == FileChanges(
        ("dags/new.py",), ("dags/a.py",), ("dags/include/sql/x.sql",)
    )
    deployment = deploy(bucket, second)
    assert deployment.files["plugins.zip"] == first.files["plugins.zip"]
    assert content(bucket, "dags/a.py") == b"b"
    assert not bucket.changes_to(digests(second))


def test_what_a_killed_deployment_or_somebody_else_wrote_is_written_anew(bucket):
    deploy(bucket, FIRST)
    bucket.write(["dags/a.py"], lambda _: b"half of a deployment")
    bucket.s3.put_object(Bucket=bucket.name, Key="dags/by_hand.py", Body=b"!")
    bucket.remove(["plugins.zip"])
    assert bucket.changes_to(digests(FIRST)) == FileChanges(
        ("plugins.zip",), ("dags/a.py",), ("dags/by_hand.py",)
    )


def test_an_earlier_deployment_comes_back_with_what_was_removed_since(bucket):
    first = deploy(bucket, FIRST)
    deploy(bucket, {"dags/a.py": b"b"}, NOW.replace(hour=10))
    wanted = {key: file.sha256 for key, file in bucket.deployment(first.name).files.items()}
    changes = bucket.changes_to(wanted)
    restored = bucket.restore(changes.written, first)
    bucket.remove(changes.removed)
    bucket.record(restored, NOW.replace(hour=11))
    assert {key: content(bucket, key) for key in FIRST} == FIRST
    assert len(bucket.history()) == 3
    assert not bucket.changes_to(digests(FIRST))


def test_a_version_that_has_expired_is_named_with_the_way_out(bucket):
    first = deploy(bucket, FIRST)
    deploy(bucket, {"dags/a.py": b"b"})
    version = first.files["dags/a.py"].version
    bucket.s3.delete_object(Bucket=bucket.name, Key="dags/a.py", VersionId=version)
    with pytest.raises(DeployError, match=r"dags/a.py .* check out the commit"):
        bucket.restore(["dags/a.py"], first)


def test_one_goes_back_to_the_last_deployment_while_one_after_it_is_unfinished(bucket):
    first, second = deploy(bucket, FIRST), deploy(bucket, FIRST | {"dags/a.py": b"changed"}, LATER)
    assert bucket.one_before() == first.name
    bucket.write(["dags/a.py"], lambda _: b"unfinished")
    assert bucket.one_before() == second.name


def test_an_unknown_deployment_is_answered_by_the_last_ones(bucket):
    deployment = deploy(bucket, FIRST)
    with pytest.raises(DeployError, match=deployment.name):
        bucket.deployment("yesterday")


def test_two_deployments_at_once_do_not_mix(bucket, monkeypatch):
    monkeypatch.setenv("LOGNAME", "me")
    with bucket.locked():
        with pytest.raises(DeployError, match=r"me@.* has been at work on .* TAKE_OVER=1"), bucket.locked():
            pass
        with bucket.locked(take_over=True):
            pass
    with bucket.locked():
        pass


def test_who_was_taken_over_from_does_not_let_others_in(bucket, monkeypatch):
    monkeypatch.setenv("LOGNAME", "me")
    with ExitStack() as taken_over:
        with bucket.locked():
            monkeypatch.setenv("LOGNAME", "you")
            taken_over.enter_context(bucket.locked(take_over=True))
        with pytest.raises(DeployError, match="you@"), bucket.locked():
            pass


def test_records_are_json_that_names_every_file_with_its_version(bucket):
    deployment = deploy(bucket, FIRST)
    record = json.loads(content(bucket, f"deployments/{deployment.name}.json"))
    assert record["files"]["dags/a.py"]["sha256"] == sha256(b"a").hexdigest()
    newest = bucket.s3.head_object(Bucket=bucket.name, Key="dags/a.py")["VersionId"]
    assert record["files"]["dags/a.py"]["version"] == newest
