"""Events as columns: a batch of fifty thousand costs a few arrays, not as many objects."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from vigil.windows import WINDOW_SECONDS

MICROSECONDS = 1_000_000
WINDOW_MICROSECONDS = WINDOW_SECONDS * MICROSECONDS
_EVENT_ID_LIMIT = 64

_EPOCH = datetime(1970, 1, 1)
# A series' name stands in alert identities (no slash) and in SNS message groups (ASCII).
_SERIES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Row = tuple[str, datetime, str]


def is_series_name(name: object) -> bool:
    """Tell whether a series may be called so: letters, digits, dot, hyphen, underscore; at most 64."""
    return isinstance(name, str) and _SERIES.fullmatch(name) is not None


def event_id_of(text: str) -> str | None:
    """Return an event's id without the spaces around it, or None if it is none: 1 to 64 printable characters.

    What cannot be printed, the database or a person's terminal might take for something else.
    """
    trimmed = text.strip()
    return trimmed if 0 < len(trimmed) <= _EVENT_ID_LIMIT and trimmed.isprintable() else None


def microseconds_of(instant: datetime) -> int:
    """Return a time as microseconds since the epoch."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def instant_of(microseconds: int) -> datetime:
    """Return the time at so many microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


@dataclass(frozen=True)
class Events:
    """Holds n events.

    Attributes:
        names: the series that occur.
        series: position of each event's series in `names`, shape (n,).
        occurred: microseconds since the epoch, shape (n,).
        event_ids: n of them, each at most 64 characters.
    """

    names: tuple[str, ...]
    series: NDArray[np.int64]
    occurred: NDArray[np.int64]
    event_ids: list[str]

    def __len__(self) -> int:
        return len(self.event_ids)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Events:
        """Make columns of (series, occurred_at, event_id)."""
        rows = list(rows)
        names = tuple(sorted({name for name, _, _ in rows}))
        place = {name: position for position, name in enumerate(names)}
        return cls(
            names,
            np.array([place[name] for name, _, _ in rows], dtype=np.int64),
            np.array([microseconds_of(occurred_at) for _, occurred_at, _ in rows], dtype=np.int64),
            [event_id for _, _, event_id in rows],
        )

    @classmethod
    def joined(
        cls, names: tuple[str, ...], parts: Iterable[tuple[int, NDArray[np.int64], list[str]]]
    ) -> Events:
        """Put together the events of several series.

        Args:
            names: the series.
            parts: position in `names`, microseconds since the epoch, event ids.
        """
        parts = list(parts)
        return cls(
            names,
            np.repeat(
                np.array([position for position, _, _ in parts], dtype=np.int64),
                np.array([len(occurred) for _, occurred, _ in parts], dtype=np.int64),
            ),
            np.concatenate([np.zeros(0, dtype=np.int64), *(occurred for _, occurred, _ in parts)]),
            [event_id for _, _, event_ids in parts for event_id in event_ids],
        )

    def where(self, wanted: NDArray[np.bool_]) -> Events:
        """Return the events at which `wanted`, shape (n,), is true."""
        return Events(
            self.names,
            self.series[wanted],
            self.occurred[wanted],
            [event_id for event_id, want in zip(self.event_ids, wanted.tolist(), strict=True) if want],
        )

    def without(self, names: Collection[str]) -> Events:
        """Return the events of all other series."""
        if not names:
            return self
        places = [place for place, name in enumerate(self.names) if name in names]
        return self.where(~np.isin(self.series, places))

    def windows(self) -> list[tuple[str, datetime]]:
        """Return the windows that hold these events, each once, in the order of their key."""
        distinct = set(
            zip(self.series.tolist(), (self.occurred // WINDOW_MICROSECONDS).tolist(), strict=True)
        )
        return sorted(
            (self.names[series], instant_of(number * WINDOW_MICROSECONDS)) for series, number in distinct
        )

    def rows(self) -> list[tuple[str, int, str]]:
        """Return (series, microseconds since the epoch, event_id) in the order of the events' key."""
        named = [self.names[position] for position in self.series.tolist()]
        return sorted(zip(named, self.occurred.tolist(), self.event_ids, strict=True))


NO_EVENTS = Events.of(())
