"""What the pipeline needs in AWS, from the same CloudFormation templates as in the cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_stack.stack import PROJECT

STACK_NAME = "vigil-local"
TRAINING_STACKS_NAME = f"{STACK_NAME}-training-stacks"


def provision(cloudformation: Any, parameters: dict[str, str] | None = None) -> dict[str, str]:
    """Create or update what the pipeline and its training stacks need; return all outputs by name.

    Args:
        cloudformation: client.
        parameters: of the pipeline's template; the environment holds for both.
    """
    given = parameters or {}
    outputs = _bring_about(cloudformation, STACK_NAME, "pipeline.yaml", given)
    same = {key: value for key, value in given.items() if key == "Environment"}
    own = {"BucketName": outputs["BucketName"], "AlarmTopicArn": outputs["OperationsTopicArn"]}
    return outputs | _bring_about(cloudformation, TRAINING_STACKS_NAME, "training-stacks.yaml", same | own)


def write_settings(outputs: dict[str, str], file: Path, further: dict[str, Any]) -> None:
    """Write the options of the section [vigil]: the templates' outputs, and what the laptop adds."""
    settings = {
        "bucket": outputs["BucketName"],
        "alert_topic_arn": outputs["AlertTopicArn"],
        "sagemaker_role_arn": outputs["SageMakerRoleArn"],
        "operations_topic_arn": outputs["OperationsTopicArn"],
        "image_push_queue_url": outputs["ImagePushQueueUrl"],
        "environment": outputs["Environment"],
        "training_stack_role_arn": outputs["StackRoleArn"],
        "schedule_role_arn": outputs["SchedulerRoleArn"],
        "schedule_group": outputs["ScheduleGroupName"],
        "schedule_dead_letter_arn": outputs["DeleteDeadLetterQueueArn"],
        "instance_boundary_arn": outputs["InstanceBoundaryArn"],
        # The embedded AWS's jobs take seconds.
        "poll_interval_s": 0.5,
        **further,
    }
    file.write_text(json.dumps(settings, indent=2))


def _bring_about(cloudformation: Any, name: str, template: str, parameters: dict[str, str]) -> dict[str, str]:
    """Create or update one stack; return its outputs."""
    request = {
        "StackName": name,
        "TemplateBody": (PROJECT / "deploy" / template).read_text(encoding="utf-8"),
        "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
    wait = {"StackName": name, "WaiterConfig": {"Delay": 1}}
    try:
        if _exists(cloudformation, name):
            cloudformation.update_stack(**request)
            cloudformation.get_waiter("stack_update_complete").wait(**wait)
        else:
            cloudformation.create_stack(**request)
            cloudformation.get_waiter("stack_create_complete").wait(**wait)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
    return _outputs(cloudformation, name)


def _exists(cloudformation: Any, name: str) -> bool:
    try:
        stacks = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return bool(stacks) and stacks[0]["StackStatus"] != "DELETE_COMPLETE"


def _outputs(cloudformation: Any, name: str) -> dict[str, str]:
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
