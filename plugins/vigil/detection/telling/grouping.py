"""Tells of many series that break at once in one message, whatever the steps in which they are judged.

What is to be told is found first as if every series stood alone. If that is too much, a mass outage begins,
and all is found again with it as a mute; openings of earlier steps that nobody has read yet are withdrawn.
Judges take turns, so what is read here holds until the end of the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.incident_options import IncidentOptions
from vigil.detection.incidents.incident import Folded, Incident, Telling, TellingKind, Told, tell_of
from vigil.detection.incidents.mass import (
    WITHIN,
    calm_of,
    ended,
    mute_of,
    outage_of,
    outbreak,
    reason_of,
    reason_since,
)
from vigil.detection.incidents.mutes import Mute
from vigil.detection.incidents.store import incident_of
from vigil.detection.rows import as_json
from vigil.detection.telling.alerts import identity_of
from vigil.windows import WINDOW

Place = tuple[str, datetime]
Fold = Callable[[Sequence[Mute], Mapping[Place, Incident]], Folded]
"""Finds incidents and tellings, given mutes for every series and incidents other than they are stored."""

_NEWS = ("opened", "worse", "reminder")


def tell_in_groups(
    cursor: Cursor, fold: Fold, options: IncidentOptions, first: datetime, newest: datetime, now: datetime
) -> Folded:
    """Return the incidents that are new or changed, mass outages too, and what to tell.

    Args:
        cursor: of a transaction whose turn it is.
        fold: what is known of each series.
        options: say what a mass outage is.
        first: start of the first window that is judged.
        newest: start of the newest one.
        now: the present time.
    """
    cursor.execute(statement("detection/select_mass_outages"), {"since": first})
    outages = [incident_of(row) for row in cursor.fetchall()]
    grouping = _Grouping(cursor, fold, options, newest, now, {o.opened_at: o for o in outages})
    grouping.fold_again()
    while grouping.end_an_outage() or grouping.begin_an_outage():
        grouping.fold_again()
    return grouping.outcome()


@dataclass
class _Grouping:
    """A step of judging, while it is found out what is told as one.

    Attributes:
        cursor: of the transaction.
        fold: finds what is to be told of single series.
        options: say what a mass outage is.
        newest: start of the newest window that is judged.
        now: the present time.
        outages: mass outages that concern the step, by their opening.
        withdrawn: incidents of earlier steps that belong to an outage now.
        changed: openings of the outages that began or ended.
        tellings: of outages.
        folded: of single series.
    """

    cursor: Cursor
    fold: Fold
    options: IncidentOptions
    newest: datetime
    now: datetime
    outages: dict[datetime, Incident]
    withdrawn: dict[Place, Incident] = field(default_factory=dict)
    changed: set[datetime] = field(default_factory=set)
    tellings: list[Telling] = field(default_factory=list)
    folded: Folded = field(default_factory=lambda: Folded([], []))

    def fold_again(self) -> None:
        """Find what is to be told of single series beside the outages."""
        self.folded = self.fold([mute_of(outage) for outage in self.outages.values()], self.withdrawn)

    def outcome(self) -> Folded:
        """Return what was found."""
        outages = [self.outages[opened_at] for opened_at in sorted(self.changed)]
        return Folded(
            [*self.withdrawn.values(), *self.folded.incidents, *outages],
            [*self.tellings, *self.folded.tellings],
        )

    def begin_an_outage(self) -> bool:
        """Begin a mass outage if too much is to be told."""
        news = [
            (telling.verdict.window_start, telling.incident)
            for telling in self.folded.tellings
            if telling.kind in _NEWS and telling.verdict
        ]
        if not news or any(outage.closed_at is None for outage in self.outages.values()):
            return False
        windows = [window for window, _ in news]
        earlier = self._told_before(min(windows), max(windows))
        told = [*((incident.told.at, incident) for incident in earlier if incident.told.at), *news]
        if len({incident.series for _, incident in told}) < self.options.mass_series:
            return False
        found = outbreak(((window, incident.series) for window, incident in told), self._fewest())
        if found is None:
            return False
        since, at = found
        concerned = {(i.series, i.opened_at): i for window, i in told if since <= window <= at}
        members = list(concerned.values())
        reason = reason_since(since)
        self._withdraw([i for i in earlier if (i.series, i.opened_at) in concerned], reason)
        self._tell(outage_of(since, members), "opened", at, members)
        return True

    def end_an_outage(self) -> bool:
        """End a mass outage if its series are calm, or if there was none after all."""
        for outage in self.outages.values():
            members = self._members(outage)
            if not members and outage.told.opening_stands:
                cleared = replace(
                    outage, closed_at=outage.closed_at or self.newest, cleared_at=self.now, windows=0
                )
                self._tell(cleared, "corrected", self.newest, [])
                return True
            calm = calm_of(members, self.options.closes_after, self.newest) if not outage.closed_at else None
            if calm:
                self._tell(ended(outage, members, calm[0]), "closed", calm[1], members)
                return True
        return False

    def _tell(
        self, outage: Incident, kind: TellingKind, window: datetime, members: Sequence[Incident]
    ) -> None:
        told, telling = tell_of(outage, kind, window, None)
        self.outages[outage.opened_at] = told
        self.changed.add(outage.opened_at)
        self.tellings.append(replace(telling, members=tuple(members)))

    def _members(self, outage: Incident) -> list[Incident]:
        """Return the incidents of an outage that stand.

        One that was over before it is none, though its end is told after the outage.
        """
        reason = reason_of(outage)
        self.cursor.execute(statement("detection/select_muted_incidents"), {"muted_by": reason})
        stored = [incident_of(row) for row in self.cursor.fetchall()]
        newer = [*self.withdrawn.values(), *self.folded.incidents]
        members = {(i.series, i.opened_at): i for i in (*stored, *newer)}
        return [
            i
            for i in members.values()
            if i.muted_by == reason and i.cleared_at is None and i.last_anomalous >= outage.opened_at
        ]

    def _told_before(self, start: datetime, end: datetime) -> list[Incident]:
        """Return the incidents of earlier steps that were told of lately, each by itself, and still are."""
        values = {"start": start - WITHIN + WINDOW, "end": end}
        self.cursor.execute(statement("detection/select_told_incidents"), values)
        reasons = {reason_of(outage) for outage in self.outages.values()}
        told = [incident_of(row) for row in self.cursor.fetchall()]
        return [
            i for i in told if i.muted_by not in reasons and (i.series, i.opened_at) not in self.withdrawn
        ]

    def _fewest(self) -> int:
        self.cursor.execute(statement("detection/count_live_series"))
        ((live,),) = self.cursor.fetchall()
        return max(self.options.mass_series, ceil(self.options.mass_share * int(live)))

    def _withdraw(self, incidents: Iterable[Incident], reason: str) -> None:
        """Take back openings that nobody has read, and make the incidents part of an outage."""
        openings = {_opening(incident): incident for incident in incidents}
        values = {"identities": as_json([identity] for identity in openings)}
        self.cursor.execute(statement("detection/hold_waiting_alerts"), values)
        waiting = dict(self.cursor.fetchall())
        unread = {
            alert_id: identity
            for alert_id, identity in waiting.items()
            if _knows_only_the_opening(openings[identity])
        }
        self.cursor.executemany(statement("detection/delete_alert"), [(alert_id,) for alert_id in unread])
        for identity, incident in openings.items():
            told = incident.told
            if identity in unread.values():
                told = Told(openings=told.openings - 1, corrections=told.corrections)
            self.withdrawn[incident.series, incident.opened_at] = replace(
                incident, muted_by=reason, told=told
            )


def _opening(incident: Incident) -> str:
    return identity_of(incident, "opened", incident.told.openings)


def _knows_only_the_opening(incident: Incident) -> bool:
    told = incident.told
    return (told.worse, told.reminders, told.closings) == (0, 0, 0)
