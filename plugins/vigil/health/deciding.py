"""What follows from the last days of a champion: spells that open or end, and whom to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from vigil.health.figures import NOTHING, Figures
from vigil.health.judging import UNKNOWN, JudgedDay, judge_day
from vigil.health.promise import promise_of
from vigil.health.spells import WHOLE_MODEL, Spell, go_on
from vigil.health.telling import Outside, model_left, model_returned, series_left
from vigil.health_limits import HealthLimits
from vigil.notices import Notice
from vigil.released_models import ReleasedModel

Outcome = Literal["unknown", "healthy", "watch", "retraining-triggered"]
_OUTCOMES: dict[str, Outcome] = {"unknown": "unknown", "inside": "healthy", "outside": "watch"}
_MOST_IN_OUTCOME = 20


@dataclass(frozen=True)
class Health:
    """How the champion does.

    Attributes:
        outcome: healthy; watch while it is outside its limits, but not for long enough; retraining-triggered
            from then on until a day is inside again; unknown when too little was judged to say anything.
        model: name of the model spec.
        model_version: the champion; None when there is none.
        retraining_run: name of the early training; None unless one is triggered.
        days: figures of the last days, all series together, and the limits that they miss.
        series_outside: how many series are outside their limits for long enough.
        worst_series: names of the worst of them.
    """

    outcome: Outcome
    model: str
    model_version: str | None = None
    retraining_run: str | None = None
    days: dict[str, dict[str, Any]] = field(default_factory=dict)
    series_outside: int = 0
    worst_series: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What follows from the last days.

    Attributes:
        serving: the champion.
        figures: of the last days, all series together; some may be missing.
        judged: what is to be said of each of the last days, by series and for the whole model.
        spells: the latest of each series, by name.
        changed: those among them that opened or ended just now.
    """

    serving: ReleasedModel
    figures: Mapping[date, Figures]
    judged: Mapping[str, Mapping[date, JudgedDay]]
    spells: Mapping[str, Spell]
    changed: Sequence[Spell]

    @property
    def notices(self) -> list[Notice]:
        """Return what people are told, once a spell."""
        opened = {spell.series for spell in self.changed if spell.ended is None}
        whole = self.spells.get(WHOLE_MODEL)
        if whole and WHOLE_MODEL in opened:
            days = self.judged[WHOLE_MODEL]
            return [
                model_left(self.serving, whole, days, self._outside, _retraining_run(self.serving, whole))
            ]
        notices = []
        if whole and whole in self.changed:
            notices.append(model_returned(self.serving, whole))
        if opened:
            newly = [one for one in self._outside if one.series in opened]
            notices.append(series_left(self.serving, list(self.judged[WHOLE_MODEL]), newly))
        return notices

    @property
    def health(self) -> Health:
        """Return how the champion does."""
        whole = self.spells.get(WHOLE_MODEL)
        days = self.judged[WHOLE_MODEL]
        run = _retraining_run(self.serving, whole) if whole and whole.ended is None else None
        return Health(
            outcome="retraining-triggered" if run else _OUTCOMES[list(days.values())[-1].state],
            model=self.serving.model,
            model_version=self.serving.model_version,
            retraining_run=run,
            days={
                day.isoformat(): {
                    **self.figures.get(day, NOTHING).to_json(),
                    "state": judged.state,
                    "misses": [miss.text for miss in judged.misses],
                }
                for day, judged in days.items()
            },
            series_outside=len(self._outside),
            worst_series=tuple(one.series for one in self._outside[:_MOST_IN_OUTCOME]),
        )

    @property
    def _outside(self) -> list[Outside]:
        """Return the series that are in a spell, the worst first."""
        outside = [
            Outside(series, list(self.judged[series].values())[-1] if series in self.judged else UNKNOWN)
            for series, spell in self.spells.items()
            if series != WHOLE_MODEL and spell.ended is None
        ]
        return sorted(outside, key=lambda one: (-one.last_day.times, one.series))


def decide(
    serving: ReleasedModel,
    limits: HealthLimits,
    days: Sequence[date],
    figures: Mapping[str, Mapping[date, Figures]],
    before: Mapping[str, Spell],
) -> Decision:
    """Judge the last days, and say what follows.

    Args:
        serving: the champion.
        limits: how far from its promise it may be.
        days: the last ones, as many as it takes to open a spell, in order.
        figures: of series, by name and day.
        before: the latest spell of each series that has had one, by name.
    """
    promise = promise_of(serving)
    whole: dict[date, Figures] = {}
    for by_day in figures.values():
        for day, own in by_day.items():
            whole[day] = whole.get(day, NOTHING) + own
    judged = {
        series: {day: judge_day(by_day.get(day), promise, limits, series) for day in days}
        for series, by_day in {**figures, WHOLE_MODEL: whole}.items()
    }
    after = {series: go_on(before.get(series), series, own) for series, own in judged.items()}
    spells = {**before, **{series: spell for series, spell in after.items() if spell}}
    changed = [spell for series, spell in spells.items() if spell != before.get(series)]
    return Decision(serving, whole, judged, spells, changed)


def _retraining_run(serving: ReleasedModel, spell: Spell) -> str:
    """Return the name of the run that a spell of the whole model sets off; the same each time."""
    return f"model-health__{serving.model_version.replace('/', '-')}__{spell.began:%Y%m%d}"
