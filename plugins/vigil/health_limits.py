"""The limits of a model's health: the section `health` of the pipeline file."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vigil.windows import WINDOWS_PER_DAY

LONGEST_SPELL_DAYS = 28


class HealthLimits(BaseModel):
    """Says how far from what its evaluation promised a model may be, and for how long.

    Attributes:
        wape_factor: how many times the promised WAPE a day's may be.
        bias_share: how far the bias may lie beyond the promised one, as a share of what is observed.
        coverage_below: how far the coverage may lie below the promised one; 0.02 is two percentage points.
        days: whole days without a break for which a limit must be missed.
        least_windows: a day with fewer judged windows says nothing.
        least_events: a day with fewer events says nothing of WAPE and bias, which then are mostly chance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wape_factor: float = Field(default=1.5, gt=0)
    bias_share: float = Field(default=0.2, gt=0)
    coverage_below: float = Field(default=0.02, gt=0, lt=1)
    days: int = Field(default=3, ge=1)
    least_windows: int = Field(default=WINDOWS_PER_DAY // 2, ge=1)
    least_events: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.wape_factor < 1:
            raise ValueError(
                f"wape_factor ({self.wape_factor:g}) asks a model to be better than its evaluation promised: "
                "set it above 1, and for a better model tighten the gates of the model spec"
            )
        if self.least_windows > WINDOWS_PER_DAY:
            raise ValueError(
                f"least_windows ({self.least_windows}) is more than the {WINDOWS_PER_DAY} windows of a day, "
                "and no day of a series would ever say anything: lower it"
            )
        if self.days > LONGEST_SPELL_DAYS:
            raise ValueError(
                f"days ({self.days}) is longer than the {LONGEST_SPELL_DAYS} days that are looked back on: "
                "lower it"
            )
        return self
