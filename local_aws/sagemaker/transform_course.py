"""What a transform job does: serve the model, send it every object, put the answers beside the rows."""

from __future__ import annotations

import http.client
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from local_aws.clients import below_prefix, encryption, split_uri
from local_aws.sagemaker.columns import Choose, column_filter, join_columns, split_columns
from local_aws.sagemaker.errors import algorithm_error, client_error
from local_aws.sagemaker.inputs import objects
from local_aws.sagemaker.jobs import Job
from local_aws.sagemaker.logs import LogStream
from local_aws.sagemaker.model_server import ModelServer, start_model_server
from local_aws.sagemaker.store import Record

_STARTUP_LIMIT_S = 60.0
_DEFAULT_PAYLOAD_MB = 6
_MAX_PAYLOAD = 100 << 20
_CSV = "text/csv"


@dataclass(frozen=True)
class Plan:
    """A transform job's parameters, with the cloud's defaults."""

    record: Record

    @property
    def splits(self) -> bool:
        """Whether objects are sent line by line or in batches of lines, not whole."""
        return bool(self.record["TransformInput"].get("SplitType", "None") == "Line")

    @property
    def joins(self) -> bool:
        """Whether the answers are put behind the input's columns."""
        return bool(self._processing.get("JoinSource", "None") == "Input")

    @property
    def batch_lines(self) -> int | None:
        """How many lines go into a batch at most."""
        return 1 if self.record.get("BatchStrategy", "MultiRecord") == "SingleRecord" else None

    @property
    def payload_limit(self) -> int:
        """How many bytes a batch may have."""
        megabytes = self.record.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MB)
        return megabytes << 20 if megabytes else _MAX_PAYLOAD

    @property
    def content_type(self) -> str:
        """What the input is."""
        return str(self.record["TransformInput"].get("ContentType", _CSV))

    @property
    def headers(self) -> dict[str, str]:
        """What the model is told of the payload and the wanted answer."""
        accept = self.record["TransformOutput"].get("Accept")
        return {"Content-Type": self.content_type} | ({"Accept": accept} if accept else {})

    @cached_property
    def input_filter(self) -> Choose | None:
        """Which columns the model gets."""
        return self._filter("InputFilter")

    @cached_property
    def output_filter(self) -> Choose | None:
        """Which columns are written."""
        return self._filter("OutputFilter")

    @property
    def _processing(self) -> dict[str, Any]:
        processing: dict[str, Any] = self.record.get("DataProcessing", {})
        return processing

    def _filter(self, name: str) -> Choose | None:
        path = self._processing.get(name, "$")
        if path != "$" and self.content_type.split(";")[0] != _CSV:
            raise client_error(f"The embedded AWS filters {_CSV} only, not {self.content_type}")
        return None if path == "$" else column_filter(path)


def transform(job: Job) -> None:
    """Serve the model and transform every object of the input."""
    plan = Plan(job.record())
    s3 = job.clients.get("s3", job.region)
    source = plan.record["TransformInput"]["DataSource"]["S3DataSource"]
    uris = objects(s3, source)
    _, prefix = split_uri(source["S3Uri"])
    output = plan.record["TransformOutput"]
    target_bucket, target_prefix = split_uri(output["S3OutputPath"])
    with _model(job, plan.record) as server:
        for uri in uris:
            job.check_stop()
            bucket, key = split_uri(uri)
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            name = below_prefix(key, prefix) if source["S3DataType"] == "S3Prefix" else key.rsplit("/", 1)[-1]
            target = "/".join(part for part in (target_prefix.rstrip("/"), f"{name}.out") if part)
            answers = _transform_object(job, server, plan, body)
            s3.put_object(Bucket=target_bucket, Key=target, Body=answers, **encryption(output))


def end(job: Job, outcome: Record) -> None:
    """Write the job's last record."""
    job.change(**outcome)


@contextmanager
def _model(job: Job, record: Record) -> Iterator[ModelServer]:
    logs = job.clients.get("logs", job.region)
    server = start_model_server(
        record["_container"],
        s3=job.clients.get("s3", job.region),
        environment=job.clients.environment(job.region) | record.get("Environment", {}),
        directory=Path(tempfile.mkdtemp(dir=job.directory)),
        log=LogStream(logs, job.kind.log_group, f"{job.name}/i-{job.name[-8:]}"),
        reaper=job.reaper,
    )
    try:
        job.start(lambda: server.container)
        if not server.wait_until_healthy(_STARTUP_LIMIT_S):
            job.check_stop()
            raise client_error("The primary container did not pass the ping health check. See job logs")
        yield server
    finally:
        server.stop()


def _transform_object(job: Job, server: ModelServer, plan: Plan, body: bytes) -> bytes:
    if not plan.splits:
        return _ask(job, server, plan, body)
    lines = [line for line in body.decode().splitlines() if line.strip()]
    out: list[str] = []
    for batch in _batches(lines, plan):
        sent = (
            [join_columns(plan.input_filter(split_columns(line))) for line in batch]
            if plan.input_filter
            else batch
        )
        answer = _ask(job, server, plan, ("\n".join(sent) + "\n").encode()).decode()
        out += _assembled(plan, batch, answer)
    if plan.record["TransformOutput"].get("AssembleWith") == "Line":
        return "".join(f"{line}\n" for line in out).encode()
    return "".join(out).encode()


def _assembled(plan: Plan, lines: Sequence[str], answer: str) -> list[str]:
    answers = answer.splitlines()
    if len(answers) != len(lines):
        if plan.joins or plan.output_filter:
            raise client_error(
                f"The model answered {len(answers)} lines for {len(lines)} rows: they cannot be joined"
            )
        return [answer.rstrip("\n")]
    if plan.joins:
        answers = [f"{line},{one}" for line, one in zip(lines, answers, strict=True)]
    if plan.output_filter:
        answers = [join_columns(plan.output_filter(split_columns(line))) for line in answers]
    return answers


def _ask(job: Job, server: ModelServer, plan: Plan, payload: bytes) -> bytes:
    job.check_stop()
    try:
        answer = server.invoke(payload, plan.headers)
    except (OSError, http.client.HTTPException) as error:
        job.check_stop()
        raise algorithm_error(f"The model's container went away: {error}") from error
    if answer.status >= http.client.BAD_REQUEST:
        raise client_error(
            f"See job logs for more information. Bad HTTP status received from algorithm: {answer.status}"
            f" ({answer.body.decode(errors='replace')[:500]})"
        )
    return answer.body


def _batches(lines: Sequence[str], plan: Plan) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode()) + 1
        if length > plan.payload_limit:
            raise client_error(f"A record of {length} bytes exceeds MaxPayloadInMB")
        if batch and (size + length > plan.payload_limit or len(batch) == plan.batch_lines):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += length
    if batch:
        yield batch
