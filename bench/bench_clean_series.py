"""How often series are called anomalous that are not, and how many windows the band really holds.

Eight simulated series from one event in three hours to 1,500 in five minutes, four months each, go through
detection as time went by, trained weekly, at a threshold of one false incident a month. Every incident is
false, and all of them count from the first model on, when it has seen two days. Coverage is that of each
model's band on the test part of its training, the tenth that neither trained nor calibrated it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.nab.folder import Series
from bench.nab.replay import Replayed, replay
from bench.nab.telling import Judged, judged_of
from bench.nab.training import Model, split, windows_of
from bench.report import Figure, write_figures
from vigil.calibration import judge_history
from vigil.detection.pipeline import SimulatedSeries
from vigil.detection.sources.simulator import usual_rate
from vigil.grid import FIVE_MINUTES
from vigil.training.spec.model import ModelSpec, load_model_spec
from vigil.windows import WINDOWS_PER_DAY

SEEDS = (1, 2, 3)
DAYS = 122
RATE = 1.0
MOST_IN_THE_MEAN, MOST_OF_ONE = 1.0, 4
COVERAGE_WITHIN = 0.01
_MONTH = 30 * WINDOWS_PER_DAY
_SETTLED = 28 * WINDOWS_PER_DAY
# The first of January 2025, a Wednesday.
_FIRST = 20_089 * WINDOWS_PER_DAY
_SERIES = tuple(
    SimulatedSeries.model_validate(options)
    for options in (
        {"name": "orders", "base_rate": 40, "peak_hour": 15},
        {"name": "sign-ins", "base_rate": 60, "peak_hour": 9, "daily_swing": 0.7},
        {"name": "errors", "base_rate": 6, "peak_hour": 16, "weekend": 0.8},
        {"name": "returns", "base_rate": 0.4},
        {"name": "views", "base_rate": 1500, "daily_swing": 0.8, "weekend": 0.4},
        {"name": "pings", "base_rate": 20, "daily_swing": 0, "weekend": 1.0},
        {"name": "refunds", "base_rate": 0.03},
        {"name": "batches", "base_rate": 150, "peak_hour": 3},
    )
)


@dataclass(frozen=True)
class Run:
    """What one seed gave.

    Attributes:
        openings: of each series, as windows since the first model.
        windows: that each series was judged on.
        inside: windows of test parts that lay inside the band, by model.
        tested: windows of test parts, by model.
    """

    openings: dict[str, list[int]]
    windows: int
    inside: list[int]
    tested: list[int]

    def a_month(self, since: int = 0) -> dict[str, float]:
        """Return the false incidents of each series a month, from some window since the first model on."""
        months = (self.windows - since) / _MONTH
        return {name: sum(at >= since for at in own) / months for name, own in self.openings.items()}

    def of_each_month(self, since: int = 0) -> Iterator[int]:
        """Yield how many incidents each whole month of each series has."""
        for own in self.openings.values():
            for start in range(since, self.windows - _MONTH + 1, _MONTH):
                yield sum(start <= at < start + _MONTH for at in own)


def simulated(seed: int) -> list[Series]:
    """Draw the series."""
    generator = np.random.default_rng(seed)
    numbers = _FIRST + np.arange(DAYS * WINDOWS_PER_DAY)
    seconds = (numbers * 300).astype(np.float64)
    return [
        Series(
            name=options.name,
            texts=(),
            order=np.arange(len(numbers)),
            seconds=seconds,
            values=generator.poisson([usual_rate(options, number) for number in numbers.tolist()]).astype(
                float
            ),
            grid=FIVE_MINUTES,
            windows=numbers,
        )
        for options in _SERIES
    ]


def _rates(options: SimulatedSeries, numbers: Sequence[int]) -> list[float]:
    return [usual_rate(options, number) for number in numbers]


def run(spec: ModelSpec, seed: int) -> Run:
    """Replay the series of one seed."""
    replayed = replay(simulated(seed), spec, RATE, lambda rows: None)
    covered = [_covered(spec, replayed, reign.start, reign.model) for reign in replayed.reigns]
    series = judged_of(replayed)
    return Run(
        openings={one.history.series.name: _openings(one, replayed.reigns[0].start) for one in series},
        windows=series[0].windows,
        inside=[inside for inside, _ in covered],
        tested=[tested for _, tested in covered],
    )


def _openings(judged: Judged, first: int) -> list[int]:
    openings = judged.told_by_rarity(RATE).openings
    since: list[int] = (judged.history.series.windows[openings] - first).tolist()
    return since


def _covered(spec: ModelSpec, replayed: Replayed, start: int, model: Model) -> tuple[int, int]:
    """Return how many windows of a model's test part lie inside its band, and how many there are."""
    inside = tested = 0
    for history in replayed.histories:
        positions = split(spec, history, start).test
        windows = windows_of(history, positions, model.predict(history.features(positions)))
        judgement = judge_history(model.calibration, windows)
        held = (judgement.lower <= windows.observed) & (windows.observed <= judgement.upper)
        inside, tested = inside + int(np.sum(held)), tested + len(positions)
    return inside, tested


def main() -> None:
    spec = load_model_spec("event-counts")
    runs = []
    for seed in SEEDS:
        print(f"  seed {seed}", file=sys.stderr, flush=True)
        runs.append(run(spec, seed))
    monthly = [count for one in runs for count in one.of_each_month()]
    rates = [rate for one in runs for rate in one.a_month().values()]
    settled = [rate for one in runs for rate in one.a_month(_SETTLED).values()]
    coverage = sum(sum(one.inside) for one in runs) / sum(sum(one.tested) for one in runs)
    goal = spec.band.coverage
    write_figures(
        "clean_series",
        {
            "false_incidents_a_month_mean": Figure(float(np.mean(rates)), at_most=MOST_IN_THE_MEAN),
            "false_incidents_a_month_worst": Figure(max(monthly), at_most=MOST_OF_ONE),
            "coverage": Figure(coverage, at_least=goal - COVERAGE_WITHIN, at_most=goal + COVERAGE_WITHIN),
        },
        runs=len(runs),
        threshold=RATE,
        series_months=round(sum(one.windows for one in runs) * len(_SERIES) / _MONTH, 1),
        after_four_weeks_mean=round(float(np.mean(settled)), 3),
        after_four_weeks_worst=max(count for one in runs for count in one.of_each_month(_SETTLED)),
        worst_series_a_month=round(max(rates), 2),
        by_series={
            options.name: [round(one.a_month()[options.name], 2) for one in runs] for options in _SERIES
        },
        coverage_by_model=[
            round(inside / tested, 4)
            for one in runs
            for inside, tested in zip(one.inside, one.tested, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
