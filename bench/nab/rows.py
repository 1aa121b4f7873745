"""Writes every row's outcome: a CSV a series, its rows and stamps as in the folder."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from bench.nab.telling import Judged, Told

COLUMNS = ("timestamp", "value", "expected", "lower", "upper", "score", "alert")


def write_rows(judged: Judged, told: Told, file: Path) -> None:
    """Write the outcome of every row of a series.

    Args:
        judged: the series.
        told: where people are told something; `alert` is 1 there.
        file: to write. Rows that no model judged have no expectation and the score 0.
    """
    series, history = judged.history.series, judged.history
    positions = series.windows - history.first
    alerts = np.zeros(len(positions), dtype=int)
    alerts[told.alerts] = 1
    judgement = history.judged(positions)
    numbers = np.column_stack(
        [history.expected[positions], judgement.lower, judgement.upper, judgement.windows]
    ).tolist()
    places = np.empty(len(positions), dtype=np.int64)
    places[series.order] = np.arange(len(positions))
    with file.open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow(COLUMNS)
        for texts, place in zip(series.texts, places.tolist(), strict=True):
            *expectations, score = numbers[place]
            rows.writerow([*texts, *map(_text, expectations), f"{score:.6g}", alerts[place]])


def _text(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.4f}"
