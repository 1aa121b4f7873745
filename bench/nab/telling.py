"""What people would have been told: verdicts by some rule, folded into incidents as the pipeline does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.nab.history import History
from bench.nab.replay import Reign, Replayed
from bench.nab.verdicts import number_of, verdicts_on
from vigil.detection.expectations.rules import distances_of, normal_rarity, sides_of
from vigil.detection.incident_options import IncidentOptions
from vigil.detection.incidents.incident import Incident, Telling, go_on
from vigil.detection.pipeline import StandardDeviationsOptions
from vigil.detection.verdicts import HIGH, LOW, NORMAL, Verdict

_OPENED, _WORSE = "opened", "worse"


@dataclass(frozen=True)
class Told:
    """Where people would have been told of one series; places of rows in the order of time.

    Attributes:
        alerts: rows in which an incident opened, or grew much worse than was told.
        openings: those in which it opened.
    """

    alerts: NDArray[np.int64]
    openings: NDArray[np.int64]


@dataclass(frozen=True)
class _Stretch:
    """Windows of one series that one model judged.

    Attributes:
        positions: of the windows.
        reign: of the model.
        verdicts: on the windows, as if all were normal.
    """

    positions: NDArray[np.int64]
    reign: Reign
    verdicts: list[Verdict]


@dataclass(frozen=True)
class Judged:
    """The windows of one series that were judged, ready for any rule.

    Attributes:
        history: of the series.
        stretches: in order.
    """

    history: History
    stretches: Sequence[_Stretch]

    @property
    def windows(self) -> int:
        """Return how many windows were judged."""
        return sum(len(stretch.positions) for stretch in self.stretches)

    def told_by_rarity(self, false_incidents_per_month: float) -> Told:
        """Return what is told when a series is to have so many false incidents a month."""
        tellings: list[Telling] = []
        incident: Incident | None = None
        for stretch in self.stretches:
            calibration = stretch.reign.model.calibration
            sides = sides_of(self.history.judged(stretch.positions), calibration, false_incidents_per_month)
            threshold = calibration.rarity.windows_at(false_incidents_per_month)
            incident = _fold(incident, _turned(stretch.verdicts, sides), threshold, tellings)
        return self._told(tellings)

    def told_by_deviations(self, rule: StandardDeviationsOptions) -> Told:
        """Return what is told by the rule of standard deviations, of the same expectations."""
        history = self.history
        positions = np.concatenate([np.empty(0, np.int64), *(own.positions for own in self.stretches)])
        distances, _ = distances_of(
            history.observed[positions],
            history.expected[positions],
            _same_times(history, positions, rule.weeks),
        )
        sides = np.where(np.abs(distances) > rule.k, np.where(distances > 0, HIGH, LOW), NORMAL)
        verdicts = verdicts_on(history, positions, normal_rarity(distances), sides.tolist())
        tellings: list[Telling] = []
        _fold(None, verdicts, float(normal_rarity(np.array([rule.k]))[0]), tellings)
        return self._told(tellings)

    def _told(self, tellings: Sequence[Telling]) -> Told:
        return Told(
            alerts=self._rows([telling for telling in tellings if telling.kind in (_OPENED, _WORSE)]),
            openings=self._rows([telling for telling in tellings if telling.kind == _OPENED]),
        )

    def _rows(self, tellings: Sequence[Telling]) -> NDArray[np.int64]:
        numbers = [
            number_of(telling.verdict.window_start, self.history.grid)
            for telling in tellings
            if telling.verdict
        ]
        return np.searchsorted(self.history.series.windows, np.array(numbers, dtype=np.int64))


def judged_of(replayed: Replayed) -> list[Judged]:
    """Return the judged windows of each series."""
    return [Judged(history, _stretches(history, replayed.reigns)) for history in replayed.histories]


def _stretches(history: History, reigns: Sequence[Reign]) -> list[_Stretch]:
    if not reigns:
        return []
    ends = [*(reign.start for reign in reigns[1:]), history.first + len(history.observed)]
    stretches = []
    for reign, end in zip(reigns, ends, strict=True):
        positions = history.known(reign.start, end)
        scores = history.judgement.windows[positions]
        verdicts = verdicts_on(history, positions, scores, [NORMAL] * len(positions))
        stretches.append(_Stretch(positions, reign, verdicts))
    return stretches


def _same_times(history: History, positions: NDArray[np.int64], weeks: int) -> NDArray[np.float64]:
    """Return the usual counts at the same weekday and time of so many weeks before, shape (n, weeks)."""
    back = np.arange(1, weeks + 1) * 7 * history.grid.windows_per_day
    places = positions[:, None] - back
    before: NDArray[np.float64] = np.where(places < 0, np.nan, history.usual[np.maximum(places, 0)])
    return before


def _turned(verdicts: list[Verdict], sides: NDArray[np.str_]) -> list[Verdict]:
    """Return verdicts with some of them on other sides."""
    turned = verdicts.copy()
    for place in np.flatnonzero(sides != NORMAL).tolist():
        turned[place] = replace(verdicts[place], verdict=str(sides[place]))
    return turned


def _fold(
    incident: Incident | None, verdicts: Sequence[Verdict], threshold: float, tellings: list[Telling]
) -> Incident | None:
    """Go on with an incident, add what is told, and return the newest incident."""
    folded = go_on(incident, verdicts, IncidentOptions().rules(threshold))
    tellings.extend(folded.tellings)
    return folded.incidents[-1] if folded.incidents else incident
