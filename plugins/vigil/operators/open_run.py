"""What every task of a training run works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from structlog.contextvars import bind_contextvars

from vigil.operators.environment import load_settings, open_aws

if TYPE_CHECKING:
    from vigil.aws import Aws
    from vigil.settings import Settings
    from vigil.training.request import TrainingRun
    from vigil.training.resolving import TrainingRequest
    from vigil.training.spec.model import ModelSpec


@dataclass(frozen=True)
class OpenRun:
    """What every task of a training run works with."""

    settings: Settings
    aws: Aws
    request: TrainingRequest

    @property
    def spec(self) -> ModelSpec:
        """Return the model spec with everything that was said of this run."""
        return self.request.spec

    @property
    def run(self) -> TrainingRun:
        """Return the names of everything the run makes."""
        return self.request.run

    @property
    def s3(self) -> Any:
        """Return the client of S3."""
        return self.aws.client("s3")

    @property
    def sagemaker(self) -> Any:
        """Return the client of SageMaker."""
        return self.aws.client("sagemaker")

    @property
    def where(self) -> dict[str, str]:
        """Return the role that SageMaker takes and the region of its images."""
        return {"role": self.settings.sagemaker_role_arn, "region": self.aws.session.region_name}


def open_run(request: Mapping[str, Any]) -> OpenRun:
    """Return settings, clients and the resolved request of a run."""
    from vigil.training.resolving import TrainingRequest

    settings = load_settings()
    opened = OpenRun(settings, open_aws(settings), TrainingRequest.from_json(request))
    # From here on every line of the task's log says which model it is about.
    bind_contextvars(model=opened.run.model)
    return opened
