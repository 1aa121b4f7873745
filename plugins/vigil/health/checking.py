"""Decides whether the champion still keeps what was promised, and writes down what follows.

All of a decision is one transaction that holds the champion's row: spells and notices are there together or
not at all, and of two who decide at once one waits and finds it done. The name of the early training follows
from the spell, and is told for as long as the spell goes on: whoever asks for it again, after a kill or on
the next day, asks for the same run.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import partial

from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction, statement
from vigil.health.deciding import Health, decide
from vigil.health.figures import Figures
from vigil.health.measuring import last_whole_day
from vigil.health.spells import read_spells, save_spells
from vigil.health_limits import HealthLimits
from vigil.notices import write_notice
from vigil.released_models import champion
from vigil.settings import Settings

_DAY = timedelta(days=1)


def check_health(
    database: Database, model: str, limits: HealthLimits, settings: Settings, now: datetime
) -> Health:
    """Judge the last days of the champion, and write down spells and notices; may be run again.

    Args:
        database: with the days measured.
        model: name of the model spec.
        limits: how far from its promise the champion may be.
        settings: say how long a window stays open.
        now: the present time.
    """
    with connected(database) as connection:
        check = partial(_check, model=model, limits=limits, settings=settings, now=now)
        return in_transaction(connection, check)


def _check(cursor: Cursor, model: str, limits: HealthLimits, settings: Settings, now: datetime) -> Health:
    serving = champion(cursor, model)
    if serving is None or serving.released_at is None or not _hold(cursor, serving.model_version):
        return Health("unknown", model)
    since = serving.released_at.date()
    last = last_whole_day(now, settings.allowed_lateness)
    days = [last - place * _DAY for place in reversed(range(limits.days))]
    figures = _figures(cursor, serving.model_version, max(days[0], since), last)
    before = read_spells(cursor, serving.model_version, since)
    decision = decide(serving, limits, days, figures, before)
    save_spells(cursor, serving.model_version, decision.changed, now)
    for notice in decision.notices:
        write_notice(cursor, notice, now)
    return decision.health


def _hold(cursor: Cursor, model_version: str) -> bool:
    """Keep others from deciding on a version; return whether it still is the champion."""
    cursor.execute(statement("health/hold_version"), {"model_version": model_version})
    return list(cursor.fetchall()) == [("champion",)]


def _figures(cursor: Cursor, model_version: str, first: date, last: date) -> dict[str, dict[date, Figures]]:
    """Return figures by series and day."""
    cursor.execute(
        statement("health/select_figures"), {"model_version": model_version, "first": first, "last": last}
    )
    figures: dict[str, dict[date, Figures]] = {}
    for series, day, *sums in cursor.fetchall():
        figures.setdefault(series, {})[day] = Figures(*sums)
    return figures
