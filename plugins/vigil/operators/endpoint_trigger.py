"""Wait for an endpoint to stand still, without a worker slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from vigil.sagemaker_jobs import is_missing, may_pass


class EndpointTrigger(BaseTrigger):
    """Fires once an endpoint stands still, whatever it serves then.

    Args:
        endpoint: its name.
        aws_conn_id: Airflow connection of the AWS account.
        poll_s: seconds between two looks.
        deadline: seconds since the epoch; the same after a restart of the triggerer.
        round_number: how often the operator has begun; handed back with the event.
        moved: whether the operator itself set the endpoint in motion; handed back with the event.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        aws_conn_id: str,
        poll_s: float,
        deadline: float,
        round_number: int,
        moved: bool,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow types only part of itself
        self.endpoint = endpoint
        self.aws_conn_id = aws_conn_id
        self.poll_s = poll_s
        self.deadline = deadline
        self.round_number = round_number
        self.moved = moved

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what a triggerer needs to build this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "endpoint": self.endpoint,
                "aws_conn_id": self.aws_conn_id,
                "poll_s": self.poll_s,
                "deadline": self.deadline,
                "round_number": self.round_number,
                "moved": self.moved,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the endpoint until it is no longer in motion."""
        hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=self.aws_conn_id, client_type="sagemaker")
        timed_out = False
        async with await hook.get_async_conn() as client:
            while not timed_out and await self._in_motion(client):
                await asyncio.sleep(self.poll_s)
                timed_out = time.time() > self.deadline
        yield TriggerEvent({"timed_out": timed_out, "round_number": self.round_number, "moved": self.moved})

    async def _in_motion(self, client: Any) -> bool:
        try:
            endpoint = await client.describe_endpoint(EndpointName=self.endpoint)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and is_missing(error):
                return False
            if may_pass(error):
                self.log.warning("How %s is cannot be told: %s", self.endpoint, error)
                return True
            raise
        return endpoint["EndpointStatus"] not in (
            "InService",
            "Failed",
            "OutOfService",
            "UpdateRollbackFailed",
        )
