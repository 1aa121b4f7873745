"""A picture of one series: its counts, its band, what was told, and what people labelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from bench.nab.folder import Label
from bench.nab.telling import Judged, Told


def draw(judged: Judged, told: Told, labels: Sequence[Label], file: Path) -> None:
    """Draw a series.

    Args:
        judged: the series.
        told: where people are told something.
        labels: of people.
        file: PNG to write.
    """
    series, history = judged.history.series, judged.history
    positions = series.windows - history.first
    judgement = history.judged(positions)
    times = _times(series.seconds)
    figure, axes = plt.subplots(figsize=(14, 5.5), layout="constrained")
    axes.fill_between(
        times, judgement.lower, judgement.upper, color="#9ecae1", alpha=0.6, linewidth=0, label="band"
    )
    axes.plot(times, series.values, color="#222222", lw=0.5, label="observed")
    axes.plot(times, history.expected[positions], color="#3182bd", lw=0.8, label="expected")
    for number, label in enumerate(labels):
        axes.axvspan(
            times[label.first],
            times[label.last],
            color="#fdd0a2",
            alpha=0.6,
            zorder=0,
            label=None if number else "labelled by people",
        )
    axes.plot(
        times[told.alerts],
        series.values[told.alerts],
        linestyle="none",
        marker="v",
        color="#de2d26",
        markersize=6,
        label=f"alerts ({len(told.alerts)})",
    )
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("events a window")
    axes.set_title(f"{series.name}: judged as time went by, by models that had seen the past alone")
    axes.tick_params(axis="x", labelsize="small")
    axes.margins(x=0)
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _times(seconds: NDArray[np.float64]) -> NDArray[np.datetime64]:
    return np.rint(seconds * 1000).astype("datetime64[ms]")
