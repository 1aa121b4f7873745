"""Snoozes: mutes that people set while something runs, and end again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pymysql.cursors import Cursor

from vigil.database import Database, connected, in_transaction, statement
from vigil.detection.incident_options import PATTERN, REASON_LIMIT
from vigil.detection.options import Instant, Options
from vigil.errors import SettingsError
from vigil.settings import explain
from vigil.windows import WINDOW

# What is judged from now on began some windows ago; people want silence about it, too.
_BACK = 3 * WINDOW


class SnoozeForm(Options):
    """Says what a person wants.

    Attributes:
        series: pattern of the series to snooze, as in `orders*`; `source:shop` is the silence of a source.
        hours: how long; or else
        until: when it is over.
        reason: why; kept with the incidents of that time.
        end: end the snoozes of this very pattern now.
    """

    series: str = Field(pattern=PATTERN)
    hours: float | None = Field(default=None, gt=0, le=24 * 366)
    until: Instant | None = None
    reason: str = Field(default="", max_length=REASON_LIMIT)
    end: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.end:
            if self.hours is not None or self.until is not None:
                raise ValueError("'end' ends a snooze now: leave out 'hours' and 'until'")
        elif (self.hours is None) == (self.until is None):
            raise ValueError("set either 'hours' or 'until', and not both")
        elif not self.reason.strip():
            raise ValueError("a snooze needs a 'reason', for those who ask why they were not told")
        return self


@dataclass(frozen=True)
class SnoozeOutcome:
    """What became of a wish.

    Attributes:
        pattern: of series.
        until: when the snooze is over; None if it was to be ended.
        ended: snoozes that were ended.
    """

    pattern: str
    until: datetime | None
    ended: int


def snooze(database: Database, content: Mapping[str, Any], run: str, now: datetime) -> SnoozeOutcome:
    """Snooze some series, or end a snooze; a second try of the same run changes nothing.

    Args:
        database: of the pipeline.
        content: the trigger form.
        run: that asks for it.
        now: the present time.

    Raises:
        SettingsError: the form cannot be meant so.
    """
    try:
        form = SnoozeForm.model_validate(content)
    except ValidationError as error:
        raise SettingsError(explain(error, "the trigger form", SnoozeForm)) from error
    until = form.until or now + timedelta(hours=form.hours or 0)
    if not form.end and until <= now:
        raise SettingsError(f"The trigger form cannot be used: until is over since {until} UTC.")

    with connected(database) as connection:
        work = partial(_write, form=form, until=until, run=run, now=now)
        return in_transaction(connection, work)


def _write(cursor: Cursor, form: SnoozeForm, until: datetime, run: str, now: datetime) -> SnoozeOutcome:
    if form.end:
        ended = cursor.execute(statement("detection/end_snoozes"), {"pattern": form.series, "now": now})
        return SnoozeOutcome(form.series, None, ended)
    values = {
        "pattern": form.series,
        "starts_at": now - _BACK,
        "ends_at": until,
        "reason": form.reason.strip(),
        "now": now,
        "run": run,
    }
    cursor.execute(statement("detection/insert_snooze"), values)
    return SnoozeOutcome(form.series, until, 0)
