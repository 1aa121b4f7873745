"""What follows from live verdicts for the incidents of their series, and what people are told of it.

Verdicts on windows that were judged before correct the incidents there; later ones go on with the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from pymysql.cursors import Cursor

from vigil.detection.incidents.correcting import correct, reach, tell_endings
from vigil.detection.incidents.incident import Folded, Incident, IncidentRules, go_on
from vigil.detection.incidents.mutes import Mute, mutes_of
from vigil.detection.incidents.store import incidents_near, newest_incidents, untold_incidents
from vigil.detection.pipeline import Pipeline
from vigil.detection.telling.grouping import Place, tell_in_groups
from vigil.detection.telling.muting import mutes_between
from vigil.detection.verdicts import Verdict
from vigil.windows import WINDOW


@dataclass(frozen=True)
class _Series:
    """What is new of one series, and what was known of it.

    Attributes:
        name: of the series.
        judged_until: first window that was never judged before.
        again: verdicts on windows that were counted again.
        new: the others, in the order of their windows.
        near: incidents that a recount may change, in order.
        newest: the incident that goes on, if there is one.
        untold: incidents of whose end people are still to be told.
    """

    name: str
    judged_until: datetime
    again: list[Verdict]
    new: list[Verdict]
    near: list[Incident]
    newest: Incident | None
    untold: list[Incident]

    def knowing(self, better: Mapping[Place, Incident]) -> _Series:
        """Return the same with some incidents as they are known better."""
        if not better:
            return self

        def known(incident: Incident) -> Incident:
            return better.get((incident.series, incident.opened_at), incident)

        return replace(
            self,
            near=[known(incident) for incident in self.near],
            newest=self.newest and known(self.newest),
            untold=[known(incident) for incident in self.untold],
        )


def follow(
    cursor: Cursor,
    verdicts: Sequence[Verdict],
    judged_until: Mapping[str, datetime],
    pipeline: Pipeline,
    threshold: float,
    now: datetime,
) -> Folded:
    """Return the incidents that are new or changed, and what to tell.

    Args:
        cursor: of a transaction that holds the series, with the verdicts stored.
        verdicts: of any series.
        judged_until: first window of each series that was never judged before.
        pipeline: says what an incident is, and when nobody is to be told.
        threshold: rarity from which on windows are anomalous.
        now: the present time.
    """
    if not verdicts:
        return Folded([], [])
    rules = pipeline.incidents.rules(threshold)
    known = _known(cursor, verdicts, judged_until, rules)
    starts = [verdict.window_start for verdict in verdicts]
    judged = [judged_until[verdict.series] - WINDOW for verdict in verdicts]
    mutes = mutes_between(cursor, pipeline, min(starts), max(*starts, *judged))

    def fold(outages: Sequence[Mute], stored: Mapping[Place, Incident]) -> Folded:
        return _together(
            _follow_one(cursor, series.knowing(stored), rules, [*mutes_of(series.name, mutes), *outages], now)
            for series in known
        )

    return tell_in_groups(cursor, fold, pipeline.incidents, min(starts), max(starts), now)


def _known(
    cursor: Cursor, verdicts: Sequence[Verdict], judged_until: Mapping[str, datetime], rules: IncidentRules
) -> list[_Series]:
    """Return each series with what was known of it."""
    by_name = attrgetter("series")
    own = {
        name: sorted(group, key=attrgetter("window_start"))
        for name, group in groupby(sorted(verdicts, key=by_name), key=by_name)
    }
    again = {
        name: [verdict for verdict in found if verdict.window_start < judged_until[name]]
        for name, found in own.items()
    }
    periods = [
        (name, found[0].window_start - reach(rules), judged_until[name])
        for name, found in again.items()
        if found
    ]
    near = incidents_near(cursor, periods) if periods else {}
    earliest = min(verdict.window_start for verdict in verdicts)
    newest = newest_incidents(cursor, sorted(own), earliest - rules.reopens_within)
    untold = untold_incidents(cursor, sorted(own))
    return [
        _Series(
            name,
            judged_until[name],
            again[name],
            found[len(again[name]) :],
            near.get(name, []),
            newest.get(name),
            untold.get(name, []),
        )
        for name, found in own.items()
    ]


def _follow_one(
    cursor: Cursor, series: _Series, rules: IncidentRules, mutes: Sequence[Mute], now: datetime
) -> Folded:
    corrected = Folded([], [])
    if series.again:
        corrected = correct(cursor, series.near, series.again, series.judged_until, rules, mutes, now)
    going_on = [*series.near, *([series.newest] if series.newest else []), *corrected.incidents]
    known = {i.opened_at: i for i in (*series.untold, *going_on)}
    standing = [start for start in {i.opened_at for i in going_on} if known[start].cleared_at is None]
    newest = known.pop(max(standing)) if standing else None
    ended = tell_endings(known.values(), [verdict.window_start for verdict in series.new], mutes)
    return _together([corrected, ended, go_on(newest, series.new, rules, mutes)])


def _together(parts: Iterable[Folded]) -> Folded:
    parts = list(parts)
    return Folded(
        [incident for part in parts for incident in part.incidents],
        [telling for part in parts for telling in part.tellings],
    )
