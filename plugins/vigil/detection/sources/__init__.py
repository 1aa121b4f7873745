"""Sources of events, behind one small interface.

A source is asked for what is new after a position. The position is stored in the transaction that stores the
events, so a kill between any two steps loses nothing and doubles nothing; an event given twice is one event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from vigil.detection.events import Events

Position = dict[str, Any]

EVENTS_PER_BATCH = 50_000
NEVER = datetime(9999, 12, 31)
"""As `live_from`: the series is history to the end, `detect_anomalies` does not judge it."""


@dataclass(frozen=True)
class SeriesState:
    """What a source knows of one of its series.

    Attributes:
        first_window: no window before it is counted; by default the one of the first event.
        watermark: the series is complete up to here.
        retired_at: the series ends here.
        live_from: first window to be judged live; by default the present one when the series appears.
    """

    first_window: datetime | None = None
    watermark: datetime | None = None
    retired_at: datetime | None = None
    live_from: datetime | None = None


def _nothing(foreign: Collection[str]) -> None:
    """Do nothing: most sources need no word that their events are stored."""


@dataclass(frozen=True)
class Batch:
    """What a source gave.

    Attributes:
        events: at most about `EVENTS_PER_BATCH`.
        position: from where to go on after them; JSON-like.
        series: what is known of single series, which the source itself names, not only its events.
        watermark: every series of the source that is not retired is complete up to here.
        more: more is waiting.
        malformed: messages or rows that are no events.
        acknowledge: to be called when the events are stored, with the series of other sources, whose
            events were not.
    """

    events: Events
    position: Position
    series: Mapping[str, SeriesState] = field(default_factory=dict)
    watermark: datetime | None = None
    more: bool = False
    malformed: int = 0
    acknowledge: Callable[[Collection[str]], None] = _nothing


class Source(Protocol):
    """Gives events and says up to when it is complete."""

    @property
    def name(self) -> str:
        """Name in the pipeline settings."""
        ...

    def take(self, position: Position | None, now: datetime) -> Batch:
        """Return what is new after `position`; None asks for everything."""
        ...


def position_text(position: Position | None) -> str:
    """Return a position as it is stored: equal positions have equal texts."""
    return json.dumps(position, sort_keys=True, separators=(",", ":"))
