"""The gate: may a candidate be released?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vigil.training.spec.gates import METRICS, Gates

_NOT_WORSE, _BETTER = "not_worse_than_champion", "better_than_champion"
# 0.85 less 0.83 is a little more than 0.02.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class GateDecision:
    """What the gate said.

    Attributes:
        passed: whether the candidate may be released.
        reasons: why not, one sentence a threshold.
        metrics: of the candidate on the test part, by name; None where not defined.
        thresholds: that were asked for, by name.
        champion: model version that the candidate was compared with.
        confidence: share of resamples in which the candidate is better than the champion, by metric; None
            where that is not defined. Empty without a champion.
        notes: what a person should know beside it, one sentence each.
    """

    passed: bool
    reasons: tuple[str, ...]
    metrics: dict[str, float | None]
    thresholds: dict[str, Any]
    champion: str | None
    confidence: dict[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the decision as JSON-like content."""
        return {**asdict(self), "reasons": list(self.reasons), "notes": list(self.notes)}


def judged_against(evaluation: Mapping[str, Any]) -> str | None:
    """Return the model version of the champion in an evaluation.

    Who waited for the release lease compares it with the champion of now, and evaluates anew if they differ.
    """
    champion = evaluation["champion"]
    return champion["model_version"] if champion else None


def judge_candidate(evaluation: Mapping[str, Any], gates: Gates) -> GateDecision:
    """Compare a candidate's metrics with the thresholds of its model spec, and with the champion.

    Args:
        evaluation: content of `evaluation.json`.
        gates: of the model spec.
    """
    metrics = dict(evaluation["candidate"]["metrics"])
    reasons = [
        *_missed_thresholds(metrics, gates),
        *_worse_than_champion(evaluation, gates),
        *_not_surely_better(evaluation, gates),
    ]
    return GateDecision(
        passed=not reasons,
        reasons=tuple(reasons),
        metrics=metrics,
        thresholds=gates.model_dump(exclude_none=True),
        champion=judged_against(evaluation),
        confidence=dict(evaluation.get("confidence") or {}),
        notes=tuple(_notes(evaluation, gates)),
    )


def _notes(evaluation: Mapping[str, Any], gates: Gates) -> Iterator[str]:
    asked = [name for name in (_NOT_WORSE, _BETTER) if getattr(gates, name) is not None]
    if asked and evaluation["champion"] is None:
        yield (
            "No version serves yet, so there was nothing to compare with: "
            f"{' and '.join(asked)} did not apply."
        )


def _missed_thresholds(metrics: Mapping[str, float | None], gates: Gates) -> Iterator[str]:
    for name, threshold in gates.model_dump(exclude_none=True, exclude={_NOT_WORSE, _BETTER}).items():
        side, _, metric = name.partition("_")
        absolute = metric.startswith("abs_")
        metric = metric.removeprefix("abs_")
        value = _finite(metrics.get(metric))
        if value is None:
            yield f"{metric} was not measured, so {name} ({threshold:g}) cannot be checked."
            continue
        value = abs(value) if absolute else value
        if side == "max" and value > threshold:
            yield f"{metric} is {value:.4g}, above {name} ({threshold:g})."
        if side == "min" and value < threshold:
            yield f"{metric} is {value:.4g}, below {name} ({threshold:g})."


def _worse_than_champion(evaluation: Mapping[str, Any], gates: Gates) -> Iterator[str]:
    gate, champion = gates.not_worse_than_champion, evaluation["champion"]
    if gate is None or champion is None:
        return
    ours = _finite(evaluation["candidate"]["metrics"].get(gate.metric))
    theirs = _finite(champion["metrics"].get(gate.metric))
    if ours is None or theirs is None:
        whose = "the candidate's" if ours is None else "the champion's"
        yield f"{whose} {gate.metric} was not measured, so the two cannot be compared."
        return
    best = _best_value(gate.metric, evaluation)
    worse_by = abs(ours - best) - abs(theirs - best)
    if worse_by - gate.by > _ROUNDING * max(abs(ours), abs(theirs)):
        yield (
            f"{gate.metric} is {ours:.4g}, worse than the champion {champion['model_version']} "
            f"({theirs:.4g}) by more than {gate.by:g}."
        )


def _not_surely_better(evaluation: Mapping[str, Any], gates: Gates) -> Iterator[str]:
    gate, champion = gates.better_than_champion, evaluation["champion"]
    if gate is None or champion is None:
        return
    confidence = _finite((evaluation.get("confidence") or {}).get(gate.metric))
    if confidence is None:
        yield (
            f"how surely {gate.metric} is better than the champion's was not measured, so "
            f"better_than_champion ({gate.confidence:g}) cannot be checked."
        )
    elif confidence < gate.confidence:
        yield (
            f"{gate.metric} is better than that of the champion {champion['model_version']} with a "
            f"confidence of {confidence:.4g}, below better_than_champion ({gate.confidence:g})."
        )


def _best_value(metric: str, evaluation: Mapping[str, Any]) -> float:
    """Return a metric's value at its best; none is the better for being far beyond it."""
    if metric == "coverage":
        return float(evaluation["band_coverage"])
    return 0.0 if metric in METRICS["regression"] else 1.0


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
