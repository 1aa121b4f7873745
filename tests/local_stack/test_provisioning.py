from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local_stack.provisioning import STACK_NAME, provision, write_settings
from vigil.settings import parse_settings


@pytest.fixture
def cloudformation(aws: Any) -> Iterator[Any]:
    client = aws.client("cloudformation")
    yield client
    client.delete_stack(StackName=STACK_NAME)


def test_what_is_provisioned_becomes_settings_that_the_pipeline_accepts(cloudformation, aws, tmp_path: Path):
    unique = f"t-{uuid4().hex[:8]}"
    parameters = {"RequireTls": "false", "Environment": unique, "ModelName": unique}
    outputs = provision(cloudformation, parameters)
    assert provision(cloudformation, parameters) == outputs
    file = tmp_path / "settings.json"
    write_settings(outputs, file, {"pipeline_file": "other.yaml"})
    settings = parse_settings(json.loads(file.read_text()))
    assert settings.bucket == outputs["BucketName"]
    assert settings.operations_topic_arn == outputs["OperationsTopicArn"]
    assert settings.image_push_queue_url == outputs["ImagePushQueueUrl"]
    assert settings.pipeline_file == "other.yaml"
    aws.client("s3").delete_bucket(Bucket=settings.bucket)
