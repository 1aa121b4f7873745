"""What an operation works with, and the table of operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_aws.clients import Clients
from local_aws.sagemaker.errors import AwsError
from local_aws.sagemaker.fleet import Fleet
from local_aws.sagemaker.jobs import Engine
from local_aws.sagemaker.store import Record, Store

ACCOUNT = "123456789012"  # moto's, so that ARNs of both halves agree


@dataclass(frozen=True)
class Call:
    """One API call's surroundings: where it was made, and what it may use."""

    region: str
    store: Store
    engine: Engine
    fleet: Fleet
    clients: Clients

    def arn(self, resource_type: str, name: str = "") -> str:
        """Make the ARN of a resource, or with no name what all of its type begin with."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{resource_type}/{name}"

    def add(self, arn: str, record: Record, tags: list[dict[str, str]], taken: AwsError) -> None:
        """Keep a new record and its tags, or refuse when its ARN is taken."""
        self.store.add(arn, record, lambda _: taken)
        if tags:
            self.store.tag(arn, tags)


Operation = Callable[[Call, dict[str, Any]], dict[str, Any]]
OPERATIONS: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    """Let a function answer the operation of its name: `stop_training_job` answers StopTrainingJob."""
    OPERATIONS[function.__name__.title().replace("_", "")] = function
    return function
