"""The grid that windows lie on: how long one lasts, and what follows from it.

The pipeline watches windows of five minutes. History that came on another grid - a file of hourly counts -
is described and judged by the same code on a grid of its own.

The evaluation job ships with this very file, so it uses the standard library alone, in the syntax of the
oldest Python among the job images.
"""

from __future__ import annotations

from dataclasses import dataclass

_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Grid:
    """Windows of one length, aligned to the epoch.

    Attributes:
        window_seconds: how long a window lasts; a day at most.
    """

    window_seconds: int

    @property
    def windows_per_day(self) -> int:
        """Return how many windows make a day, or as near to it as whole windows come."""
        return max(1, round(_DAY_SECONDS / self.window_seconds))

    @property
    def windows_per_month(self) -> float:
        """Return how many windows make thirty days."""
        return 30 * _DAY_SECONDS / self.window_seconds

    def windows_in(self, minutes: float) -> int:
        """Return how many windows come nearest to a time; one at least."""
        return max(1, round(minutes * 60 / self.window_seconds))


FIVE_MINUTES = Grid(300)
