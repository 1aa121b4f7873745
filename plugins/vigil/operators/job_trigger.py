"""Wait for a SageMaker job without a worker slot, and stop it when nobody wants its result any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from vigil.sagemaker_jobs import KINDS, RUNNING, may_pass

_LONGEST_PAUSE_S = 60.0


class SageMakerJobTrigger(BaseTrigger):
    """Fires once a job has ended, or once its deadline has passed, which stops it.

    Args:
        kind: `training_job`, `processing_job` or `transform_job`.
        job_name: which one.
        aws_conn_id: Airflow connection of the AWS account.
        poll_s: seconds between two looks.
        deadline: seconds since the epoch; the same after a restart of the triggerer.
    """

    def __init__(self, *, kind: str, job_name: str, aws_conn_id: str, poll_s: float, deadline: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow types only part of itself
        self.kind = kind
        self.job_name = job_name
        self.aws_conn_id = aws_conn_id
        self.poll_s = poll_s
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what a triggerer needs to build this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "kind": self.kind,
                "job_name": self.job_name,
                "aws_conn_id": self.aws_conn_id,
                "poll_s": self.poll_s,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the job until it has ended or is out of time."""
        async with await self._client() as client:
            pause = self.poll_s
            while True:
                try:
                    status = await self._status(client)
                except (ClientError, BotoCoreError) as error:
                    if not may_pass(error):
                        raise
                    pause = min(pause * 2, _LONGEST_PAUSE_S)
                    self.log.warning("Next look at %s in %g s: %s", self.job_name, pause, error)
                else:
                    pause = self.poll_s
                    if status not in RUNNING:
                        yield TriggerEvent({"job_name": self.job_name, "status": status})
                        return
                if time.time() > self.deadline:
                    await self._stop(client)
                    yield TriggerEvent({"job_name": self.job_name, "status": "TimedOut"})
                    return
                await asyncio.sleep(pause)

    async def on_kill(self) -> None:
        """Stop the job: somebody marked or cleared the task while it was waiting."""
        async with await self._client() as client:
            await self._stop(client)

    async def _client(self) -> Any:
        return await AwsGenericHook(aws_conn_id=self.aws_conn_id, client_type="sagemaker").get_async_conn()

    async def _status(self, client: Any) -> str:
        kind = KINDS[self.kind]
        description = await getattr(client, f"describe_{kind.api_name}")(**{kind.name_field: self.job_name})
        return str(description[kind.status_field])

    async def _stop(self, client: Any) -> None:
        kind = KINDS[self.kind]
        try:
            await getattr(client, f"stop_{kind.api_name}")(**{kind.name_field: self.job_name})
        except ClientError:
            # AWS refuses to stop what has ended; anything else is an error.
            if await self._status(client) in RUNNING:
                raise
        self.log.info("Stopped the %s %s", kind.noun, self.job_name)
