"""Fills a database with many series of five-minute counts that were judged, and tells how much is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from vigil.database import Database, connected
from vigil.windows import WINDOW

_PER_STEP = 100


@dataclass(frozen=True)
class ManySeries:
    """Series with a count in every window.

    Attributes:
        number: how many.
        windows: that each has.
        end: of the last window.
    """

    number: int
    windows: int
    end: datetime

    @property
    def names(self) -> list[str]:
        """Return their names."""
        return [f"series-{number:05d}" for number in range(self.number)]

    def fill(self, database: Database, live_from: datetime) -> None:
        """Write counts and, before the live windows, what was expected.

        Args:
            database: that has none of them yet.
            live_from: first window that nobody has judged.
        """
        first = self.end - self.windows * WINDOW
        with connected(database) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO series (series, source, first_window, watermark, live_from, counted_until,"
                " judged_until) VALUES (%s, 'shop', %s, %s, %s, %s, %s)",
                [(name, first, self.end, live_from, self.end, live_from) for name in self.names],
            )
            places = json.dumps(list(range(self.windows)))
            for start in range(0, self.number, _PER_STEP):
                names = json.dumps(self.names[start : start + _PER_STEP])
                cursor.execute(
                    "INSERT INTO window_counts"
                    " (series, window_start, observed, revision, counted_at, expected)"
                    " SELECT n.series, %s + INTERVAL p.place * 300 SECOND, 20 + 20 * RAND(), 1, %s,"
                    "  IF(%s + INTERVAL p.place * 300 SECOND < %s, 25 + 10 * RAND(), NULL)"
                    " FROM JSON_TABLE(%s, '$[*]' COLUMNS (series VARCHAR(64) PATH '$')) AS n"
                    " STRAIGHT_JOIN JSON_TABLE(%s, '$[*]' COLUMNS (place INT PATH '$')) AS p",
                    (first, self.end, first, live_from, names, places),
                )
                connection.commit()


def rows_read(database: Database) -> int:
    """Return how many rows the server has read so far, those of temporary tables left out."""
    with connected(database) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Rows_read'")
        return int(cursor.fetchall()[0][1])
