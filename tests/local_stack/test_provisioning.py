from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deploy.stacks import delete_stack
from deploy.templates import stack_name
from local_stack.provisioning import TEMPLATES, provision, write_settings
from vigil.settings import parse_settings


@pytest.fixture
def unique(aws: Any) -> Iterator[str]:
    environment = f"t-{uuid4().hex[:8]}"
    yield environment
    for template in reversed(TEMPLATES):
        delete_stack(aws.client("cloudformation"), stack_name(environment, template), poll_s=0.1)


def test_what_is_provisioned_becomes_settings_that_the_pipeline_accepts(unique, aws, tmp_path: Path):
    cloudformation = aws.client("cloudformation")
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
    assert settings.environment == unique
    assert settings.training_stack_role_arn == outputs["StackRoleArn"]
    assert settings.schedule_role_arn == outputs["SchedulerRoleArn"]
    assert settings.schedule_group == f"vigil-{unique}-training-stacks"
    assert settings.schedule_dead_letter_arn == outputs["DeleteDeadLetterQueueArn"]
    assert settings.instance_boundary_arn == outputs["InstanceBoundaryArn"]
    assert settings.database_ca_file is None
    for bucket in (settings.bucket, outputs["CodeBucketName"]):
        aws.client("s3").delete_bucket(Bucket=bucket)
