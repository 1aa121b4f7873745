"""Whether an alarm rings, by its datapoints, some of which may be missing.

The rules are those of CloudWatch's guide, "Configuring how CloudWatch alarms treat missing data". Where it is
silent the reading is marked so below.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import ge, gt, le, lt

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
MINUTE_S = 60
# Datapoints that are looked at beyond the evaluation periods, for those that are missing. That they are two
# is inferred from the guide's examples.
_FURTHER_POINTS = 2


@dataclass(frozen=True)
class Sample:
    """One or more values of a metric that were put together.

    Attributes:
        at: when, in seconds since the epoch.
        count: of values.
        total: of them.
        smallest: of them.
        largest: of them.
    """

    at: float
    count: float
    total: float
    smallest: float
    largest: float


STATISTICS: dict[str, Callable[[list[Sample]], float]] = {
    "Average": lambda samples: sum(one.total for one in samples) / sum(one.count for one in samples),
    "Maximum": lambda samples: max(one.largest for one in samples),
    "Minimum": lambda samples: min(one.smallest for one in samples),
    "SampleCount": lambda samples: sum(one.count for one in samples),
    "Sum": lambda samples: sum(one.total for one in samples),
}
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (ge, "greater than or equal to"),
    "GreaterThanThreshold": (gt, "greater than"),
    "LessThanOrEqualToThreshold": (le, "less than or equal to"),
    "LessThanThreshold": (lt, "less than"),
}


@dataclass(frozen=True)
class Rule:
    """What an alarm asks of its metric.

    Attributes:
        statistic: one of STATISTICS.
        period_s: that a datapoint covers.
        periods: datapoints that are compared.
        to_alarm: of these, that must breach.
        comparison: one of COMPARISONS.
        threshold: that they are compared with.
        missing: what stands for a datapoint there is not: missing, ignore, breaching or notBreaching.
    """

    statistic: str
    period_s: int
    periods: int
    to_alarm: int
    comparison: str
    threshold: float
    missing: str

    @property
    def range_s(self) -> int:
        """How far back datapoints are looked for."""
        return (self.periods + _FURTHER_POINTS) * self.period_s

    def is_breached_by(self, value: float) -> bool:
        """Tell whether a datapoint breaches the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Evaluation:
    """The state of an alarm, and why; the data are JSON."""

    state: str
    reason: str
    data: str


@dataclass(frozen=True)
class _Datapoint:
    """A statistic of one period; the newest period's age is 1."""

    age: int
    start: float
    value: float


def evaluate(rule: Rule, samples: Iterable[Sample], now: float, state: str) -> Evaluation:
    """Evaluate an alarm by the periods that have passed since they end with a whole minute.

    Args:
        rule: of the alarm.
        samples: of its metric, in any order.
        now: the present time.
        state: that it is in.
    """
    recent = _datapoints(rule, samples, now)[: rule.periods]
    return Evaluation(_state(rule, recent, state), _reason(rule, recent), _data(rule, recent, now))


def _datapoints(rule: Rule, samples: Iterable[Sample], now: float) -> list[_Datapoint]:
    """Return the datapoints that there are, the newest first."""
    end = now // MINUTE_S * MINUTE_S
    by_age: dict[int, list[Sample]] = {}
    for sample in samples:
        if end - rule.range_s <= sample.at < end:
            by_age.setdefault(math.ceil((end - sample.at) / rule.period_s), []).append(sample)
    statistic = STATISTICS[rule.statistic]
    return [_Datapoint(age, end - age * rule.period_s, statistic(by_age[age])) for age in sorted(by_age)]


def _state(rule: Rule, recent: list[_Datapoint], state: str) -> str:
    breaching = sum(rule.is_breached_by(one.value) for one in recent)
    absent = rule.periods - len(recent)
    if not absent or rule.missing in ("breaching", "notBreaching"):
        taken_to_breach = absent if rule.missing == "breaching" else 0
        return ALARM if breaching + taken_to_breach >= rule.to_alarm else OK
    if not recent:
        return state if rule.missing == "ignore" else INSUFFICIENT_DATA
    if breaching >= rule.to_alarm:
        return ALARM
    if breaching < len(recent):
        return OK
    # Too few, and all of them breach: the next may not, unless what followed the oldest never came.
    if rule.missing == "missing" and recent[-1].age >= rule.to_alarm:
        return ALARM
    return state  # the guide tells only that it is not ALARM at once


def _reason(rule: Rule, recent: list[_Datapoint]) -> str:
    absent = rule.periods - len(recent)
    if not recent and rule.missing in ("missing", "ignore"):
        return f"Insufficient Data: {_datapoints_were(absent)} unknown."
    parts = []
    if recent:
        breaching = sum(rule.is_breached_by(one.value) for one in recent)
        values = ", ".join(f"{one.value} ({_time(one.start):%d/%m/%y %H:%M:%S})" for one in recent)
        compared = f"{COMPARISONS[rule.comparison][1]} the threshold ({rule.threshold})"
        parts.append(f"{breaching} of {_datapoints_were(len(recent))} {compared} [{values}]")
    if absent:
        treated = rule.missing[0].upper() + rule.missing[1:]
        parts.append(f"{_datapoints_were(absent)} missing and treated as [{treated}]")
    return f"Threshold Crossed: {'; '.join(parts)}; {rule.to_alarm} of {rule.periods} to alarm."


def _data(rule: Rule, recent: list[_Datapoint], now: float) -> str:
    oldest_first = recent[::-1]
    return json.dumps(
        {
            "version": "1.0",
            "queryDate": as_text(_time(now)),
            **({"startDate": as_text(_time(oldest_first[0].start))} if recent else {}),
            "statistic": rule.statistic,
            "period": rule.period_s,
            "recentDatapoints": [one.value for one in oldest_first],
            "threshold": rule.threshold,
            "evaluatedDatapoints": [
                {"timestamp": as_text(_time(one.start)), "value": one.value} for one in recent
            ],
        }
    )


def as_text(moment: datetime) -> str:
    """Write a time in UTC as CloudWatch does in what it tells of alarms."""
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{moment.microsecond // 1000:03}+0000"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _datapoints_were(count: int) -> str:
    return f"{count} datapoint was" if count == 1 else f"{count} datapoints were"
