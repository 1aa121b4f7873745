"""What moto lacks or does differently from the cloud, put right one service a module."""

from __future__ import annotations

from local_aws.moto_patches import memory
from local_aws.sagemaker.service import SageMaker


def apply(sagemaker: SageMaker) -> None:
    """Patch moto, once a process."""
    memory.apply()
