"""Asks a model by SageMaker Batch Transform, about too many windows for the endpoint of live ones."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from numpy.typing import NDArray

from vigil.aws import S3Location, aws_name, content_hash
from vigil.detection.expectations.predicting import Predictions
from vigil.errors import CloudError
from vigil.predictions import CSV, predictions_of, request_body
from vigil.released_models import ReleasedModel
from vigil.sagemaker_jobs import (
    RUNNING,
    TRANSFORM,
    describe,
    encrypted,
    may_pass,
    result_of,
    start_or_adopt,
    stop_all_attempts,
)

_ROWS_AT_ONCE = 10_000
_INPUT = "input.csv"
_HASH_DIGITS = 12

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machines:
    """What a transform job runs on.

    Attributes:
        instance_type: as in ml.m5.large.
        instance_count: of them.
        max_runtime_s: after so long the job is stopped.
    """

    instance_type: str
    instance_count: int
    max_runtime_s: float


@dataclass
class TransformPredictor:
    """Runs one transform job for each question.

    A job's name follows from run, version and rows, so that a task that was killed and tries again adopts
    the job of its first try.

    Attributes:
        sagemaker: client.
        s3: client.
        prefix: below which inputs and outputs lie, until the bucket's lifecycle removes them.
        run: that asks, as it stands in names.
        model: that is asked.
        machines: that it runs on.
        poll_interval_s: between two looks at the job.
        key: KMS key that the job encrypts its answers with, if one is set.
    """

    sagemaker: Any
    s3: Any
    prefix: S3Location
    run: str
    model: ReleasedModel
    machines: Machines
    poll_interval_s: float
    key: str | None
    _asked: str | None = field(default=None, init=False)

    def predict(self, features: NDArray[np.float64]) -> Predictions:
        """Return what the model expects of n windows.

        Raises:
            CloudError: the job failed, was stopped or took too long, or its answer cannot be used.
        """
        if not len(features):
            return Predictions(np.empty(0), [], 0)
        with tempfile.TemporaryFile() as file:
            # Another version may serve when the run is tried again: its answers are other ones.
            digest = content_hash([self.model.model_version, _write(file, features)], _HASH_DIGITS)
            place = self.prefix / self.run / digest
            file.seek(0)
            self.s3.upload_fileobj(file, place.bucket, (place / _INPUT).key)
        self._asked = aws_name(self.model.model, f"judge-{self.run}-{digest}")
        name = start_or_adopt(self.sagemaker, TRANSFORM, self._request(self._asked, place))
        log.info("%d windows are judged by the transform job %s", len(features), name)
        self._wait(name)
        self._asked = None
        expected = self._answer(place, len(features))
        return Predictions(np.array(expected), [self.model.variant] * len(features), 1)

    def stop(self) -> None:
        """Stop the job that is waited for, if one is."""
        if self._asked:
            stop_all_attempts(self.sagemaker, TRANSFORM, self._asked)

    def _request(self, name: str, place: S3Location) -> dict[str, Any]:
        return {
            "TransformJobName": name,
            "ModelName": self.model.sagemaker_model,
            "BatchStrategy": "MultiRecord",
            "MaxPayloadInMB": 6,
            "TransformInput": {
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": str(place / _INPUT)},
                },
                "ContentType": CSV,
                "SplitType": "Line",
            },
            "TransformOutput": {
                "S3OutputPath": str(place),
                "Accept": CSV,
                "AssembleWith": "Line",
                **encrypted(self.key),
            },
            "TransformResources": {
                "InstanceType": self.machines.instance_type,
                "InstanceCount": self.machines.instance_count,
            },
            "Tags": [
                {"Key": "vigil:model", "Value": self.model.model},
                {"Key": "vigil:run", "Value": self.run},
            ],
        }

    def _wait(self, name: str) -> None:
        """Wait for the end of a job, and stop one that takes too long: SageMaker itself sets no limit."""
        deadline = time.monotonic() + self.machines.max_runtime_s
        while True:
            try:
                description = describe(self.sagemaker, TRANSFORM, name)
            except (ClientError, BotoCoreError) as error:
                if not may_pass(error):
                    raise
                description = {"TransformJobStatus": RUNNING[0]}
            if description and description["TransformJobStatus"] not in RUNNING:
                result_of(TRANSFORM, description)
                return
            if time.monotonic() > deadline:
                stop_all_attempts(self.sagemaker, TRANSFORM, name)
                raise CloudError(
                    f"The transform job {name} took longer than {self.machines.max_runtime_s / 60:g} min "
                    "and was stopped: raise bulk.max_runtime_min or bulk.instance_count in the pipeline file."
                )
            time.sleep(self.poll_interval_s)

    def _answer(self, place: S3Location, rows: int) -> list[float]:
        output = place / f"{_INPUT}.out"
        try:
            body = self.s3.get_object(Bucket=output.bucket, Key=output.key)["Body"].read()
        except self.s3.exceptions.NoSuchKey as error:
            raise CloudError(
                f"The transform job is done, and its output {output} is gone: trigger a new run."
            ) from error
        return predictions_of(body.strip(), CSV, rows)


def _write(file: BinaryIO, features: NDArray[np.float64]) -> str:
    """Write rows as CSV; return a hash of them."""
    digest = hashlib.sha256()
    for start in range(0, len(features), _ROWS_AT_ONCE):
        text = request_body(features[start : start + _ROWS_AT_ONCE].tolist()) + b"\n"
        digest.update(text)
        file.write(text)
    return digest.hexdigest()
