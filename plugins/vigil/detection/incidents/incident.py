"""Incidents: anomalous windows of one series that belong together, told as few times as possible.

`go_on` is a pure fold over verdicts in the order of their windows. An incident goes on through a short calm
and closes after a longer one; an anomalous window soon after that reopens it, so a series that flaps is one
incident. People are told when it opens, when it grows much worse, and when it closes; that it came back
after they were told of its end is told only if it is worse than before.

Everything that the fold needs to go on lies in the incident, so that judging window by window and judging a
backlog at once find and tell the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from vigil.detection.incidents.mutes import Mute, reason_at
from vigil.detection.incidents.severity import graver, severity_of, surprise
from vigil.detection.verdicts import NORMAL, Verdict
from vigil.windows import WINDOW

SILENT_SOURCE = "silent_source"
MASS = "mass"

# An alert of kind `worse` wants so many times the logarithm of the worst rarity that was told.
_WORSE_BY = 2.0

TellingKind = Literal["opened", "worse", "reminder", "closed", "corrected"]


@dataclass(frozen=True)
class IncidentRules:
    """Say what one incident is, and what is told of it.

    Attributes:
        threshold: rarity from which on windows are anomalous, N for one window in N; above 1.
        closes_after: calm after which an incident is closed.
        reopens_within: time after the last anomalous window of a closed incident in which the next one
            reopens it.
        tell_worse: tell when an incident grows much worse than was told.
        remind_every: tell so often that it goes on; None for never.
    """

    threshold: float
    closes_after: timedelta = timedelta(hours=1)
    reopens_within: timedelta = timedelta(hours=12)
    tell_worse: bool = True
    remind_every: timedelta | None = None

    def __post_init__(self) -> None:
        if self.threshold <= 1:
            raise ValueError(f"a window is rare from one in more than 1 on, not in {self.threshold:g}")


@dataclass(frozen=True)
class Peak:
    """The rarest window of an incident.

    Attributes:
        window: its start.
        score: as rare as one window in so many; negative below what was expected.
        extrapolated: rarer than what the calibration could show.
        observed: events in it.
        expected: events, as the model says.
    """

    window: datetime
    score: float
    extrapolated: bool = False
    observed: int = 0
    expected: float = 0.0


@dataclass(frozen=True)
class Told:
    """What people were told of an incident.

    Attributes:
        openings: how often that it opened; more than once only after a correction.
        worse: how often that it grew worse.
        reminders: how often that it goes on.
        closings: how often that it closed.
        corrections: how often that there was none after all.
        goes_on: the last they were told is that it goes on.
        at: start of the window at which they were last told something.
        score: of the rarest window that they were told of.
    """

    openings: int = 0
    worse: int = 0
    reminders: int = 0
    closings: int = 0
    corrections: int = 0
    goes_on: bool = False
    at: datetime | None = None
    score: float = 0.0

    @property
    def opening_stands(self) -> bool:
        """Tell whether they were told of its opening, and it was not taken back."""
        return self.openings > self.corrections


@dataclass(frozen=True)
class Incident:
    """Anomalous windows that belong together.

    Attributes:
        series: its name; that of the source that fell silent; or `group` for a mass outage.
        opened_at: start of the first anomalous window.
        kind: high or low, as the first window was; silent_source; or mass.
        last_anomalous: start of the last anomalous window.
        calm_since: start of the first normal window after it; None while there is none.
        closed_at: the same, once the calm has lasted; None while the incident goes on.
        severity: minor, major or critical, of its gravest window.
        windows: how many anomalous windows.
        flares: how often it was reopened.
        model_version: that judged the first window.
        peak: its rarest window.
        told: what people were told.
        muted_by: why something was not told, the last time that was so.
        cleared_at: when a recount left no anomalous window of it.
    """

    series: str
    opened_at: datetime
    kind: str
    last_anomalous: datetime
    calm_since: datetime | None
    closed_at: datetime | None
    severity: str
    windows: int
    flares: int
    model_version: str
    peak: Peak
    told: Told = Told()
    muted_by: str | None = None
    cleared_at: datetime | None = None

    @property
    def is_settled(self) -> bool:
        """Tell whether it is closed and people know, so that no normal window changes anything."""
        return self.closed_at is not None and not self.told.goes_on

    @property
    def untold_ending(self) -> TellingKind | None:
        """Return what people are still to be told of its end; None if they know, or if it goes on."""
        if self.cleared_at is not None:
            return "corrected" if self.told.opening_stands else None
        return "closed" if self.closed_at is not None and self.told.goes_on else None


@dataclass(frozen=True)
class Telling:
    """Something to tell people.

    Attributes:
        kind: opened, worse, reminder, closed or corrected.
        incident: as it was then.
        verdict: on the window at which it is told; None when it is a recount that tells.
        n: counts the tellings of that kind about that incident, from 1.
        late: a recount found it out after the window had been judged.
        members: incidents that a mass outage is made of.
    """

    kind: TellingKind
    incident: Incident
    verdict: Verdict | None
    n: int
    late: bool = False
    members: tuple[Incident, ...] = ()


@dataclass(frozen=True)
class Folded:
    """What follows from some verdicts.

    Attributes:
        incidents: that are new or changed, in the order of their opening.
        tellings: in the order of their windows.
    """

    incidents: list[Incident]
    tellings: list[Telling]


def go_on(
    incident: Incident | None,
    verdicts: Iterable[Verdict],
    rules: IncidentRules,
    mutes: Sequence[Mute] = (),
    *,
    tell: bool = True,
) -> Folded:
    """Fold verdicts of one series into incidents.

    Windows that are unknown, and so have no verdict, neither close an incident nor prolong it.

    Args:
        incident: the newest one of the series, open or closed; None if there is none, or if it was settled
            longer ago than `rules.reopens_within`.
        verdicts: in the order of their windows, all after those of `incident`.
        rules: of the pipeline.
        mutes: of this series; what falls into one is told after it, if it still holds then.
        tell: whether people are told anything at all.
    """
    before = incident
    done: list[Incident] = []
    tellings: list[Telling] = []
    for verdict in verdicts:
        if verdict.verdict == NORMAL:
            if incident is None or incident.is_settled:
                continue
            incident = _calmer(incident, verdict.window_start, rules)
        elif incident is None or _is_over(incident, verdict.window_start, rules):
            if incident is not None and incident is not before:
                done.append(incident)
            incident = _opened(verdict, rules)
        else:
            incident = _longer(incident, verdict, rules)
        if tell:
            incident, telling = _told(incident, verdict, rules, mutes)
            if telling:
                tellings.append(telling)
    if incident is not None and incident is not before:
        done.append(incident)
    return Folded(done, tellings)


def _is_over(incident: Incident, window_start: datetime, rules: IncidentRules) -> bool:
    """Tell whether an anomalous window begins another incident; nobody expects one of what goes on."""
    return incident.is_settled and window_start > incident.last_anomalous + rules.reopens_within


def _opened(verdict: Verdict, rules: IncidentRules) -> Incident:
    return Incident(
        series=verdict.series,
        opened_at=verdict.window_start,
        kind=verdict.verdict,
        last_anomalous=verdict.window_start,
        calm_since=None,
        closed_at=None,
        severity=severity_of(verdict, rules.threshold),
        windows=1,
        flares=0,
        model_version=verdict.model_version,
        peak=_peak(verdict),
    )


def _longer(incident: Incident, verdict: Verdict, rules: IncidentRules) -> Incident:
    return replace(
        incident,
        last_anomalous=verdict.window_start,
        calm_since=None,
        closed_at=None,
        severity=graver(incident.severity, severity_of(verdict, rules.threshold)),
        windows=incident.windows + 1,
        flares=incident.flares + (incident.closed_at is not None),
        peak=_peak(verdict) if abs(verdict.score) > abs(incident.peak.score) else incident.peak,
    )


def _peak(verdict: Verdict) -> Peak:
    return Peak(verdict.window_start, verdict.score, verdict.extrapolated, verdict.observed, verdict.expected)


def _calmer(incident: Incident, window_start: datetime, rules: IncidentRules) -> Incident:
    if incident.closed_at is not None:
        return incident
    calm_since = incident.calm_since or window_start
    if window_start + WINDOW - calm_since >= rules.closes_after:
        return replace(incident, calm_since=calm_since, closed_at=calm_since)
    return incident if incident.calm_since else replace(incident, calm_since=calm_since)


def _told(
    incident: Incident, verdict: Verdict, rules: IncidentRules, mutes: Sequence[Mute]
) -> tuple[Incident, Telling | None]:
    """Return the incident as people know it after a window, and what they are told there."""
    kind = _what_to_tell(incident, verdict, rules)
    if kind is None:
        return incident, None
    reason = reason_at(verdict.window_start, mutes)
    if reason is not None:
        return (incident if incident.muted_by == reason else replace(incident, muted_by=reason)), None
    return tell_of(incident, kind, verdict.window_start, verdict)


def _what_to_tell(incident: Incident, verdict: Verdict, rules: IncidentRules) -> TellingKind | None:
    told = incident.told
    if verdict.verdict == NORMAL:
        return "closed" if incident.closed_at is not None and told.goes_on else None
    if not told.opening_stands:
        return "opened"
    if rules.tell_worse and _is_worse(incident):
        return "worse"
    if (
        told.goes_on
        and rules.remind_every
        and told.at
        and verdict.window_start >= told.at + rules.remind_every
    ):
        return "reminder"
    return None


def _is_worse(incident: Incident) -> bool:
    reached, known = surprise(incident.peak.score), surprise(incident.told.score)
    return reached > known and reached >= _WORSE_BY * known


def tell_of(
    incident: Incident, kind: TellingKind, window: datetime, verdict: Verdict | None, *, late: bool = False
) -> tuple[Incident, Telling]:
    """Return an incident that people have been told of, and the telling.

    Args:
        incident: as it is.
        kind: of the telling.
        window: start of the window at which it is told.
        verdict: on that window, if it has one.
        late: a recount found it out.
    """
    counted = {"opened": "openings", "worse": "worse", "reminder": "reminders", "closed": "closings"}.get(
        kind, "corrections"
    )
    n = getattr(incident.told, counted) + 1
    told = replace(
        incident.told,
        **{counted: n},
        goes_on=kind not in ("closed", "corrected"),
        at=window,
        score=incident.peak.score,
    )
    known = replace(incident, told=told)
    return known, Telling(kind, known, verdict, n, late)
