"""The part of the pipeline file that says what one incident is, and when nobody is to be told."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from vigil.detection.incidents.incident import IncidentRules
from vigil.detection.incidents.mutes import Mute
from vigil.detection.options import Instant, Options

PATTERN = r"^[A-Za-z0-9._*?\[\]!:-]{1,100}$"
REASON_LIMIT = 400


class IncidentOptions(Options):
    """Says what one incident is, and what is told of it.

    Attributes:
        closes_after_min: minutes of calm after which an incident is closed.
        reopens_within_h: hours after the last anomalous window in which the next one reopens it.
        tell_worse: tell when an incident grows much worse than was told.
        remind_every_h: hours after which people are told that it goes on; never by default.
        mass_series: so many series that break within a quarter of an hour are told of in one message.
        mass_share: if they are such a share of the live series, too.
    """

    closes_after_min: float = Field(default=60, gt=0)
    reopens_within_h: float = Field(default=12, ge=0)
    tell_worse: bool = True
    remind_every_h: float | None = Field(default=None, gt=0)
    mass_series: int = Field(default=20, ge=2)
    mass_share: float = Field(default=0.02, ge=0, le=1)

    @property
    def closes_after(self) -> timedelta:
        """Return the calm after which an incident is closed."""
        return timedelta(minutes=self.closes_after_min)

    def rules(self, threshold: float) -> IncidentRules:
        """Return the rules of incidents.

        Args:
            threshold: rarity from which on windows are anomalous.
        """
        return IncidentRules(
            threshold=threshold,
            closes_after=self.closes_after,
            reopens_within=timedelta(hours=self.reopens_within_h),
            tell_worse=self.tell_worse,
            remind_every=None if self.remind_every_h is None else timedelta(hours=self.remind_every_h),
        )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if 0 < self.reopens_within_h < self.closes_after_min / 60:
            raise ValueError(
                f"reopens_within_h ({self.reopens_within_h:g} h) is over before an incident closes "
                f"(closes_after_min is {self.closes_after_min:g}): raise it, or set it to 0 for never"
            )
        return self


class Maintenance(Options):
    """Names a time in which nothing is told of some series.

    Attributes:
        series: pattern of their names, as in `orders*`; `source:shop` is the silence of a source.
        starts: first moment; `from` in the file.
        ends: first moment after it; `to` in the file.
        reason: why; kept with the incidents of that time.
    """

    series: str = Field(pattern=PATTERN)
    starts: Instant = Field(alias="from")
    ends: Instant = Field(alias="to")
    reason: str = Field(min_length=1, max_length=REASON_LIMIT)

    @property
    def mute(self) -> Mute:
        """Return it as a mute."""
        return Mute(self.series, self.starts, self.ends, f"maintenance: {self.reason}")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.ends <= self.starts:
            raise ValueError("'to' must be later than 'from'")
        return self
