"""What SageMaker does and keeps for an environment, found by the role that it runs as: names are the user's.

All of it may end by itself, or be ended by somebody, between two calls: what is gone is what was wanted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy.errors import DeployError
from vigil.sagemaker_jobs import PROCESSING, TRAINING, TRANSFORM, JobKind, describe, is_missing, stop

# In motion, AWS lets nobody delete an endpoint.
_IN_MOTION = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
_ENDPOINT_LIMIT_S = 3600


@dataclass(frozen=True)
class SageMakerWork:
    """Jobs, endpoints and models of one role.

    Attributes:
        sagemaker: client.
        role: ARN of the role.
        tell: is told each step, a line at a time.
        poll_s: seconds between two looks at an endpoint.
    """

    sagemaker: Any
    role: str
    tell: Callable[[str], None]
    poll_s: float = 5.0

    def end(self) -> None:
        """Stop the jobs, and delete endpoints, their configurations and models.

        Raises:
            DeployError: an endpoint is in motion for too long.
        """
        for kind in (TRAINING, PROCESSING):
            self._stop_jobs(kind, lambda job: bool(job["RoleArn"] == self.role))
        models = {name for name in self._names("model") if self._role_of(name) == self.role}
        self._stop_jobs(TRANSFORM, lambda job: job["ModelName"] in models)
        configs = {name for name in self._names("endpoint_config") if self._models_of(name) & models}
        for name in self._names("endpoint"):
            endpoint = _asked(self.sagemaker.describe_endpoint, EndpointName=name)
            if endpoint.get("EndpointConfigName") in configs:
                self._delete_endpoint(name)
        for name in sorted(configs):
            _asked(self.sagemaker.delete_endpoint_config, EndpointConfigName=name)
        for name in sorted(models):
            _asked(self.sagemaker.delete_model, ModelName=name)

    def _stop_jobs(self, kind: JobKind, is_ours: Callable[[dict[str, Any]], bool]) -> None:
        pages = self.sagemaker.get_paginator(f"list_{kind.api_name}s").paginate(StatusEquals="InProgress")
        summaries = f"{kind.name_field.removesuffix('Name')}Summaries"
        for name in [one[kind.name_field] for page in pages for one in page[summaries]]:
            job = describe(self.sagemaker, kind, name)
            if job and is_ours(job):
                self.tell(f"stopping the {kind.noun} {name}")
                stop(self.sagemaker, kind, name)

    def _delete_endpoint(self, name: str) -> None:
        self.tell(f"deleting the endpoint {name}")
        deadline = time.monotonic() + _ENDPOINT_LIMIT_S
        while (status := self._status_of(name)) in _IN_MOTION:
            if time.monotonic() > deadline:
                raise DeployError(
                    f"The endpoint {name} has been {status} for an hour, and cannot be deleted: look at it "
                    "in SageMaker, and destroy again."
                )
            time.sleep(self.poll_s)
        _asked(self.sagemaker.delete_endpoint, EndpointName=name)

    def _status_of(self, endpoint: str) -> str:
        answer = _asked(self.sagemaker.describe_endpoint, EndpointName=endpoint)
        return str(answer.get("EndpointStatus", "gone"))

    def _role_of(self, model: str) -> str:
        answer = _asked(self.sagemaker.describe_model, ModelName=model)
        return str(answer.get("ExecutionRoleArn", ""))

    def _models_of(self, config: str) -> set[str]:
        answer = _asked(self.sagemaker.describe_endpoint_config, EndpointConfigName=config)
        variants = answer.get("ProductionVariants", [])
        return {variant["ModelName"] for variant in variants if "ModelName" in variant}

    def _names(self, kind: str) -> Iterator[str]:
        noun = "".join(part.title() for part in kind.split("_"))
        for page in self.sagemaker.get_paginator(f"list_{kind}s").paginate():
            yield from [one[f"{noun}Name"] for one in page[f"{noun}s"]]


def _asked(operation: Callable[..., dict[str, Any]], **name: str) -> dict[str, Any]:
    """Call for something by its name; nothing comes back of what is gone."""
    try:
        return operation(**name)
    except ClientError as error:
        if is_missing(error):
            return {}
        raise
