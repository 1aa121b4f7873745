"""The gate: may a candidate be released?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vigil.training.spec.gates import Gates


@dataclass(frozen=True)
class GateDecision:
    """What the gate said.

    Attributes:
        passed: whether the candidate may be released.
        reasons: why not, one sentence a threshold.
        metrics: of the candidate on the test part, by name; None where not defined.
        thresholds: that were asked for, by name.
        champion: model version that the candidate was compared with.
    """

    passed: bool
    reasons: tuple[str, ...]
    metrics: dict[str, float | None]
    thresholds: dict[str, Any]
    champion: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the decision as JSON-like content."""
        return {**asdict(self), "reasons": list(self.reasons)}


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
    reasons = [*_missed_thresholds(metrics, gates), *_worse_than_champion(evaluation, gates)]
    return GateDecision(
        passed=not reasons,
        reasons=tuple(reasons),
        metrics=metrics,
        thresholds=gates.model_dump(exclude_none=True),
        champion=judged_against(evaluation),
    )


def _missed_thresholds(metrics: Mapping[str, float | None], gates: Gates) -> Iterator[str]:
    for name, threshold in gates.model_dump(exclude_none=True, exclude={"not_worse_than_champion"}).items():
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
    # The best value of every metric but coverage is zero, and none is the better for being far below it.
    best = float(evaluation["band_coverage"]) if gate.metric == "coverage" else 0.0
    if abs(ours - best) > abs(theirs - best) + gate.by:
        yield (
            f"{gate.metric} is {ours:.4g}, worse than the champion {champion['model_version']} "
            f"({theirs:.4g}) by more than {gate.by:g}."
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
