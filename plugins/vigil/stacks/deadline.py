"""When a training stack ends at the latest, and what that costs.

The deadline follows from the configuration and the price at launch, once; it is kept in a tag of the stack,
and every end goes by that tag.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from vigil.errors import SettingsError
from vigil.stacks.config import TerminationMethod, TrainingStackConfig
from vigil.stacks.pricing import HourlyPrice

_MINUTE = timedelta(minutes=1)
# Of a stack that lasts less than this, a minute is too much to take away.
_SHORT_S = 240
# EC2 bills a minute at least.
_LEAST_BILLED_S = 60.0
# To make the instance's profile takes AWS two minutes, to boot one, and now and then more.
_USUAL_BOOT_S = 300

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Allowance:
    """How long a stack may exist.

    Attributes:
        seconds: from the launch to the deadline.
        limited_by: what the deadline comes from: `time-limit`, `cost-limit` or `maximum-hours`.
    """

    seconds: int
    limited_by: str

    @property
    def is_asked_for(self) -> bool:
        """Tell whether to reach the deadline is what was asked for, and no failure."""
        return self.limited_by != "maximum-hours"

    def estimate_usd(self, price: HourlyPrice) -> float:
        """Return the most that the stack costs, in USD."""
        return cost_usd(price, self.seconds)


def allowance(config: TrainingStackConfig, price: HourlyPrice) -> Allowance:
    """Return how long a stack may exist, by its method, its limits and the price.

    A cost limit lasts as long as instance and volume cost less than it from the moment of the launch on, so
    that boot is paid out of it too.

    Raises:
        SettingsError: the time is over before a script could end in good order.
    """
    most = math.floor(config.longest_h * 3600)
    if config.termination_method is TerminationMethod.AT_FIXED_TIME:
        wanted = Allowance(math.floor((config.time_limit or 0) * 3600), "time-limit")
    elif config.termination_method is TerminationMethod.AROUND_COST_THRESHOLD:
        lasts_h = (config.cost_limit or 0) / price.usd
        wanted = Allowance(math.floor(min(lasts_h, config.longest_h + 1) * 3600), "cost-limit")
    else:
        wanted = Allowance(most, "maximum-hours")
    allowed = wanted if wanted.seconds <= most else Allowance(most, "maximum-hours")
    if allowed.seconds <= config.grace_seconds:
        raise SettingsError(
            f"{config.training_job_name}: {allowed.limited_by} leaves {allowed.seconds} s from launch to end "
            f"at {price.usd:.4g} USD an hour, and the script is asked to end {config.grace_seconds} s before "
            f"that: raise {allowed.limited_by}, or lower grace-seconds."
        )
    if allowed.seconds < config.grace_seconds + _USUAL_BOOT_S:
        log.warning(
            "%s: %s leaves %d s from launch to end, and AWS takes some minutes to begin: the script may be "
            "asked to end as it begins.",
            config.training_job_name,
            allowed.limited_by,
            allowed.seconds,
        )
    return allowed


def cost_usd(price: HourlyPrice, seconds: float) -> float:
    """Return what an instance and its volume cost that were there for so long, in USD."""
    return price.usd * max(seconds, _LEAST_BILLED_S) / 3600


def deadline_of(allowed: Allowance, launched_at: datetime) -> datetime:
    """Return when a stack ends at the latest: a full minute, unless it lasts a few minutes only.

    A schedule knows minutes, and comes at some second of its own. With the deadline on the minute it never
    comes before it, when the script is still saving.
    """
    exact = launched_at.replace(microsecond=0) + timedelta(seconds=allowed.seconds)
    return exact if allowed.seconds < _SHORT_S else exact.replace(second=0)


def schedule_minute(deadline: datetime, now: datetime) -> datetime:
    """Return the minute that a stack's schedule is set to: the last full one before the deadline, or its own.

    A schedule must lie ahead when the stack makes it: of a run of a few minutes it is set to the minute after
    the next, the earliest that surely does.
    """
    last = deadline.replace(second=0, microsecond=0)
    earliest = now.replace(second=0, microsecond=0) + 2 * _MINUTE
    return max(last, earliest)
