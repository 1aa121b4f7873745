"""What the demo watches: the pipeline file it writes, and the moments that follow from when it began."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from local_stack.demo.sample import Sample
from vigil.windows import WINDOW, window_of

LIVE_SERIES = "orders"
REPLAY = "nab"
# So that a window is due soon after the first model serves, whenever in a window the demo begins.
_LIVE_LEAD = timedelta(minutes=2)
_SPIKE_FACTOR = 10.0


@dataclass(frozen=True)
class Plan:
    """Tells what is simulated when.

    Attributes:
        sample: the real series.
        live_from: first window that is judged live; the spike lies in it.
    """

    sample: Sample
    live_from: datetime

    @classmethod
    def beginning_at(cls, sample: Sample, now: datetime) -> Plan:
        """Make a plan for a demo that begins now."""
        return cls(sample, window_of(now - _LIVE_LEAD))

    @property
    def spike(self) -> tuple[datetime, datetime]:
        """Return the window that gets the spike, from and to."""
        return self.live_from, self.live_from + WINDOW

    def write_pipeline(self, file: Path, *, hold_back: bool) -> None:
        """Write the pipeline file.

        Args:
            file: to write.
            hold_back: leave out the last days of the real series, until a model has been trained without.
        """
        starts, ends = self.spike
        replay = {
            "kind": "replay",
            "name": REPLAY,
            "path": str(self.sample.folder),
            "shift_weeks": self.sample.shift_weeks,
        }
        if hold_back:
            replay["until"] = self.sample.held_back_from.isoformat() + "Z"
        simulator = {
            "kind": "simulator",
            "name": "shop",
            "seed": 42,
            "starts_at": (self.live_from - timedelta(weeks=4)).isoformat() + "Z",
            "live_from": self.live_from.isoformat() + "Z",
            "series": [{"name": LIVE_SERIES, "base_rate": 60}, {"name": "logins", "base_rate": 25}],
            "anomalies": [
                {
                    "series": LIVE_SERIES,
                    "kind": "spike",
                    "from": starts.isoformat() + "Z",
                    "to": ends.isoformat() + "Z",
                    "factor": _SPIKE_FACTOR,
                }
            ],
        }
        file.write_text(yaml.safe_dump({"model": "event-counts", "sources": [simulator, replay]}))
