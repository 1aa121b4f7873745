"""Small real SageMaker jobs for tests."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from vigil.aws import Aws

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
XGBOOST = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1"
ENDLESS_ROUNDS = "10000000"
_PROJECT = Path(__file__).resolve().parents[2]


class HeldContainer:
    """A model's container that does not start before it is let go.

    Attributes:
        environment: of the model.
    """

    def __init__(self, folder: Path) -> None:
        self._let_go = folder / "let-go"
        wait = f"import os, time\nwhile not os.path.exists({str(self._let_go)!r}): time.sleep(0.05)\n"
        # Python runs what is so named before anything else.
        (folder / "sitecustomize.py").write_text(wait, encoding="utf-8")
        self.environment = {"PYTHONPATH": f"{folder}{os.pathsep}{_PROJECT}"}

    def let_go(self) -> None:
        """Let it start."""
        self._let_go.touch()


def bucket_with_training_data(aws: Aws) -> str:
    """Return a new bucket that holds a small training set under `train/`."""
    bucket = f"jobs-{uuid.uuid4().hex[:12]}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    random = np.random.default_rng(7)
    features = random.random((200, 3))
    rows = np.column_stack([features.sum(axis=1), features])
    body = "\n".join(",".join(f"{value:.6f}" for value in row) for row in rows)
    s3.put_object(Bucket=bucket, Key="train/train.csv", Body=body.encode())
    return bucket


def training_request(bucket: str, name: str, rounds: str = "5", **hyperparameters: str) -> dict[str, Any]:
    """Return a request for a training job; with `ENDLESS_ROUNDS` it runs until it is stopped."""
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "HyperParameters": {"num_round": rounds, "objective": "reg:squarederror", **hyperparameters},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{bucket}/train/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/models/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def unique(name: str) -> str:
    """Return a job name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:8]}"
