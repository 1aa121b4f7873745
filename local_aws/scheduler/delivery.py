"""One firing of a schedule: its target is called, again if need be, and at last buried in a queue."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.clients import Clients
from local_aws.sagemaker.errors import AwsError
from local_aws.scheduler.roles import can_be_assumed
from local_aws.scheduler.targets import TargetError, call_of

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Firing:
    """What is to be done for one due moment of a schedule, whatever becomes of the schedule meanwhile."""

    schedule_arn: str
    group_arn: str
    target: Mapping[str, Any]
    due: float
    execution_id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def region(self) -> str:
        """The region of the schedule."""
        return self.schedule_arn.split(":")[3]

    @property
    def due_text(self) -> str:
        """The due moment as the cloud writes it."""
        return datetime.fromtimestamp(self.due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def event(self) -> dict[str, Any]:
        """What a target without an input gets."""
        return {
            "version": "0",
            "id": self.execution_id,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": self.schedule_arn.split(":")[4],
            "time": self.due_text,
            "region": self.region,
            "resources": [self.schedule_arn],
            "detail": "{}",
        }

    def target_of(self, attempt: int) -> dict[str, Any]:
        """Give the target with the words in its input that stand for this attempt filled in."""
        target = dict(self.target)
        words = {
            "schedule-arn": self.schedule_arn,
            "scheduled-time": self.due_text,
            "execution-id": self.execution_id,
            "attempt-number": str(attempt + 1),
        }
        for word, value in words.items():
            if "Input" in target:
                target["Input"] = target["Input"].replace(f"<aws.scheduler.{word}>", value)
        return target


class Delivery:
    """Carries out firings, each by the retry policy of its target.

    Retries come half a second after a failure, then after twice as long each time, up to a minute: sooner
    than in the cloud, where they take minutes, but by the same two limits.
    """

    def __init__(self, clients: Clients, closing: threading.Event) -> None:
        self._clients = clients
        self._closing = closing

    def carry_out(self, firing: Firing) -> bool:
        """Call the target until it works or the policy is exhausted; false if the server closes before."""
        for attempt in itertools.count():
            try:
                self._attempt(firing, attempt)
            except (AwsError, BotoCoreError, ClientError, TargetError) as error:
                log.warning("%s: attempt %d failed: %s", firing.schedule_arn, attempt + 1, error)
                pause_s = min(_FIRST_PAUSE_S * 2 ** min(attempt, 20), _LONGEST_PAUSE_S)
                limit = _exhausted(firing, attempt, pause_s)
                if limit:
                    self._bury(firing, attempt, error, limit)
                    return True
            else:
                return True
            if self._closing.wait(pause_s):
                break
        return False

    def _attempt(self, firing: Firing, attempt: int) -> None:
        self._assume_role(firing)
        call_of(firing.target_of(attempt), firing.region, firing.event).make(self._clients)

    def _assume_role(self, firing: Firing) -> None:
        role = firing.target["RoleArn"]
        if not can_be_assumed(role, firing.group_arn):
            raise AwsError("AccessDenied", f"EventBridge Scheduler is not able to assume role {role}")

    def _bury(self, firing: Firing, attempt: int, error: Exception, limit: str) -> None:
        arn = firing.target.get("DeadLetterConfig", {}).get("Arn")
        if not arn:
            log.error("%s: given up, and there is no dead-letter queue", firing.schedule_arn)
            return
        code, message = _code_and_message(error)
        words = {
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message,
            "EXECUTION_ID": firing.execution_id,
            "EXHAUSTED_RETRY_CONDITION": limit,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(attempt),
            "SCHEDULED_TIME": firing.due_text,
            "SCHEDULE_ARN": firing.schedule_arn,
            "TARGET_ARN": firing.target["Arn"],
        }
        region, account, name = arn.split(":")[3:]
        try:
            self._assume_role(firing)  # it is this role too that may write into the queue
            self._clients.get("sqs", region).send_message(
                QueueUrl=f"{self._clients.url}/{account}/{name}",
                MessageBody=firing.target.get("Input") or json.dumps(firing.event),
                MessageAttributes={
                    key: {"DataType": "String", "StringValue": value} for key, value in words.items() if value
                },
            )
        except (AwsError, BotoCoreError, ClientError):  # nobody is left to tell: so does the cloud
            log.exception("%s: given up, and %s could not be told", firing.schedule_arn, arn)


def _exhausted(firing: Firing, attempt: int, pause_s: float) -> str | None:
    """Name the limit that keeps a target from being called again."""
    policy = firing.target["RetryPolicy"]
    if attempt >= policy["MaximumRetryAttempts"]:
        return "MaximumRetryAttempts"
    if time.time() + pause_s - firing.due > policy["MaximumEventAgeInSeconds"]:
        return "MaximumEventAgeInSeconds"
    return None


def _code_and_message(error: Exception) -> tuple[str, str]:
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    if isinstance(error, AwsError):
        return error.code, error.message
    return type(error).__name__, str(error)
