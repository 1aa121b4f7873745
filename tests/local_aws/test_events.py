from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from local_aws_support import wait_until

ACCOUNT = "123456789012"


@pytest.fixture
def queue(client: Any, name: str) -> str:
    return str(client("sqs").create_queue(QueueName=name)["QueueUrl"])


@pytest.fixture
def received(client: Any, queue: str) -> Callable[[int], list[str]]:
    """Receive as many bodies as are expected, and no more."""

    def receive(count: int) -> list[str]:
        sqs, bodies = client("sqs"), []

        def enough() -> bool:
            for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
                bodies.append(message["Body"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return len(bodies) >= count

        wait_until(enough)
        assert not sqs.receive_message(QueueUrl=queue).get("Messages"), "one message too many"
        assert len(bodies) == count
        return bodies

    return receive


def rule(client: Any, name: str, pattern: dict[str, Any], **target: Any) -> None:
    events = client("events")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn, **target}])


def bucket_that_tells(s3: Any, name: str) -> None:
    s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def of_bucket(name: str, **detail: Any) -> dict[str, Any]:
    return {"source": ["aws.s3"], "detail": {"bucket": {"name": [name]}, **detail}}


def test_every_object_is_told_once_with_an_id_of_its_own(client, s3, name, received):
    bucket_that_tells(s3, name)
    rule(client, name, of_bucket(name, object={"key": [{"prefix": "drop/"}]}))
    for key in ("drop/a.csv", "other.csv", "drop/b.csv"):
        s3.put_object(Bucket=name, Key=key, Body=b"12345")
    first, second = (json.loads(body) for body in received(2))
    assert first["id"] != second["id"]
    assert first["detail"]["object"]["sequencer"] != second["detail"]["object"]["sequencer"]
    assert {first["detail"]["object"]["key"], second["detail"]["object"]["key"]} == {
        "drop/a.csv",
        "drop/b.csv",
    }
    assert (first["detail-type"], first["detail"]["reason"]) == ("Object Created", "PutObject")
    assert first["detail"]["object"]["size"] == 5
    assert first["time"].endswith("Z")
    assert first["resources"] == [f"arn:aws:s3:::{name}"]


def test_a_multipart_upload_is_told_once(client, s3, name, received, tmp_path):
    bucket_that_tells(s3, name)
    rule(client, name, of_bucket(name))
    file = tmp_path / "large"
    file.write_bytes(b"x" * (6 << 20))
    s3.upload_file(str(file), name, "large", Config=TransferConfig(multipart_threshold=5 << 20))
    (event,) = (json.loads(body) for body in received(1))
    assert event["detail"]["reason"] == "CompleteMultipartUpload"
    assert event["detail"]["object"]["size"] == 6 << 20


def test_a_queue_of_a_bucket_hears_of_a_multipart_upload_once(client, s3, name, received, tmp_path):
    s3.create_bucket(Bucket=name)
    notification = {"QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}", "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"QueueConfigurations": [notification]}
    )
    assert json.loads(received(1)[0])["Event"] == "s3:TestEvent"
    file = tmp_path / "large"
    file.write_bytes(b"x" * (6 << 20))
    s3.upload_file(str(file), name, "large", Config=TransferConfig(multipart_threshold=5 << 20))
    (body,) = received(1)
    assert json.loads(body)["Records"][0]["eventName"] == "ObjectCreated:CompleteMultipartUpload"


def test_a_rules_transformer_shapes_what_arrives(client, s3, name, received):
    bucket_that_tells(s3, name)
    transformer = {
        "InputPathsMap": {"key": "$.detail.object.key", "size": "$.detail.object.size"},
        "InputTemplate": '{"file": "<key>", "bytes": <size>}',
    }
    rule(client, name, of_bucket(name), InputTransformer=transformer)
    s3.put_object(Bucket=name, Key="a.csv", Body=b"123")
    assert json.loads(received(1)[0]) == {"file": "a.csv", "bytes": 3}


def test_a_rule_reaches_a_topic(client, name, received):
    sns = client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}",
        Attributes={"RawMessageDelivery": "true"},
    )
    client("events").put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    client("events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": topic, "InputPath": "$.detail"}])
    entry = {"Source": name, "DetailType": "test", "Detail": '{"a": 1}'}
    client("events").put_events(Entries=[entry])
    assert json.loads(received(1)[0]) == {"a": 1}


def test_a_disabled_rule_sends_nothing(client, name, received):
    rule(client, name, {"source": [name]})
    entry = {"Source": name, "DetailType": "test", "Detail": '{"n": 1}'}
    client("events").disable_rule(Name=name)
    client("events").put_events(Entries=[entry])
    client("events").enable_rule(Name=name)
    client("events").put_events(Entries=[entry | {"Detail": '{"n": 2}'}])
    assert json.loads(received(1)[0])["detail"] == {"n": 2}


def test_a_target_that_cannot_be_reached_keeps_nothing_from_the_others(client, name, received):
    rule(client, name, {"source": [name]})
    nobody = {"Id": "0", "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:nobody"}
    client("events").put_targets(Rule=name, Targets=[nobody])
    entry = {"Source": name, "DetailType": "test", "Detail": "{}"}
    assert client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    received(1)


def test_a_pushed_image_is_told(client, name, received):
    ecr = client("ecr")
    ecr.create_repository(repositoryName=name)
    rule(
        client, name, {"source": ["aws.ecr"], "detail": {"repository-name": [name], "action-type": ["PUSH"]}}
    )
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"})
    digest = ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="v7")["image"]["imageId"]
    (event,) = (json.loads(body) for body in received(1))
    assert event["detail-type"] == "ECR Image Action"
    assert event["detail"] == {
        "result": "SUCCESS",
        "repository-name": name,
        "image-digest": digest["imageDigest"],
        "action-type": "PUSH",
        "image-tag": "v7",
    }


def push(ecr: Any, repository: str, content: str, tag: str) -> str:
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": content, "size": 1},
        "layers": [],
    }
    made = ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=tag)
    return str(made["image"]["imageId"]["imageDigest"])


def test_an_image_is_found_by_tag_and_keeps_its_digest_when_the_tag_moves_on(client, name):
    ecr = client("ecr")
    ecr.create_repository(repositoryName=name)

    def digests(**image: str) -> list[str]:
        found = ecr.describe_images(repositoryName=name, imageIds=[image])["imageDetails"]
        return [one["imageDigest"] for one in found]

    first = push(ecr, name, "one", "latest")
    assert digests(imageTag="latest") == [first]
    second = push(ecr, name, "two", "latest")
    assert first != second
    assert digests(imageTag="latest") == [second]
    assert digests(imageDigest=first) == [first]
    assert push(ecr, name, "two", "v2") == second
    (both,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v2"}])["imageDetails"]
    assert sorted(both["imageTags"]) == ["latest", "v2"]
    assert push(ecr, name, "one", "latest") == first
    assert digests(imageTag="latest") == [first]
    assert digests(imageTag="v2") == [second]
    with pytest.raises(ClientError) as caught:
        push(ecr, name, "one", "latest")
    assert caught.value.response["Error"]["Code"] == "ImageAlreadyExistsException"
    with pytest.raises(ClientError) as caught:
        digests(imageTag="never-pushed")
    assert caught.value.response["Error"]["Code"] == "ImageNotFoundException"


def test_a_tag_of_an_immutable_repository_stays(client, name):
    ecr = client("ecr")
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    first = push(ecr, name, "one", "v1")
    with pytest.raises(ClientError, match="already exists"):
        push(ecr, name, "two", "v1")
    (found,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert (found["imageDigest"], found["imageTags"]) == (first, ["v1"])


def test_a_push_to_no_repository_is_refused(client, name):
    with pytest.raises(ClientError) as caught:
        push(client("ecr"), name, "one", "v1")
    assert caught.value.response["Error"]["Code"] == "RepositoryNotFoundException"
