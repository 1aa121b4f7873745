"""A picture of one series: what was counted, what was expected, and where they parted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.dates as mdates
import matplotlib.pyplot as plt

from local_stack.demo.sample import Label
from vigil.windows import WINDOW


@dataclass(frozen=True)
class Judged:
    """One judged window."""

    window_start: datetime
    observed: int
    expected: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Incident:
    """One incident, as the database holds it."""

    series: str
    kind: str
    opened_at: datetime
    last_anomalous: datetime
    windows: int
    peak_score: float


def draw(
    series: str,
    windows: Sequence[Judged],
    incidents: Sequence[Incident],
    labels: Sequence[Label],
    file: Path,
) -> None:
    """Draw the band, the counts and the incidents of a series, over what people labelled.

    Args:
        series: its name.
        windows: in order of time.
        incidents: of this series.
        labels: of this series.
        file: PNG to write.
    """
    figure, axes = plt.subplots(figsize=(14, 5.5), layout="constrained")
    starts = [window.window_start for window in windows]
    axes.fill_between(
        starts,
        [window.lower for window in windows],
        [window.upper for window in windows],
        color="#9ecae1",
        alpha=0.6,
        linewidth=0,
        label="band",
    )
    axes.plot(starts, [window.observed for window in windows], color="#222222", lw=0.5, label="observed")
    axes.plot(starts, [window.expected for window in windows], color="#3182bd", lw=0.8, label="expected")
    for number, label in enumerate(labels):
        axes.axvspan(
            max(label.first, starts[0]),
            label.last + WINDOW,
            color="#fdd0a2",
            alpha=0.6,
            zorder=0,
            label="labelled by people" if number == 0 else None,
        )
    peaks = {window.window_start: window.observed for window in windows}
    marked = [(i.opened_at, _highest(peaks, i)) for i in incidents]
    if marked:
        axes.plot(
            [when for when, _ in marked],
            [count for _, count in marked],
            linestyle="none",
            marker="v",
            color="#de2d26",
            markersize=6,
            label=f"incidents ({len(marked)})",
        )
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("events in five minutes")
    axes.set_title(f"{series}: the last two weeks, judged a day at a time by a model that had not seen them")
    axes.xaxis.set_major_locator(mdates.DayLocator())
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%d %b"))
    axes.set_xlim(starts[0], starts[-1])
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _highest(counts: dict[datetime, int], incident: Incident) -> int:
    within = [c for start, c in counts.items() if incident.opened_at <= start <= incident.last_anomalous]
    return max(within, default=0)
