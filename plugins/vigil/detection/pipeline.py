"""The pipeline settings: which sources there are, and which model judges them.

`load_pipeline` reads `include/configs/pipeline.yaml` or a file like it, checks it once, and gives frozen
objects. Times in the file carry a zone; here, as everywhere, they are naive UTC.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from vigil.detection.events import is_series_name
from vigil.detection.expectations.rules import RarityRule, StandardDeviationsRule
from vigil.detection.incident_options import IncidentOptions, Maintenance
from vigil.detection.options import Instant, Options
from vigil.errors import SettingsError
from vigil.health_limits import HealthLimits
from vigil.paths import configs_dir
from vigil.settings import explain


def _series_name(name: str) -> str:
    if not is_series_name(name):
        raise ValueError("use letters, digits, dots, hyphens and underscores, at most 64")
    return name


Name = Annotated[str, AfterValidator(_series_name)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
QualifiedIdentifier = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}(\.[A-Za-z_][A-Za-z0-9_]{0,63})?$")
]


class SimulatedSeries(Options):
    """Describes one simulated series.

    Attributes:
        name: of the series.
        base_rate: events per window on a weekday, averaged over the day.
        daily_swing: how far the rate rises above and falls below the average, as a share of it.
        peak_hour: hour of the day (UTC) with the highest rate.
        weekend: rate on Saturday and Sunday, as a share of a weekday's.
    """

    name: Name
    base_rate: float = Field(gt=0, le=100_000)
    daily_swing: float = Field(default=0.6, ge=0, lt=1)
    peak_hour: float = Field(default=15, ge=0, lt=24)
    weekend: float = Field(default=0.6, gt=0)


class Anomaly(Options):
    """Disturbs one simulated series for a while.

    Attributes:
        series: its name.
        kind: spike, drop or outage.
        starts: first moment; `from` in the file.
        ends: first moment after it; `to` in the file.
        factor: what the rate is multiplied by; above 1 for a spike, below 1 for a drop, none for an outage.
    """

    series: Name
    kind: Literal["spike", "drop", "outage"]
    starts: Instant = Field(alias="from")
    ends: Instant = Field(alias="to")
    factor: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.ends <= self.starts:
            raise ValueError("'to' must be later than 'from'")
        if self.kind == "spike" and self.factor <= 1:
            raise ValueError("a spike needs a factor above 1")
        if self.kind == "drop" and not 0 < self.factor < 1:
            raise ValueError("a drop needs a factor between 0 and 1; for 0 write kind: outage")
        if self.kind == "outage" and self.factor:
            raise ValueError("an outage has no factor: remove it, or write kind: drop")
        return self


class SimulatorOptions(Options):
    """Simulates series.

    Attributes:
        kind: simulator.
        name: of the source.
        seed: the same seed makes the same events.
        series: at least one.
        anomalies: disturbances to put in.
        starts_at: first moment simulated.
        history_days: how many days before its first run it starts; instead of `starts_at`.
        live_from: first window that is judged live; by default the one of its first run.
    """

    kind: Literal["simulator"]
    name: Name
    seed: int = Field(default=1, ge=0)
    series: tuple[SimulatedSeries, ...] = Field(min_length=1)
    anomalies: tuple[Anomaly, ...] = ()
    starts_at: Instant | None = None
    history_days: float | None = Field(default=None, ge=0)
    live_from: Instant | None = None

    @property
    def history(self) -> timedelta:
        """Return how long before its first run it starts."""
        return timedelta(days=self.history_days or 0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        names = [series.name for series in self.series]
        _refuse_doubles(names, "series")
        for anomaly in self.anomalies:
            if anomaly.series not in names:
                raise ValueError(
                    f"an anomaly names the series {anomaly.series}, which is not simulated; simulated are "
                    f"{', '.join(names)}"
                )
        if self.starts_at is not None and self.history_days is not None:
            raise ValueError("starts_at and history_days contradict each other: remove one of them")
        return self


class ReplayOptions(Options):
    """Replays CSV files with the columns timestamp and value, one series a file.

    Attributes:
        kind: replay.
        name: of the source.
        path: a CSV file or a folder of them; relative paths start in `include/`. A file's name without its
            ending is its series.
        shift_weeks: full weeks by which every stamp is moved.
        ends: `last_week` chooses the shift, on the first run, so that the last row lies in the week before.
        until: rows from this moment on, after the shift, wait until it is moved or removed.
    """

    kind: Literal["replay"]
    name: Name
    path: Path
    shift_weeks: int | None = None
    ends: Literal["last_week"] | None = None
    until: Instant | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.shift_weeks is not None and self.ends is not None:
            raise ValueError("shift_weeks and ends contradict each other: remove one of them")
        return self


class TableOptions(Options):
    """Reads events from an SQL table; times in it are UTC.

    Attributes:
        kind: table.
        name: of the source.
        connection: Airflow connection of its database.
        table: its name, with its schema if that is another one.
        time_column: when the event occurred.
        id_column: identifies the event.
        series: the one series the table holds; or else
        series_column: column that names the series.
        arrived_column: when the row was written; by default the time column. Without one of its own, a row
            whose event is older than `settle_s` when it is written is never seen.
        settle_s: no transaction that writes rows takes longer; so long the source re-reads and waits.
    """

    kind: Literal["table"]
    name: Name
    connection: str = Field(min_length=1)
    table: QualifiedIdentifier
    time_column: Identifier
    id_column: Identifier
    series: Name | None = None
    series_column: Identifier | None = None
    arrived_column: Identifier | None = None
    settle_s: float = Field(default=30, gt=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.series is None) == (self.series_column is None):
            raise ValueError("set either series, if the table holds one, or series_column, and not both")
        return self


class QueueOptions(Options):
    """Reads events from an SQS queue.

    Attributes:
        kind: sqs.
        name: of the source.
        queue_url: of the queue.
        delay_s: how long after it occurred an event may be sent.
    """

    kind: Literal["sqs"]
    name: Name
    queue_url: str = Field(pattern=r"^https?://")
    delay_s: float = Field(default=0, ge=0)


SourceOptions = Annotated[
    SimulatorOptions | ReplayOptions | TableOptions | QueueOptions, Field(discriminator="kind")
]


class RarityOptions(Options):
    """Judges windows by how rare they are.

    Attributes:
        kind: rarity.
        false_incidents_per_month: how often a series may be called anomalous that is not.
    """

    kind: Literal["rarity"] = "rarity"
    false_incidents_per_month: float = Field(default=1, gt=0, le=300)

    def to_rule(self) -> RarityRule:
        """Return the rule."""
        return RarityRule(self.false_incidents_per_month)


class StandardDeviationsOptions(Options):
    """Judges windows by the standard deviation of the same weekday and time, as the first system did.

    Attributes:
        kind: standard_deviations.
        k: how many of them a window may lie off.
        weeks: of the past that the standard deviation is taken from; three at least must be known.
    """

    kind: Literal["standard_deviations"]
    k: float = Field(default=3, gt=0)
    weeks: int = Field(default=8, ge=3, le=52)

    def to_rule(self) -> StandardDeviationsRule:
        """Return the rule."""
        return StandardDeviationsRule(self.k, self.weeks)


RuleOptions = Annotated[RarityOptions | StandardDeviationsOptions, Field(discriminator="kind")]


class BulkOptions(Options):
    """Has large ranges of history judged by Batch Transform, which leaves the endpoint to live windows.

    Attributes:
        above_windows: a day of history with so many windows or more is a large range.
        instance_type: that transform jobs run on.
        instance_count: of each job.
        max_runtime_min: after so long a job is stopped, and the run fails.
    """

    above_windows: int = Field(default=500_000, ge=1)
    instance_type: str = Field(default="ml.m5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    instance_count: int = Field(default=1, ge=1, le=100)
    max_runtime_min: float = Field(default=60, gt=0)

    def is_for(self, windows: int) -> bool:
        """Tell whether so many windows are a large range."""
        return windows >= self.above_windows


class Pipeline(Options):
    """Says what is watched, by which model and by which rule.

    Attributes:
        model: name of the model spec whose champion judges.
        rule: by which a window is high or low.
        sources: where events come from. A series belongs to the source that gave it first; once that one is
            renamed or removed, to the next one that gives it.
        silent_after_s: seconds that a live source may stand still before that is an incident.
        incidents: what one incident is, and what is told of it.
        maintenance: times in which nothing is told of some series.
        bulk: how large ranges of history are judged.
        health: how far from what its evaluation promised the model may be.
    """

    model: str = Field(default="event-counts", min_length=1)
    rule: RuleOptions = RarityOptions()
    sources: tuple[SourceOptions, ...] = Field(min_length=1)
    silent_after_s: float = Field(default=900, gt=0)
    incidents: IncidentOptions = IncidentOptions()
    maintenance: tuple[Maintenance, ...] = ()
    bulk: BulkOptions = BulkOptions()
    health: HealthLimits = HealthLimits()

    @property
    def silent_after(self) -> timedelta:
        """Return how long a live source may stand still."""
        return timedelta(seconds=self.silent_after_s)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _refuse_doubles([source.name for source in self.sources], "sources")
        simulated = [
            series.name
            for source in self.sources
            if isinstance(source, SimulatorOptions)
            for series in source.series
        ]
        _refuse_doubles(simulated, "series")
        return self


def _refuse_doubles(names: list[str], what: str) -> None:
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"{what} must have names of their own, but there are two of {', '.join(doubles)}")


def load_pipeline(path: Path | str) -> Pipeline:
    """Read and check a pipeline file.

    Args:
        path: relative paths start in `include/configs/`.

    Raises:
        SettingsError: the file is missing, no YAML, or holds something unknown or contradictory.
    """
    file = configs_dir() / path
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            f"The pipeline file {file} does not exist: create it, or set pipeline_file to another."
        ) from error
    except yaml.YAMLError as error:
        raise SettingsError(f"The pipeline file {file} is no YAML: {error}") from error
    try:
        return Pipeline.model_validate(content)
    except ValidationError as error:
        raise SettingsError(explain(error, f"the pipeline file {file}", Pipeline)) from error
