"""Verdicts: what was observed against what was expected, and how they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymysql.cursors import Cursor

from vigil.database import statement
from vigil.detection.rows import as_json

NORMAL, HIGH, LOW = "normal", "high", "low"

_ROWS_PER_STATEMENT = 20_000


@dataclass(frozen=True)
class Count:
    """One counted window.

    Attributes:
        series: its name.
        window_start: when it begins.
        observed: events in it.
        revision: of the count.
    """

    series: str
    window_start: datetime
    observed: int
    revision: int


@dataclass(frozen=True)
class Verdict:
    """One judged window.

    Attributes:
        series: its name.
        window_start: when it begins.
        revision: of the count that was judged.
        model_version: that answered.
        observed: events in it.
        expected: events, as the model says.
        lower: bound of the band.
        upper: bound of the band.
        score: as rare as one window in so many; negative below what was expected.
        extrapolated: rarer than what the calibration could show.
        verdict: normal, high or low.
    """

    series: str
    window_start: datetime
    revision: int
    model_version: str
    observed: int
    expected: float
    lower: float
    upper: float
    score: float
    extrapolated: bool
    verdict: str

    @property
    def is_anomalous(self) -> bool:
        """Tell whether the window is high or low."""
        return self.verdict != NORMAL

    @property
    def usual(self) -> int | None:
        """Return what an anomalous window counts as in features: the bound that it went beyond, if it did."""
        if self.verdict == HIGH:
            return min(self.observed, round(self.upper))
        return max(self.observed, round(self.lower)) if self.verdict == LOW else None


def verdict_of(row: Sequence[Any]) -> Verdict:
    """Return the verdict of a row that has its fields in order."""
    values = (*row[:-2], bool(row[-2]), row[-1])
    return Verdict(*values)


def save_verdicts(cursor: Cursor, verdicts: Sequence[Verdict], now: datetime) -> None:
    """Store verdicts, and beside the counts what features take of them.

    The same count judged again by the same version replaces its verdict.
    """
    cursor.executemany(
        statement("detection/insert_predictions"),
        [(*vars(verdict).values(), now) for verdict in verdicts],
    )
    judged = [(v.series, v.window_start, v.revision, v.expected, v.usual) for v in verdicts]
    # A server takes 16 MB a statement, if nobody told it otherwise.
    for start in range(0, len(judged), _ROWS_PER_STATEMENT):
        rows = judged[start : start + _ROWS_PER_STATEMENT]
        cursor.execute(statement("detection/keep_judgements"), {"windows": as_json(rows)})
