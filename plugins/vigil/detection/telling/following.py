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

from vigil.detection.incidents.correcting import correct, reach
from vigil.detection.incidents.incident import Folded, Incident, IncidentRules, go_on
from vigil.detection.incidents.mutes import Mute, mutes_of
from vigil.detection.incidents.store import incidents_near, newest_incidents
from vigil.detection.pipeline import Pipeline
from vigil.detection.telling.grouping import Place, tell_in_groups
from vigil.detection.telling.muting import mutes_between
from vigil.detection.verdicts import Verdict


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
    """

    name: str
    judged_until: datetime
    again: list[Verdict]
    new: list[Verdict]
    near: list[Incident]
    newest: Incident | None

    def knowing(self, better: Mapping[Place, Incident]) -> _Series:
        """Return the same with some incidents as they are known better."""
        if not better:
            return self
        near = [better.get((i.series, i.opened_at), i) for i in self.near]
        newest = self.newest and better.get((self.newest.series, self.newest.opened_at), self.newest)
        return replace(self, near=near, newest=newest)


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
    mutes = mutes_between(cursor, pipeline, min(starts), max(starts))

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
    return [
        _Series(
            name,
            judged_until[name],
            again[name],
            found[len(again[name]) :],
            near.get(name, []),
            newest.get(name),
        )
        for name, found in own.items()
    ]


def _follow_one(
    cursor: Cursor, series: _Series, rules: IncidentRules, mutes: Sequence[Mute], now: datetime
) -> Folded:
    newest = series.newest
    if not series.again:
        return go_on(newest, series.new, rules, mutes)
    corrected = correct(cursor, series.near, series.again, series.judged_until, rules, mutes, now)
    known = [*series.near, *([newest] if newest else []), *corrected.incidents]
    held = [i for i in {i.opened_at: i for i in known}.values() if i.cleared_at is None]
    newest = max(held, key=attrgetter("opened_at"), default=None)
    return _together([corrected, go_on(newest, series.new, rules, mutes)])


def _together(parts: Iterable[Folded]) -> Folded:
    parts = list(parts)
    return Folded(
        [incident for part in parts for incident in part.incidents],
        [telling for part in parts for telling in part.tellings],
    )
