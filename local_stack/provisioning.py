"""What the pipeline needs in AWS, from the same CloudFormation template as in the cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_stack.stack import PROJECT

STACK_NAME = "vigil-local"
_TEMPLATE = PROJECT / "deploy" / "pipeline.yaml"


def provision(cloudformation: Any, parameters: dict[str, str] | None = None) -> dict[str, str]:
    """Create or update the stack of buckets, topics, queues and roles; return its outputs by name."""
    request = {
        "StackName": STACK_NAME,
        "TemplateBody": _TEMPLATE.read_text(encoding="utf-8"),
        "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in (parameters or {}).items()
        ],
    }
    try:
        if _exists(cloudformation):
            cloudformation.update_stack(**request)
            cloudformation.get_waiter("stack_update_complete").wait(
                StackName=STACK_NAME, WaiterConfig={"Delay": 1}
            )
        else:
            cloudformation.create_stack(**request)
            cloudformation.get_waiter("stack_create_complete").wait(
                StackName=STACK_NAME, WaiterConfig={"Delay": 1}
            )
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
    return _outputs(cloudformation)


def write_settings(outputs: dict[str, str], file: Path, further: dict[str, Any]) -> None:
    """Write the options of the section [vigil]: the template's outputs, and what the laptop adds."""
    settings = {
        "bucket": outputs["BucketName"],
        "alert_topic_arn": outputs["AlertTopicArn"],
        "sagemaker_role_arn": outputs["SageMakerRoleArn"],
        "operations_topic_arn": outputs["OperationsTopicArn"],
        "image_push_queue_url": outputs["ImagePushQueueUrl"],
        # The embedded AWS's jobs take seconds.
        "poll_interval_s": 0.5,
        **further,
    }
    file.write_text(json.dumps(settings, indent=2))


def _exists(cloudformation: Any) -> bool:
    try:
        stacks = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return bool(stacks) and stacks[0]["StackStatus"] != "DELETE_COMPLETE"


def _outputs(cloudformation: Any) -> dict[str, str]:
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
