from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws_support import make_client, wait_until

STRANGE_NAMES = [
    "a b+c.csv",
    "größe 数 %20.csv",
    "%2B+ .csv",
    "a&b=c?d#e.csv",
    "quoted'\"<x>.csv",
]


@pytest.fixture
def versioned(s3: Any, name: str) -> str:
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def body(s3: Any, bucket: str, key: str, **version: str) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read())


def refused(call: Any, **request: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_object_that_must_not_exist_is_written_once(s3, versioned):
    where = {"Bucket": versioned, "Key": "claim"}
    s3.put_object(**where, Body=b"first", IfNoneMatch="*")
    assert refused(s3.put_object, **where, Body=b"second", IfNoneMatch="*") == ("PreconditionFailed", 412)
    source = s3.put_object(Bucket=versioned, Key="source", Body=b"third")["VersionId"]
    copy = {"CopySource": {"Bucket": versioned, "Key": "source", "VersionId": source}, "IfNoneMatch": "*"}
    assert refused(s3.copy_object, **where, **copy) == ("PreconditionFailed", 412)
    assert body(s3, versioned, "claim") == b"first"
    s3.delete_object(**where)
    s3.copy_object(**where, **copy)
    assert body(s3, versioned, "claim") == b"third"


def test_of_many_at_once_one_writes_an_object(local_aws, s3, versioned):
    start = threading.Barrier(8)

    def claim(number: int) -> str:
        mine = make_client(local_aws, "s3")
        start.wait()
        try:
            mine.put_object(Bucket=versioned, Key="claim", Body=b"%d" % number * 100_000, IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "written"

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(claim, range(8)))
    assert outcomes == {"written": 1, "PreconditionFailed": 7}
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 1


def test_a_version_is_copied_read_and_deleted_by_its_id(s3, versioned):
    old, new = (
        s3.put_object(Bucket=versioned, Key="a", Body=content)["VersionId"] for content in (b"old", b"new")
    )
    source = {"Bucket": versioned, "Key": "a", "VersionId": old}
    assert s3.copy_object(Bucket=versioned, Key="b", CopySource=source)["CopySourceVersionId"] == old
    assert body(s3, versioned, "b") == b"old"
    s3.delete_object(Bucket=versioned, Key="a", VersionId=new)
    assert body(s3, versioned, "a") == b"old"
    s3.delete_object(Bucket=versioned, Key="a", VersionId=new)
    s3.delete_object(Bucket=versioned, Key="a", VersionId=old)
    assert refused(s3.get_object, Bucket=versioned, Key="a") == ("NoSuchKey", 404)
    gone = refused(s3.copy_object, Bucket=versioned, Key="c", CopySource=source)
    assert gone == ("NoSuchVersion", 404)
    assert [one["Key"] for one in s3.list_object_versions(Bucket=versioned)["Versions"]] == ["b"]


@pytest.mark.parametrize("file", STRANGE_NAMES)
def test_a_strange_name_stays_what_it_is(s3, versioned, file):
    key = f"incoming/model/{file}"
    version = s3.put_object(Bucket=versioned, Key=key, Body=b"x", IfNoneMatch="*")["VersionId"]
    assert refused(s3.put_object, Bucket=versioned, Key=key, IfNoneMatch="*") == ("PreconditionFailed", 412)
    source = {"Bucket": versioned, "Key": key, "VersionId": version}
    s3.copy_object(Bucket=versioned, Key=f"aside/{file}", CopySource=source)
    assert body(s3, versioned, f"aside/{file}") == b"x"
    s3.delete_object(Bucket=versioned, Key=key, VersionId=version)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=versioned)["Contents"]] == [f"aside/{file}"]
    found = s3.list_object_versions(Bucket=versioned, Prefix=f"aside/{file}")["Versions"]
    assert [one["Key"] for one in found] == [f"aside/{file}"]


def test_a_strange_name_is_told_as_it_is(client, s3, versioned, name):
    s3.put_bucket_notification_configuration(
        Bucket=versioned, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    sqs, events = client("sqs"), client("events")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [versioned]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:123456789012:{name}"}])
    for file in STRANGE_NAMES:
        s3.put_object(Bucket=versioned, Key=file, Body=b"x")
    told: list[str] = []

    def all_told() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            told.append(json.loads(message["Body"])["detail"]["object"]["key"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return len(told) >= len(STRANGE_NAMES)

    wait_until(all_told)
    assert sorted(told) == sorted(STRANGE_NAMES)
