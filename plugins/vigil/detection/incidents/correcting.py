"""Corrections: what a recount of windows that were judged before changes in the incidents of a series.

What people were told keeps its identity: an incident neither splits nor merges with another, and begins on
paper when it was told to begin. Its content follows from the verdicts that hold now. One that has no
anomalous window left is kept as cleared, and people are told; one that merely shrinks or grows is brought up
to date in silence; one that nobody knew of is told late, and says so.

Whether a mute puts the telling of an end off is decided by the newest window that was judged: that is when
people would read it. The next window outside of every mute tells what was put off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pymysql.cursors import Cursor

from vigil.detection.incidents.incident import (
    Folded,
    Incident,
    IncidentRules,
    Telling,
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
    incidents = [series.redone(incident, now) for incident in standing if incident.opened_at in changed]
    tellings: list[Telling] = []
    for found, verdict in series.found():
        # People may have been told of it before, and then that there was nothing.
        known = next((i.told for i in near if i.cleared_at and i.opened_at == found.opened_at), found.told)
        opened, telling = _opening_told(replace(found, told=known), verdict, mutes)
        incidents.append(opened)
        tellings += telling
    endings = tell_endings(incidents, [judged_until - WINDOW], mutes)
    latest = {incident.opened_at: incident for incident in (*incidents, *endings.incidents)}
    return Folded(list(latest.values()), [*tellings, *endings.tellings])


def tell_endings(incidents: Iterable[Incident], windows: Sequence[datetime], mutes: Sequence[Mute]) -> Folded:
    """Tell that incidents are over, or never were, at the first window that lies in no mute.

    Args:
        incidents: of one series; what people know of, or what goes on, is left as it is.
        windows: starts of windows that were judged, in order.
        mutes: of this series; an end that falls into them is told after them, by another call.
    """
    untold = [(incident, kind) for incident in incidents if (kind := incident.untold_ending)]
    reasons = {window: reason_at(window, mutes) for window in windows}
    window = next((window for window, reason in reasons.items() if reason is None), None)
    if window is not None:
        told = [tell_of(incident, kind, window, None, late=True) for incident, kind in untold]
        return Folded([incident for incident, _ in told], [telling for _, telling in told])
    last = next(reversed(reasons.values()), None)
    return Folded([replace(i, muted_by=last) for i, _ in untold if last not in (None, i.muted_by)], [])


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


def _opening_told(
    incident: Incident, verdict: Verdict, mutes: Sequence[Mute]
) -> tuple[Incident, list[Telling]]:
    """Return a revealed incident as people know it, and what they are told, if anything."""
    if incident.told.opening_stands:
        return incident, []
    reason = reason_at(incident.opened_at, mutes)
    if reason is not None:
        return replace(incident, muted_by=reason), []
    known, telling = tell_of(incident, "opened", incident.opened_at, verdict, late=True)
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
