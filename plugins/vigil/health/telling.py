"""What people are told of a model's health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from vigil.aws import content_hash
from vigil.health.judging import JudgedDay
from vigil.health.spells import Spell
from vigil.notices import Notice
from vigil.released_models import ReleasedModel

_MOST_NAMED = 5


@dataclass(frozen=True)
class Outside:
    """A series that is outside its limits.

    Attributes:
        series: its name.
        last_day: what is to be said of its last day.
    """

    series: str
    last_day: JudgedDay


def model_left(
    serving: ReleasedModel,
    spell: Spell,
    days: Mapping[date, JudgedDay],
    series: Sequence[Outside],
    retraining_run: str,
) -> Notice:
    """Tell that a model as a whole has left its limits, and is trained again.

    Args:
        serving: the champion.
        spell: that opened.
        days: of the spell, in order.
        series: that are outside too, the worst first.
        retraining_run: of retrain_weekly.
    """
    lines = [
        f"{serving.model_version} does not keep what its evaluation promised, for {_days(len(days))} now.",
        f"It is trained again early: retrain_weekly, run {retraining_run}. A better candidate takes its "
        "place; this version sets off no other training until it has kept its limits for a day.",
        *(f"{day}: {judged.text}" for day, judged in days.items()),
        *(["Series that are outside too, the worst first:", *_named(series)] if series else []),
    ]
    return Notice(
        f"model-left-its-limits/{serving.model_version}/{spell.began:%Y%m%d}",
        "model-left-its-limits",
        serving.model,
        "\n".join(lines),
    )


def model_returned(serving: ReleasedModel, spell: Spell) -> Notice:
    """Tell that a model keeps its limits again."""
    return Notice(
        f"model-back-in-its-limits/{serving.model_version}/{spell.began:%Y%m%d}",
        "model-back-in-its-limits",
        serving.model,
        f"{serving.model_version} keeps what its evaluation promised again.\n"
        f"{spell.ended} was the first day inside its limits since {spell.began}.",
    )


def series_left(serving: ReleasedModel, days: Sequence[date], series: Sequence[Outside]) -> Notice:
    """Tell that series have left their limits, which alone trains nothing.

    Args:
        serving: the champion.
        days: for which they are outside.
        series: the worst first.
    """
    which = series[0].series if len(series) == 1 else f"{len(series)} series"
    lines = [
        f"{which}: {serving.model_version} does not keep what its evaluation promised, for "
        f"{_days(len(days))} now.",
        "Nothing is trained for that: all series together decide. Has something changed in what is counted? "
        "If it stays so, trigger retrain_weekly.",
        f"On {days[-1]}, the worst first:",
        *_named(series),
    ]
    names = content_hash(sorted(one.series for one in series))
    return Notice(
        f"series-left-their-limits/{serving.model_version}/{days[0]:%Y%m%d}-{names}",
        "series-left-their-limits",
        serving.model,
        "\n".join(lines),
    )


def _named(series: Sequence[Outside]) -> list[str]:
    lines = [
        f"- {one.series}: {one.last_day.text or 'too little was judged'}" for one in series[:_MOST_NAMED]
    ]
    more = len(series) - len(lines)
    return [*lines, f"- and {more:,} more"] if more else lines


def _days(count: int) -> str:
    return "a day" if count == 1 else f"{count} days"
