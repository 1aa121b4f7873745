"""The part of a model spec that says where the champion serves, and how a new one takes over."""

from __future__ import annotations

from math import ceil
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from vigil.training.spec.part import INSTANCE, NAME, Part


class Serverless(Part):
    """An endpoint without machines of its own.

    Attributes:
        memory_mb: of each worker.
        max_concurrency: calls at the same time.
    """

    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    max_concurrency: int = Field(default=5, ge=1, le=200)


class Shifting(Part):
    """How calls move from the old machines to the new ones.

    Attributes:
        traffic: `all_at_once`; `canary`, first a part and then the rest; or `linear`, in equal steps.
        step_percent: of the machines that take calls first, or with each step.
        wait_s: between two steps, while alarms are watched.
        bake_s: after the last step, while alarms are watched and the old machines are kept.
        alarms: names of CloudWatch alarms, any of which takes everything back.
        longest_s: after which everything is taken back.
    """

    traffic: Literal["all_at_once", "canary", "linear"] = "all_at_once"
    step_percent: int | None = Field(default=None, ge=1, le=50)
    wait_s: int = Field(default=0, ge=0, le=3600)
    bake_s: int = Field(default=0, ge=0, le=3600)
    alarms: tuple[str, ...] = Field(default=(), max_length=10)
    longest_s: int = Field(default=3600, ge=600, le=14400)

    @model_validator(mode="after")
    def _steps_make_sense(self) -> Self:
        if self.traffic == "all_at_once" and (self.step_percent or self.wait_s):
            raise ValueError(
                "step_percent and wait_s are for canary and linear shifting: remove them, or choose one of "
                "the two as traffic"
            )
        if self.traffic != "all_at_once" and not self.step_percent:
            raise ValueError(f"{self.traffic} shifting needs step_percent, the part that moves first")
        if self.traffic == "linear" and self.step_percent is not None and self.step_percent < 10:
            raise ValueError("linear shifting takes steps of 10 to 50 percent: raise step_percent")
        if self.alarms and not (self.wait_s or self.bake_s):
            raise ValueError("alarms are watched during wait_s and bake_s, and both are 0: raise one of them")
        # A hundred machines can be parted as any percentage wants it.
        self.refuse_waits_that_do_not_fit(instances=100)
        return self

    def refuse_waits_that_do_not_fit(self, instances: int) -> None:
        """Check that there is time for all waits with so many machines.

        Raises:
            ValueError: there is not.
        """
        waits_s = self.wait_s + self.bake_s
        if self.traffic == "linear" and self.step_percent:
            # A step is whole machines, so that there may be more steps than the percentage says.
            step = max(1, instances * self.step_percent // 100)
            waits_s = (ceil(instances / step) - 1) * self.wait_s + self.bake_s
        if waits_s >= self.longest_s:
            raise ValueError(
                f"the waits of {self.traffic} shifting and bake_s ({waits_s} s together) do not fit "
                f"into longest_s ({self.longest_s} s): raise it"
            )


class Endpoint(Part):
    """Where the champion serves: on instances, or serverless.

    Attributes:
        name: of the endpoint; it stays the same from release to release.
        instance_type: SageMaker instance type.
        instance_count: how many.
        serverless: in place of the two.
        shifting: how calls move to a new model.
        keep_days: that the configurations and models of earlier releases are kept.
    """

    name: str = Field(pattern=NAME, max_length=63)
    instance_type: str | None = Field(default=None, pattern=INSTANCE)
    instance_count: int | None = Field(default=None, ge=1)
    serverless: Serverless | None = None
    shifting: Shifting = Shifting()
    keep_days: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _one_way_to_serve(self) -> Self:
        if self.serverless and (self.instance_type or self.instance_count):
            raise ValueError(
                "serverless and instance_type or instance_count exclude each other: remove one of the two"
            )
        if not self.serverless and not self.instance_type:
            raise ValueError("how it serves is not said: give instance_type, or serverless")
        return self

    @model_validator(mode="after")
    def _shifting_fits(self) -> Self:
        traffic = self.shifting.traffic
        if self.serverless and (self.shifting.bake_s or self.shifting.alarms):
            raise ValueError(
                "a serverless endpoint has no old machines to keep: remove shifting.bake_s and "
                "shifting.alarms, or choose instances"
            )
        if traffic == "all_at_once":
            return self
        if self.serverless:
            raise ValueError(
                f"a serverless endpoint has no machines to shift by {traffic}: choose all_at_once, or "
                "instances"
            )
        if (self.instance_count or 1) < 2:
            raise ValueError(
                f"{traffic} shifting needs two instances or more, or there is nothing to take a part of: "
                "raise instance_count, or choose all_at_once"
            )
        self.shifting.refuse_waits_that_do_not_fit(self.instance_count or 1)
        return self

    @property
    def hosting(self) -> dict[str, Any]:
        """Return the fields of a production variant that say how it serves."""
        if self.serverless:
            return {
                "ServerlessConfig": {
                    "MemorySizeInMB": self.serverless.memory_mb,
                    "MaxConcurrency": self.serverless.max_concurrency,
                }
            }
        return {"InstanceType": self.instance_type, "InitialInstanceCount": self.instance_count or 1}
