"""When a schedule is due, told from its expression."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


class ExpressionError(ValueError):
    """The refusal of an expression or a time zone, in the cloud's words where they are known."""


class Timetable(Protocol):
    """The moments at which a schedule is due, as seconds since the epoch."""

    def latest(self, now: float) -> float | None:
        """Give the last moment up to now, if there was one."""

    def following(self, now: float) -> float | None:
        """Give the first moment after now, if there is one."""


@dataclass(frozen=True)
class Once:
    """One moment; one that has passed already when the schedule is made is due at once."""

    moment: float

    def latest(self, now: float) -> float | None:
        """Give the moment when it has come."""
        return self.moment if self.moment <= now else None

    def following(self, now: float) -> float | None:
        """Give the moment while it is to come."""
        return self.moment if self.moment > now else None


@dataclass(frozen=True)
class Every:
    """A moment each period, the first at `first`, none after `end`."""

    first: float
    period_s: float
    end: float | None = None

    def latest(self, now: float) -> float | None:
        """Give the last moment: of those that were missed, none but this one is made up for."""
        until = now if self.end is None else min(now, self.end)
        if until < self.first:
            return None
        return self.first + (until - self.first) // self.period_s * self.period_s

    def following(self, now: float) -> float | None:
        """Give the next moment before the end."""
        latest = self.latest(now)
        moment = self.first if latest is None else latest + self.period_s
        return moment if moment > now and (self.end is None or moment <= self.end) else None


def timetable(
    expression: str, zone: str, armed_at: float, start: float | None = None, end: float | None = None
) -> Timetable:
    """Read a schedule's expression.

    Args:
        expression: `at(...)` or `rate(...)`.
        zone: IANA name of the time zone that `at(...)` is told in.
        armed_at: when the schedule was made or last changed.
        start: of a rate; ignored for a single moment, as in the cloud.
        end: of a rate; ignored likewise.

    Raises:
        ExpressionError: it cannot be read, or is of a kind that the embedded AWS does not know.
    """
    if at := _AT.fullmatch(expression):
        return Once(_moment(at.group(1), expression, zone))
    if rate := _RATE.fullmatch(expression):
        period_s = int(rate.group(1)) * _SECONDS[rate.group(2)]
        if start is None:
            return Every(armed_at + period_s, period_s, end)
        # What was due before the schedule was armed is nobody's business any more.
        missed = max(0, -(-(armed_at - start) // period_s))
        return Every(start + missed * period_s, period_s, end)
    if expression.startswith("cron("):
        raise ExpressionError(f"The embedded AWS knows at() and rate(), not {expression}.")
    raise ExpressionError(f"Invalid Schedule Expression {expression}.")


def _moment(text: str, expression: str, zone: str) -> float:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()
    except (ZoneInfoNotFoundError, OSError) as error:  # a directory of zones is no zone
        raise ExpressionError(f"Invalid Schedule Expression Timezone {zone}.") from error
    except ValueError as error:
        raise ExpressionError(f"Invalid Schedule Expression {expression}.") from error
