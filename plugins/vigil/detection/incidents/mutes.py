"""Mutes: times in which nothing is told of some series.

A mute comes from a calendar in the pipeline file, from a snooze, or from a mass outage that is told as one.
Verdicts and incidents are recorded all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from vigil.windows import WINDOW


@dataclass(frozen=True)
class Mute:
    """A time in which nothing is told of the series that a pattern matches.

    Attributes:
        pattern: of series, as in `orders*`; `source:shop` is the silence of a source.
        start: when it begins.
        end: when it is over; None while nobody knows.
        reason: why; kept with the incidents of which nothing was told.
    """

    pattern: str
    start: datetime
    end: datetime | None
    reason: str

    def touches(self, window_start: datetime) -> bool:
        """Tell whether a window lies in it, be it in part."""
        return self.start < window_start + WINDOW and (self.end is None or window_start < self.end)


def mutes_of(subject: str, mutes: Iterable[Mute]) -> list[Mute]:
    """Return the mutes of a series, or of `source:` and a source's name."""
    return [mute for mute in mutes if fnmatchcase(subject, mute.pattern)]


def reason_at(window_start: datetime, mutes: Iterable[Mute]) -> str | None:
    """Return why nothing is told of a window, by the first mute that it touches."""
    return next((mute.reason for mute in mutes if mute.touches(window_start)), None)
