"""What moto keeps of alarms and metrics, as their evaluation takes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatum, MetricDatumBase

from local_aws.alarms.evaluation import COMPARISONS, STATISTICS, Rule, Sample

Metric = tuple[Any, ...]


def rule_of(alarm: Alarm) -> Rule | None:
    """Return what an alarm asks, or None of one that is not evaluated."""
    is_on_a_metric = alarm.rule is None and not alarm.metric_data_queries and alarm.period
    if (
        not is_on_a_metric
        or alarm.statistic not in STATISTICS
        or alarm.comparison_operator not in COMPARISONS
    ):
        return None
    return Rule(
        statistic=alarm.statistic,
        period_s=int(alarm.period),
        periods=int(alarm.evaluation_periods),
        to_alarm=int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        missing=alarm.treat_missing_data or "missing",
    )


def metric_of(described: Alarm | MetricDatumBase) -> Metric:
    """Return what tells a metric from others."""
    name = described.metric_name if isinstance(described, Alarm) else described.name
    return described.namespace, name, frozenset((one.name, one.value) for one in described.dimensions)


def samples_since(backend: CloudWatchBackend, oldest: float) -> Mapping[Metric, Iterable[tuple[str, Sample]]]:
    """Return the units and samples of each metric that are not older than a time."""
    found = defaultdict(list)
    for datum in list(backend.metric_data):
        sample = _sample(datum)
        if sample.count and sample.at >= oldest:
            found[metric_of(datum)].append((datum.unit, sample))
    return found


def _sample(datum: Any) -> Sample:
    at = datum.timestamp.replace(tzinfo=UTC).timestamp()
    if isinstance(datum, MetricDatum):
        return Sample(at, 1, datum.value, datum.value, datum.value)
    return Sample(at, datum.sample_count, datum.sum, datum.min, datum.max)
