"""Spells: days on end on which a model, or one of its series, is outside its limits.

A spell opens when every one of the last few days was outside, and ends with the first day that is inside
again. A day of which nothing is known does neither: what is unknown is not held against a model, and does not
clear it either. Days that belong to a spell that has ended open no other one, even if a recount turns them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.health.judging import JudgedDay

WHOLE_MODEL = ""
"""Stands for all series together where the name of a series is asked for."""


@dataclass(frozen=True)
class Spell:
    """Days outside the limits.

    Attributes:
        series: that is outside; empty for the model as a whole.
        began: first day.
        ended: first day inside again; None while it goes on.
    """

    series: str
    began: date
    ended: date | None = None


def go_on(spell: Spell | None, series: str, days: Mapping[date, JudgedDay]) -> Spell | None:
    """Return the latest spell of a series by what is known now; the one given if nothing changes.

    Args:
        spell: the latest one that is known, open or ended.
        series: its name; empty for the model as a whole.
        days: the last ones, as many as it takes to open a spell, in order.
    """
    first, last = min(days), max(days)
    ended = spell.ended if spell else None
    if spell and ended is None:
        return replace(spell, ended=last) if days[last].state == "inside" else spell
    if all(day.state == "outside" for day in days.values()) and (ended is None or first > ended):
        return Spell(series, first)
    return spell


def read_spells(cursor: Cursor, model_version: str, since: date) -> dict[str, Spell]:
    """Return the latest spell of each series that has had one, from a day on."""
    cursor.execute(statement("health/select_spells"), {"model_version": model_version, "since": since})
    return {series: Spell(series, began, ended) for series, began, ended in cursor.fetchall()}


def save_spells(cursor: Cursor, model_version: str, spells: Iterable[Spell], now: datetime) -> None:
    """Write spells down; of known ones, whether they have ended."""
    rows = [(spell.series, spell.began, spell.ended) for spell in spells]
    cursor.execute(
        statement("health/save_spells"),
        {"model_version": model_version, "now": now, "spells": json.dumps(rows, default=str)},
    )
