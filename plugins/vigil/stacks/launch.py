"""One launch of a training stack: everything that is settled before anything is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vigil.aws import S3Location
from vigil.stacks.config import TrainingStackConfig
from vigil.stacks.deadline import Allowance
from vigil.stacks.pricing import HourlyPrice

FOLDER = "training-stacks"


@dataclass(frozen=True)
class MachineImage:
    """The image that the instance starts from.

    Attributes:
        id: as in `ami-0123`.
        root_device: name of its volume.
        platform: system that it is billed as, as in `Linux/UNIX`.
    """

    id: str
    root_device: str
    platform: str


@dataclass(frozen=True)
class Launch:
    """One launch of a training stack.

    Attributes:
        id: the same for each retry of one DAG run; another for another script or configuration.
        dag_id: DAG that launches.
        run_id: run of it.
        config: of the stack.
        bucket: that script, log, output and result lie in.
        script: name of the script.
        image: that the instance starts from.
        price: of instance and volume.
        allowance: how long the stack may exist.
    """

    id: str
    dag_id: str
    run_id: str
    config: TrainingStackConfig
    bucket: str
    script: str
    image: MachineImage
    price: HourlyPrice
    allowance: Allowance

    @property
    def name(self) -> str:
        """Return the name of job and stack."""
        return self.config.training_job_name

    @property
    def job_folder(self) -> S3Location:
        """Return where all launches of the job keep what is theirs."""
        return S3Location(self.bucket, f"{FOLDER}/{self.name}")

    @property
    def folder(self) -> S3Location:
        """Return where script, log, output and result of this launch lie."""
        return self.job_folder / self.id

    def to_json(self) -> dict[str, Any]:
        """Return the launch as it goes from task to task."""
        return asdict(self) | {"config": self.config.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Launch:
        """Read what `to_json` wrote."""
        return cls(
            **{
                **content,
                "config": TrainingStackConfig.model_validate(content["config"]),
                "image": MachineImage(**content["image"]),
                "price": HourlyPrice(**content["price"]),
                "allowance": Allowance(**content["allowance"]),
            }
        )

    def lines(self) -> list[str]:
        """Return what a person wants to know of the launch before it happens."""
        config, price = self.config, self.price
        estimate = self.allowance.estimate_usd(price)
        return [
            f"stack            {self.name}, launch {self.id}",
            f"script           {self.script} {' '.join(config.arguments)}".rstrip(),
            f"instance         {config.instance_type}, {config.purchase}, {self.image.id}",
            f"volume           {config.volume_size_gb} GB {config.volume_type}",
            f"price            {price.usd:.4f} USD an hour ({price.source}; volume {price.volume_usd:.4f})",
            f"method           {config.termination_method.value}",
            f"ends at latest   {self.allowance.seconds} s after the launch, by {self.allowance.limited_by}",
            f"costs at most    {estimate:.4f} USD",
            f"kept in          {self.folder}",
        ]
