"""What CloudFormation and EC2 say of training stacks: the stacks, their instances, their volumes.

A stack carries everything that its ends go by in its tags, so that it can be ended by whoever finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from botocore.exceptions import ClientError

from vigil.aws import error_code, error_message
from vigil.windows import to_utc

JOB_TAG = "vigil:training-stack"
ENVIRONMENT_TAG = "vigil:environment"
LAUNCH_TAG = "vigil:launch"
DAG_TAG = "vigil:dag"
RUN_TAG = "vigil:dag-run"
DEADLINE_TAG = "vigil:deadline"
DETACHED_TAG = "vigil:detached"

_STACK_ID_TAG = "aws:cloudformation:stack-id"
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
# Every state but `terminated` may cost something: a stopped instance keeps its volume.
_ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]
# Clocks of Airflow and AWS may differ so much.
_CLOCKS_DIFFER = timedelta(minutes=5)
_TAG_LETTERS = " +-._:/@"
_ENDED_AT = re.compile(r"\((\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) GMT\)")


@dataclass(frozen=True)
class TrainingStack:
    """A stack as CloudFormation describes it.

    Attributes:
        id: ARN; still answers after the stack was deleted.
        name: of the job.
        status: as in `CREATE_COMPLETE`.
        reason: of the status; may be empty.
        created_at: naive UTC.
        tags: of the stack.
    """

    id: str
    name: str
    status: str
    reason: str
    created_at: datetime
    tags: Mapping[str, str]

    def is_of(self, environment: str) -> bool:
        """Tell whether it is a training stack of an environment."""
        return JOB_TAG in self.tags and self.tags.get(ENVIRONMENT_TAG) == environment

    @property
    def launch(self) -> str | None:
        """Return the id of the launch that it serves."""
        return self.tags.get(LAUNCH_TAG)

    @property
    def run(self) -> tuple[str, str]:
        """Return DAG and run that launched it."""
        return from_tag(self.tags.get(DAG_TAG, "")), from_tag(self.tags.get(RUN_TAG, ""))

    @property
    def deadline(self) -> datetime | None:
        """Return when it ends at the latest; None if the tag is gone or spoilt."""
        return read_moment(self.tags.get(DEADLINE_TAG))

    @property
    def is_detached(self) -> bool:
        """Tell whether it goes on without its run."""
        return self.tags.get(DETACHED_TAG) == "true"

    @property
    def is_gone(self) -> bool:
        """Tell whether nothing of it is left."""
        return self.status == "DELETE_COMPLETE"

    @property
    def is_changing(self) -> bool:
        """Tell whether CloudFormation is at work on it."""
        return self.status.endswith("_IN_PROGRESS")

    @property
    def has_failed(self) -> bool:
        """Tell whether it never came to be, or could not be deleted."""
        return self.status in (
            "CREATE_FAILED",
            "ROLLBACK_COMPLETE",
            "ROLLBACK_FAILED",
            "DELETE_FAILED",
            "DELETE_COMPLETE",
        )


@dataclass(frozen=True)
class TrainingInstance:
    """An instance as EC2 describes it.

    Attributes:
        id: as in `i-0123`.
        stack_id: of the stack it belongs to.
        state: as in `running`.
        reason: why it is in that state, as EC2's code and text.
        launched_at: naive UTC; None before it is known.
        ended_at: when it ended; None while it has not, or if EC2 does not say.
        tags: of the instance.
    """

    id: str
    stack_id: str
    state: str
    reason: str
    launched_at: datetime
    ended_at: datetime | None
    tags: Mapping[str, str]

    @property
    def is_alive(self) -> bool:
        """Tell whether it still costs something."""
        return self.state != "terminated"

    @property
    def deadline(self) -> datetime | None:
        """Return when it ends at the latest; None if the tag is gone or spoilt."""
        return read_moment(self.tags.get(DEADLINE_TAG))


def find_stack(cloudformation: Any, name_or_id: str) -> TrainingStack | None:
    """Return a stack by its name, or by its id also after its deletion; None if there is none."""
    try:
        (found,) = cloudformation.describe_stacks(StackName=name_or_id)["Stacks"]
    except ClientError as error:
        # CloudFormation has no code of its own for this.
        if error_code(error) == "ValidationError" and "does not exist" in error_message(error):
            return None
        raise
    return read_stack(found)


def find_deleted_stack(cloudformation: Any, name: str, launch: str, since: datetime) -> TrainingStack | None:
    """Return the stack of a launch that was deleted meanwhile; None if there was none.

    Args:
        cloudformation: client.
        name: of the job.
        launch: id.
        since: nothing made earlier is looked at; naive UTC.
    """
    pages = cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    for page in pages:
        for summary in page["StackSummaries"]:
            if summary["StackName"] == name and to_utc(summary["CreationTime"]) >= since - _CLOCKS_DIFFER:
                stack = find_stack(cloudformation, summary["StackId"])
                if stack is not None and stack.launch == launch:
                    return stack
    return None


def training_stacks(cloudformation: Any, environment: str) -> list[TrainingStack]:
    """Return every training stack of an environment that is not deleted."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    stacks = [read_stack(found) for page in pages for found in page["Stacks"]]
    return [one for one in stacks if one.is_of(environment)]


def failure_reasons(cloudformation: Any, stack_id: str) -> list[str]:
    """Return what CloudFormation says of each resource that could not be made, oldest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    failed = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for page in pages
        for event in page["StackEvents"]
        if event["ResourceStatus"] in ("CREATE_FAILED", "UPDATE_FAILED")
    ]
    return failed[::-1]


def living_instances(ec2: Any, environment: str) -> list[TrainingInstance]:
    """Return every instance of an environment's training stacks that still costs something."""
    return _instances(
        ec2,
        [
            {"Name": f"tag:{ENVIRONMENT_TAG}", "Values": [environment]},
            {"Name": "tag-key", "Values": [JOB_TAG]},
            {"Name": "instance-state-name", "Values": _ALIVE},
        ],
    )


def instances_of_launch(ec2: Any, job: str, launch: str) -> list[TrainingInstance]:
    """Return every instance that a launch has made, ended ones too as long as EC2 shows them."""
    return _instances(ec2, launch_filters(job, launch))


def volumes_of_launch(ec2: Any, job: str, launch: str) -> list[str]:
    """Return the ids of the volumes of a launch that still exist."""
    pages = ec2.get_paginator("describe_volumes").paginate(Filters=launch_filters(job, launch))
    return [volume["VolumeId"] for page in pages for volume in page["Volumes"]]


def launch_filters(job: str, launch: str) -> list[dict[str, Any]]:
    """Return the filters by which EC2 finds what belongs to a launch."""
    return [
        {"Name": f"tag:{JOB_TAG}", "Values": [job]},
        {"Name": f"tag:{LAUNCH_TAG}", "Values": [launch]},
    ]


def write_moment(moment: datetime) -> str:
    """Write a time as the tags do."""
    return moment.strftime(_MOMENT)


def read_moment(text: str | None) -> datetime | None:
    """Read a time as the tags have it; None if it is none."""
    try:
        return datetime.strptime(text or "", _MOMENT)
    except ValueError:
        return None


def as_tag(text: str) -> str:
    """Write any text in the letters that AWS allows in a tag."""
    # `quote` leaves the tilde as it is, whatever is safe.
    return quote(text, safe=_TAG_LETTERS).replace("~", "%7E").replace("%", "=")


def from_tag(value: str) -> str:
    """Read what `as_tag` wrote."""
    return unquote(value.replace("=", "%"))


def _instances(ec2: Any, filters: Iterable[Mapping[str, Any]]) -> list[TrainingInstance]:
    pages = ec2.get_paginator("describe_instances").paginate(Filters=list(filters))
    return [instance for page in pages for instance in read_instances(page)]


def read_instances(page: Mapping[str, Any]) -> list[TrainingInstance]:
    """Read a page of DescribeInstances."""
    return [_instance(found) for reservation in page["Reservations"] for found in reservation["Instances"]]


def read_stack(found: Mapping[str, Any]) -> TrainingStack:
    """Read a stack of DescribeStacks."""
    return TrainingStack(
        id=found["StackId"],
        name=found["StackName"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        created_at=to_utc(found["CreationTime"]),
        tags=_tags(found),
    )


def _instance(found: Mapping[str, Any]) -> TrainingInstance:
    tags = _tags(found)
    transition = found.get("StateTransitionReason", "")
    ended = _ENDED_AT.search(transition)
    reason = found.get("StateReason", {})
    return TrainingInstance(
        id=found["InstanceId"],
        stack_id=tags.get(_STACK_ID_TAG, ""),
        state=found["State"]["Name"],
        reason=": ".join(part for part in (reason.get("Code"), reason.get("Message")) if part),
        launched_at=to_utc(found["LaunchTime"]),
        ended_at=datetime.fromisoformat(ended[1]) if ended else None,
        tags=tags,
    )


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
