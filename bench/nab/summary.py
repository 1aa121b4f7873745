"""The summary of a folder: as JSON for machines, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from bench.nab.contenders import Outcome, Watched
from bench.nab.published import PUBLISHED, are_the_six
from bench.nab.scoring import Scores

REQUIRED = {"standard": 73.8, "low_fp": 65.0}
AIMED_AT = {"standard": 83.0, "low_fp": 73.1}
_THRESHOLD = "threshold: false incidents that a series is to have a month; of standard deviations, how many"
_SCORED = (
    "F1: a labelled stretch is a hit if something is told in it, an incident is false if it opens outside",
    "false a month: such incidents by series and month, from the first model on",
)
_NAB = ("standard", "low_fp", "low_fn")


@dataclass(frozen=True)
class Summary:
    """What is to be said of a folder.

    Attributes:
        watched: the replayed folder, with the model of the pipeline.
        default: what is found at the threshold as shipped.
        best: what is found at the best one; None where nothing is labelled.
        others: the other contenders, at theirs.
        window_s: seconds that a window takes: described, predicted, judged, folded into incidents.
    """

    watched: Watched
    default: Outcome
    best: Outcome | None
    others: Sequence[Outcome]
    window_s: float

    @property
    def published(self) -> bool:
        """Tell whether the published rows speak of this folder."""
        return self.best is not None and are_the_six([one.history.series for one in self.watched.series])

    def to_json(self) -> dict[str, Any]:
        """Return the summary as it stands in `nab.json`."""
        hits, months = self.default.hits, self.watched.months
        content: dict[str, Any] = {
            "default": _scores_json(self.default),
            "best": _scores_json(self.best) if self.best else None,
            "f1": round(hits.f1, 3) if hits else None,
            "incidents": self.default.incidents,
            "false_incidents_per_series_month": _rate(hits.false_incidents, months) if hits else None,
            "window_ms": round(self.window_s * 1000, 4),
            "series": len(self.watched.series),
            "labelled": hits.labels if hits else None,
            "hits": hits.hits if hits else None,
            "incidents_per_series_month": _rate(self.default.incidents, months),
            "series_months": round(months, 3),
            "windows": self.watched.windows,
            "trainings": self.watched.trainings,
            "others": [{"label": one.label, **_scores_json(one)} for one in self.others],
        }
        if self.published:
            content["published"] = [
                {"label": one.label, "default": vars(one.default), "best": vars(one.best)}
                for one in PUBLISHED
            ]
            content |= {"required": REQUIRED, "aimed_at": AIMED_AT, "met": self._is_met()}
        return content

    def _is_met(self) -> bool:
        scores = self.default.scores
        return (
            scores is not None
            and scores.standard > REQUIRED["standard"]
            and scores.low_fp >= REQUIRED["low_fp"]
        )

    def notes(self) -> list[str]:
        """Return what a reader of the table should know."""
        notes = [_THRESHOLD]
        notes.extend(_SCORED if self.best else ("nothing is labelled, so nothing is scored",))
        if not self.watched.windows:
            notes.append("no window was judged: there is too little history to hold enough of it out")
        return notes

    def table(self) -> Table:
        """Return the summary as a table."""
        table = Table(
            "detector", "threshold", "standard", "low-FP", "low-FN", "F1", "incidents", "false a month"
        )
        for one in (self.default, *([self.best] if self.best else []), *self.others):
            table.add_row(one.label, f"{one.threshold:.3g}", *_cells(one, self.watched.months))
        if self.published:
            table.add_section()
            for row in PUBLISHED:
                pairs = zip(vars(row.default).values(), vars(row.best).values(), strict=True)
                table.add_row(row.label, "its own (best)", *(f"{own} ({best})" for own, best in pairs))
        return table


def _scores_json(outcome: Outcome) -> dict[str, float | None]:
    scores: dict[str, float | None] = dict.fromkeys(_NAB)
    if outcome.scores:
        scores |= {name: round(value, 2) for name, value in vars(outcome.scores).items()}
    return {"threshold": round(outcome.threshold, 4), **scores}


def _cells(outcome: Outcome, months: float) -> list[str]:
    scores: Scores | None = outcome.scores
    hits = outcome.hits
    return [
        *([f"{value:.1f}" for value in vars(scores).values()] if scores else [""] * len(_NAB)),
        f"{hits.f1:.2f}" if hits else "",
        str(outcome.incidents),
        str(_rate(hits.false_incidents, months)) if hits else "",
    ]


def _rate(count: int, months: float) -> float | None:
    return round(count / months, 2) if months else None
