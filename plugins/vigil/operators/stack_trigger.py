"""Waits for a training stack without a worker slot, and has it deleted when nobody wants it any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from vigil.aws import error_code, error_message
from vigil.sagemaker_jobs import may_pass
from vigil.stacks.inventory import TrainingStack, launch_filters, read_instances, read_stack

_LONGEST_PAUSE_S = 60.0
_LOOKS_IN_VAIN = 5


class TrainingStackTrigger(BaseTrigger):
    """Fires once a launch has ended, or once its stack is gone.

    Args:
        stack_id: of the stack.
        job: name of it.
        launch: id.
        until: `ended`, when its instance is or the stack cannot go on; `gone`, when the stack is deleted or
            cannot be.
        aws_conn_id: Airflow connection of the AWS account.
        poll_s: seconds between two looks.
        latest: seconds since the epoch at which this fires whatever it sees.
        detached: whether the stack goes on when the task is killed.
        attempt: how often the stack was asked to go; told with what is seen.
    """

    def __init__(
        self,
        *,
        stack_id: str,
        job: str,
        launch: str,
        until: str,
        aws_conn_id: str,
        poll_s: float,
        latest: float,
        detached: bool,
        attempt: int = 1,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow types only part of itself
        self.stack_id = stack_id
        self.job = job
        self.launch = launch
        self.until = until
        self.aws_conn_id = aws_conn_id
        self.poll_s = poll_s
        self.latest = latest
        self.detached = detached
        self.attempt = attempt
        self._looks_in_vain = 0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what a triggerer needs to build this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name)
            for name in (
                "stack_id",
                "job",
                "launch",
                "until",
                "aws_conn_id",
                "poll_s",
                "latest",
                "detached",
                "attempt",
            )
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the stack until what is waited for has happened, or it is too late for that."""
        async with AsyncExitStack() as opened:
            cloudformation = await opened.enter_async_context(await self._client("cloudformation"))
            ec2 = await opened.enter_async_context(await self._client("ec2"))
            pause = self.poll_s
            while True:
                try:
                    seen = await self._look(cloudformation, ec2)
                except (ClientError, BotoCoreError) as error:
                    if not may_pass(error):
                        raise
                    pause = min(pause * 2, _LONGEST_PAUSE_S)
                    self.log.warning("Next look at %s in %g s: %s", self.job, pause, error)
                else:
                    pause = self.poll_s
                    if seen is not None:
                        yield self._event(seen)
                        return
                if time.time() > self.latest:
                    yield self._event("nothing in time")
                    return
                await asyncio.sleep(pause)

    async def on_kill(self) -> None:
        """Have the stack deleted: somebody marked or cleared the task while it was waiting."""
        if self.detached:
            self.log.info("The stack %s goes on to its own end.", self.job)
            return
        async with await self._client("cloudformation") as cloudformation:
            stack = await self._stack(cloudformation)
            if stack is not None and not stack.is_gone and stack.launch == self.launch:
                await cloudformation.delete_stack(StackName=self.stack_id)
                self.log.info("Deleting the stack %s", self.job)

    def _event(self, seen: str) -> TriggerEvent:
        return TriggerEvent({"stack_id": self.stack_id, "seen": seen, "attempt": self.attempt})

    async def _look(self, cloudformation: Any, ec2: Any) -> str | None:
        """Return what was waited for, if it has happened."""
        stack = await self._stack(cloudformation)
        if stack is None or stack.is_gone:
            return "gone"
        if self.until == "gone":
            return stack.status if stack.status == "DELETE_FAILED" else None
        # In the middle of an update a stack may still bear the tags of the launch before.
        if stack.has_failed or (stack.launch != self.launch and not stack.is_changing):
            return stack.status
        pages = ec2.get_paginator("describe_instances").paginate(
            Filters=launch_filters(self.job, self.launch)
        )
        instances = [one async for page in pages for one in read_instances(page)]
        # EC2 forgets what ended an hour ago, and may take a moment to know what has just begun.
        self._looks_in_vain = 0 if instances or stack.is_changing else self._looks_in_vain + 1
        ended = instances and not any(one.is_alive for one in instances)
        return "ended" if ended or self._looks_in_vain == _LOOKS_IN_VAIN else None

    async def _stack(self, cloudformation: Any) -> TrainingStack | None:
        try:
            answer = await cloudformation.describe_stacks(StackName=self.stack_id)
        except ClientError as error:
            if error_code(error) == "ValidationError" and "does not exist" in error_message(error):
                return None
            raise
        return read_stack(answer["Stacks"][0])

    async def _client(self, service: str) -> Any:
        return await AwsGenericHook(aws_conn_id=self.aws_conn_id, client_type=service).get_async_conn()
