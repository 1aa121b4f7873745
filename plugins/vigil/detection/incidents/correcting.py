"""Corrections: what a recount of windows that were judged before changes in the incidents of a series.

What people were told keeps its identity: an incident neither splits nor merges with another, and begins on
paper when it was told to begin. Its content follows from the verdicts that hold now. One that has no
anomalous window left is kept as cleared, and people are told; one that merely shrinks or grows is brought up
to date in silence; one that nobody knew of is told late, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pymysql.cursors import Cursor

from vigil.detection.incidents.incident import (
    Folded,
    Incident,
    IncidentRules,
    Telling,
    TellingKind,
    go_on,
    tell_of,
)
from vigil.detection.incidents.mutes import Mute, reason_at
from vigil.detection.incidents.store import verdicts_that_hold
from vigil.detection.verdicts import Verdict
from vigil.windows import WINDOW

_FOREVER = timedelta(days=100 * 365)


def reach(rules: IncidentRules) -> timedelta:
    """Return how far from an anomalous window incidents may lie that it changes."""
    return max(rules.reopens_within, rules.closes_after)


def correct(
    cursor: Cursor,
    near: Sequence[Incident],
    verdicts: Sequence[Verdict],
    judged_until: datetime,
    rules: IncidentRules,
    mutes: Sequence[Mute],
    now: datetime,
) -> Folded:
    """Return the incidents of one series that a recount changes, and what to tell.

    Args:
        cursor: of a transaction that holds the series, with the verdicts stored.
        near: incidents of the series within `reach` of the windows, in order; cleared ones too.
        verdicts: on the windows that were counted again, in order; all before `judged_until`.
        judged_until: first window that was never judged.
        rules: of the pipeline.
        mutes: of this series.
        now: the present time.
    """
    standing = [incident for incident in near if incident.cleared_at is None]
    owners = list(_owners(verdicts, standing, rules))
    changed = {owner.opened_at for _, owner in owners if owner}
    new = sorted(verdict.window_start for verdict, owner in owners if owner is None and verdict.is_anomalous)
    if not changed and not new:
        return Folded([], [])
    series = _Series(cursor, verdicts[0].series, judged_until, standing, new, rules)
    incidents: list[Incident] = []
    tellings: list[Telling] = []
    for incident in standing:
        if incident.opened_at in changed:
            redone = series.redone(incident, now)
            kind: TellingKind = "corrected" if redone.cleared_at else "closed"
            told = _told(redone, kind, redone.opened_at, None, mutes)
            incidents.append(told[0])
            tellings += told[1]
    for found, verdict in series.found():
        # People may have been told of it before, and then that there was nothing.
        known = next((i.told for i in near if i.cleared_at and i.opened_at == found.opened_at), found.told)
        opened = _told(replace(found, told=known), "opened", found.opened_at, verdict, mutes)
        closed = _told(opened[0], "closed", found.opened_at, None, mutes)
        incidents.append(closed[0])
        tellings += [*opened[1], *closed[1]]
    return Folded(incidents, tellings)


def _owners(
    verdicts: Sequence[Verdict], standing: Sequence[Incident], rules: IncidentRules
) -> Iterator[tuple[Verdict, Incident | None]]:
    """Yield each window with the incident that it belongs to; if it is added, the incident reaches on."""
    reaching = list(standing)
    for verdict in verdicts:
        owner = _owner(verdict, reaching, rules)
        yield verdict, owner
        if owner and verdict.is_anomalous and verdict.window_start > owner.last_anomalous:
            reaching[reaching.index(owner)] = _longer(owner, verdict)


def _longer(incident: Incident, verdict: Verdict) -> Incident:
    calm_from = verdict.window_start + WINDOW
    closed_at = max(incident.closed_at, calm_from) if incident.closed_at else None
    return replace(incident, last_anomalous=verdict.window_start, closed_at=closed_at)


def _owner(verdict: Verdict, standing: Sequence[Incident], rules: IncidentRules) -> Incident | None:
    """Return the incident to whose content a window belongs, or to which it is added."""
    start = verdict.window_start
    for incident in standing:
        if incident.opened_at - rules.closes_after <= start <= incident.last_anomalous:
            return incident
    before = [incident for incident in standing if incident.last_anomalous < start]
    if verdict.is_anomalous and before:
        newest = before[-1]
        # It would have gone on through a calm so short, or have been reopened.
        lasted = newest.closed_at is None or start < newest.closed_at + rules.closes_after
        if lasted or start <= newest.last_anomalous + rules.reopens_within:
            return newest
    return None


def _told(
    incident: Incident,
    kind: TellingKind,
    window: datetime,
    verdict: Verdict | None,
    mutes: Sequence[Mute],
) -> tuple[Incident, list[Telling]]:
    """Return the incident as people know it, and what they are told, if anything."""
    told = incident.told
    due = {
        "opened": not told.opening_stands,
        "closed": told.goes_on and incident.closed_at is not None,
        "corrected": told.opening_stands,
    }[kind]
    if not due:
        return incident, []
    reason = reason_at(window, mutes)
    if reason is not None:
        return replace(incident, muted_by=reason), []
    known, telling = tell_of(incident, kind, window, verdict, late=True)
    return known, [telling]


@dataclass(frozen=True)
class _Series:
    """The verdicts of a series, cut where its incidents end.

    Attributes:
        cursor: of the transaction.
        name: of the series.
        judged_until: first window that was never judged.
        standing: its incidents, in order.
        new: windows that belong to none of them, in order.
        rules: of the pipeline.
    """

    cursor: Cursor
    name: str
    judged_until: datetime
    standing: Sequence[Incident]
    new: Sequence[datetime]
    rules: IncidentRules

    def redone(self, incident: Incident, now: datetime) -> Incident:
        """Return an incident with the content that its windows have now."""
        start = incident.opened_at - self.rules.closes_after
        end = min([self._end_before_next(incident.opened_at), *self._new_after(incident)])
        verdicts = verdicts_that_hold(self.cursor, self.name, start, end)
        # It goes on through whatever became normal in its midst.
        found = go_on(None, verdicts, replace(self.rules, reopens_within=_FOREVER), tell=False).incidents
        if not found:
            over = incident.closed_at or incident.last_anomalous + WINDOW
            return replace(incident, windows=0, calm_since=over, closed_at=over, cleared_at=now)
        content = self._closed_before(end, found[-1])
        return replace(
            content,
            opened_at=incident.opened_at,
            kind=incident.kind,
            model_version=incident.model_version,
            told=incident.told,
            muted_by=incident.muted_by,
        )

    def found(self) -> list[tuple[Incident, Verdict]]:
        """Return incidents that nobody knew of, each with the verdict on its first window."""
        incidents: list[tuple[Incident, Verdict]] = []
        covered = datetime.min
        for start in self.new:
            if start >= covered:
                covered = self._end_before_next(start)
                verdicts = verdicts_that_hold(self.cursor, self.name, start, covered)
                first = {verdict.window_start: verdict for verdict in verdicts}
                folded = go_on(None, verdicts, self.rules, tell=False).incidents
                incidents += [
                    (self._closed_before(covered, incident), first[incident.opened_at]) for incident in folded
                ]
        return incidents

    def _end_before_next(self, start: datetime) -> datetime:
        """Return where the windows of the next incident begin."""
        following = [i.opened_at - self.rules.closes_after for i in self.standing if i.opened_at > start]
        return min([self.judged_until, *following])

    def _new_after(self, incident: Incident) -> list[datetime]:
        return [start for start in self.new if start > incident.last_anomalous]

    def _closed_before(self, end: datetime, incident: Incident) -> Incident:
        """Close an incident that another one follows, whatever is unknown of the time between."""
        if incident.closed_at is not None or end == self.judged_until:
            return incident
        closed_at = incident.calm_since or incident.last_anomalous + WINDOW
        return replace(incident, calm_since=closed_at, closed_at=closed_at)
