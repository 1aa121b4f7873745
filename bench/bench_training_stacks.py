"""The three ends of a training stack, each with the other two taken away, at the time that they really take.

On a laptop's stack of its own: Airflow's scheduler with `sweep_training_stacks` at its five minutes, and the
embedded AWS. Nothing is compressed, and the template is the shipped one less the ends that are taken away.
Lateness is against the deadline in the stack's tag: of the machine's end for the timer and the sweep, of the
call to delete the stack for the schedule. The timer's machine has lost its runner, so nothing but the timer
is at work; the sweep's stack passes its deadline soon after a sweep, so that it waits as long as can be.

Not measured is what the cloud itself takes: half a minute of boot, its schedules' start anywhere within the
minute (here it is the first second of it), deletions that go on behind the call, throttling. Times that EC2
tells are whole seconds, as in the cloud.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.report import BENCH_DIR, Contender, Sample, write_report
from bench.stacks import (
    AT_ONCE,
    HANGS,
    KILLS_THE_RUNNER_AND_HANGS,
    Launched,
    Place,
    airflows_ground,
    ground_apart,
    own_stack,
    renamed,
    tell,
    wait_until,
)
from local_stack.airflow import AirflowApi, DagRun, every
from local_stack.lifecycle import aws_of, bring_down, start_airflow, start_services
from vigil.stacks.sweeping import sweep
from vigil.windows import now, to_utc

ALLOWED_S = 60.0
SWEEP_INTERVAL_S = 300.0
ALLOWED_SWEEPS = 2
STACKS, ALLOWED_FOR_STACKS_S, RUNS = 50, 30.0, 3
LIMIT_S = 180
# Of the stacks that wait for a sweep: it is the sweep that takes its time, not they.
SHORT_LIMIT_S = 10

_SWEEP = "sweep_training_stacks"
_STACK, _INSTANCE = "AWS::CloudFormation::Stack", "AWS::EC2::Instance"
_OVER = "manual__2020-01-01T00:00:00+00:00"
_HOUR_S = 3600


@dataclass(frozen=True)
class End:
    """How one launch ended.

    Attributes:
        figure: as it stands in the report.
        cost: what the lateness cost, as it stands in the report.
    """

    figure: dict[str, Any]
    cost: dict[str, Any]


def main() -> None:
    """Bring up a stack of its own, measure, and leave nothing running."""
    stack = own_stack(BENCH_DIR / "training-stack")
    try:
        outputs = start_services(stack, tell)
        aws, bucket = aws_of(stack), outputs["BucketName"]
        places = [
            Place(aws, airflows_ground(stack), bucket),
            *(Place(aws, ground_apart(aws, name, bucket), bucket) for name in ("bench-apart", "bench-fifty")),
        ]
        try:
            api = start_airflow(stack, tell)
            figures, samples = _measure(api, *places)
        finally:
            tell("deleting what is left, and stopping the stack")
            for place in places:
                place.clear()
    finally:
        bring_down(stack)
    met = all(figure["met"] for figure in _rows(figures).values())
    write_report(
        "training_stacks", Contender(f"{STACKS} stacks swept in one run", samples), None, met, **figures
    )
    Console(highlight=False, width=110).print(_table(figures))


def _measure(
    api: AirflowApi, swept: Place, apart: Place, fifty: Place
) -> tuple[dict[str, Any], list[Sample]]:
    """Return the figures by name, and the runs with many stacks.

    Args:
        api: of the Airflow that sweeps.
        swept: that Airflow's environment.
        apart: environment of the stacks that no sweep may end.
        fifty: environment of the many stacks.
    """
    for _ in every(0.3, 60, "the DAGs"):
        if _SWEEP in api.dag_ids():
            break
    limit = {"termination_method": "at-fixed-time", "time_limit": LIMIT_S / _HOUR_S}
    tell(f"launching a stack with its timer alone and one with its schedule alone: {LIMIT_S} s each")
    timer = apart.launch(
        apart.settle("timer-alone", KILLS_THE_RUNNER_AND_HANGS, _OVER, **limit), schedule=False
    )
    schedule = apart.launch(apart.settle("schedule-alone", HANGS, _OVER, **limit), timer=False)
    first = _first_sweep(api)
    tell("launching a stack with the sweep alone, and an orphan")
    short = limit | {"time_limit": SHORT_LIMIT_S / _HOUR_S}
    # Detached, or it would be swept for its run, which is none.
    late = swept.launch(
        swept.settle("sweep-alone", HANGS, _OVER, detach_on_kill=True, **short), timer=False, schedule=False
    )
    orphan = swept.launch(swept.settle("orphan", HANGS, _OVER, termination_method="on-complete"))
    many = _sweep_many(fifty)
    ends = {
        "timer_alone": _timer_alone(apart, timer),
        "schedule_alone": _schedule_alone(apart, schedule),
        "sweep_alone": _sweep_alone(api, swept, late, first),
    }
    figures = {name: end.figure for name, end in ends.items()}
    figures["orphan"] = _orphan(api, swept, orphan)
    figures[f"sweep_{STACKS}"] = many
    figures["cost_overshoot"] = {name: end.cost for name, end in ends.items()}
    return figures, [Sample(seconds, 0.0) for seconds in many["until_terminated_s"]]


def _first_sweep(api: AirflowApi) -> DagRun:
    """Let Airflow sweep from now on; return its first run."""
    api.unpause(_SWEEP)
    wait_until(lambda: any(run.ended for run in api.runs(_SWEEP)), 60, "the first sweep")
    return api.runs(_SWEEP)[0]


def _timer_alone(place: Place, launched: Launched) -> End:
    wait_until(lambda: not place.instance(launched).is_alive, LIMIT_S + 2 * ALLOWED_S, "the timer's end")
    ended = place.instance(launched)
    if "InstanceInitiated" not in ended.reason or place.status(launched) != "CREATE_COMPLETE":
        raise RuntimeError(f"something else than the timer ended {ended.id}: {ended.reason}")
    return _end(place, launched, _known(ended.ended_at), _known(ended.ended_at), ALLOWED_S)


def _schedule_alone(place: Place, launched: Launched) -> End:
    wait_until(
        lambda: place.status(launched) == "DELETE_COMPLETE", LIMIT_S + 2 * ALLOWED_S, "the schedule's end"
    )
    called_at = place.event(launched, _STACK, "DELETE_IN_PROGRESS")
    return _end(place, launched, called_at, place.event(launched, _INSTANCE, "DELETE_COMPLETE"), ALLOWED_S)


def _sweep_alone(api: AirflowApi, place: Place, launched: Launched, before: DagRun) -> End:
    """Wait for the sweep of a stack that missed the sweep before its deadline."""
    limit_s = SWEEP_INTERVAL_S + 2 * ALLOWED_S
    wait_until(lambda: place.status(launched) == "DELETE_COMPLETE", limit_s, "the sweep's end")
    ended_at = place.event(launched, _INSTANCE, "DELETE_COMPLETE")
    run = _sweeps_between(api, launched.at, ended_at)[-1]
    wait_until(lambda: api.run(_SWEEP, run.run_id).ended is not None, 60, "the sweep to tell what it did")
    told = {one["what"]: one["why"] for one in api.xcom(_SWEEP, run.run_id, "sweep_stacks")}
    if not told.get(launched.stack_id, "").startswith("its deadline was"):
        raise RuntimeError(f"the sweep ended {launched.stack_id} for another reason: {told}")
    end = _end(place, launched, ended_at, ended_at, SWEEP_INTERVAL_S + ALLOWED_S)
    end.figure["interval_s"] = round((run.due - before.due).total_seconds(), 1)
    end.figure["deadline_after_a_sweep_s"] = round(launched.lateness_s(to_utc(_known(before.ended))) * -1, 1)
    return end


def _orphan(api: AirflowApi, place: Place, launched: Launched) -> dict[str, Any]:
    limit_s = ALLOWED_SWEEPS * SWEEP_INTERVAL_S
    wait_until(lambda: place.status(launched) == "DELETE_COMPLETE", limit_s, "the orphan's end")
    deleted_at = place.event(launched, _STACK, "DELETE_IN_PROGRESS")
    sweeps = len(_sweeps_between(api, launched.at, deleted_at))
    return {
        "sweeps": sweeps,
        "allowed_sweeps": ALLOWED_SWEEPS,
        "orphaned_s": round((deleted_at - launched.at).total_seconds(), 1),
        "met": sweeps <= ALLOWED_SWEEPS,
    }


def _sweeps_between(api: AirflowApi, since: datetime, until: datetime) -> list[DagRun]:
    return [run for run in api.runs(_SWEEP) if since < to_utc(run.due) <= until]


def _sweep_many(place: Place) -> dict[str, Any]:
    """Sweep many stacks past their deadline in one call, several times."""
    returned, terminated, held = [], [], []
    for number in range(RUNS):
        instances = _make_many(place, number)
        held.append(instances)
        began = time.perf_counter()
        swept = sweep(place.aws, place.ground.environment, lambda _, __: False, now)
        returned.append(round(time.perf_counter() - began, 2))
        wait_until(lambda: not place.living(), 4 * ALLOWED_FOR_STACKS_S, "the instances' end")
        terminated.append(round(time.perf_counter() - began, 2))
        tell(f"  swept in {returned[-1]} s, terminated after {terminated[-1]} s")
        refused = [one.error for one in swept if one.error]
        if refused or len(swept) != 2 * instances:
            raise RuntimeError(f"the sweep ended {len(swept)} of {2 * instances}: {refused}")
        wait_until(place.is_empty, 4 * ALLOWED_FOR_STACKS_S, "the stacks' deletion")
    median_s = statistics.median(terminated)
    return {
        "stacks": min(held),
        "returned_s": returned,
        "until_terminated_s": terminated,
        "median_s": median_s,
        "allowed_s": ALLOWED_FOR_STACKS_S,
        "met": min(held) == STACKS and median_s < ALLOWED_FOR_STACKS_S,
    }


def _make_many(place: Place, number: int) -> int:
    """Make the stacks, wait until all are past their deadline, and return how many run an instance."""
    settled = place.settle(
        f"many-{number}", HANGS, _OVER, termination_method="at-fixed-time", time_limit=SHORT_LIMIT_S / _HOUR_S
    )
    launches = [renamed(settled, which) for which in range(STACKS)]
    began = time.perf_counter()
    # A schedule that works would leave nothing to sweep.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(lambda one: place.create(one, timer=False, schedule=False), launches))
    running = len(place.living())
    tell(f"{running} of {STACKS} stacks run, made in {time.perf_counter() - began:.0f} s")
    if running < STACKS:
        tell(f"  this machine does not hold {STACKS} instances")
    last = max(one.deadline for one in made)
    wait_until(lambda: now() > last, 2 * SHORT_LIMIT_S, "the last deadline")
    return running


def _end(place: Place, launched: Launched, judged_at: datetime, ended_at: datetime, allowed_s: float) -> End:
    """Put together how a launch ended.

    Args:
        place: where it was launched.
        launched: the stack.
        judged_at: moment whose lateness is judged.
        ended_at: when the instance was gone.
        allowed_s: most seconds after the deadline.
    """
    launch, price = launched.launch, launched.launch.price.usd
    late_s, gone_late_s = launched.lateness_s(judged_at), launched.lateness_s(ended_at)
    boot_s = (place.event(launched, _INSTANCE, "CREATE_COMPLETE") - launched.at).total_seconds()
    billed_s = (ended_at - place.instance(launched).launched_at).total_seconds()
    overshoot_s = max(billed_s - launch.allowance.seconds, 0.0)
    lateness_and_boot_s = max(gone_late_s, 0.0) + boot_s
    figure = {
        "lateness_s": round(late_s, 2),
        "allowed_s": allowed_s,
        "met": late_s <= allowed_s,
        "instance_gone_s": round(gone_late_s, 2),
        "limit_s": launch.allowance.seconds,
        "boot_s": round(boot_s, 2),
        "deadline": f"{launched.deadline:%Y-%m-%dT%H:%M:%SZ}",
    }
    cost = {
        "price_usd_per_h": round(price, 6),
        "limit_usd": _usd(price, launch.allowance.seconds),
        "actual_usd": _usd(price, billed_s),
        "overshoot_usd": _usd(price, overshoot_s),
        "lateness_and_boot_usd": _usd(price, lateness_and_boot_s),
        "allowed_usd": _usd(price, allowed_s + boot_s),
        "met": overshoot_s <= lateness_and_boot_s <= allowed_s + boot_s,
    }
    return End(figure, cost)


def _usd(price: float, seconds: float) -> float:
    return round(price * seconds / _HOUR_S, 7)


def _known(moment: datetime | None) -> datetime:
    if moment is None:
        raise RuntimeError("nobody says when it ended")
    return moment


def _rows(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every figure that is met or not, by its name."""
    costs = {f"cost_overshoot {name}": cost for name, cost in figures["cost_overshoot"].items()}
    return {name: figure for name, figure in figures.items() if name != "cost_overshoot"} | costs


def _table(figures: dict[str, Any]) -> Table:
    table = Table("figure", "measured", "allowed", "met")
    for name, figure in _rows(figures).items():
        if "sweeps" in figure:
            measured, allowed = f"{figure['sweeps']} sweeps", f"{figure['allowed_sweeps']} sweeps"
        elif "overshoot_usd" in figure:
            measured, allowed = f"{figure['overshoot_usd']:.6f} USD", f"{figure['allowed_usd']:.6f} USD"
        else:
            seconds = figure.get("lateness_s", figure.get("median_s"))
            measured, allowed = f"{seconds:.2f} s", f"{figure['allowed_s']:.0f} s"
        table.add_row(name, measured, allowed, "yes" if figure["met"] else "no")
    return table


if __name__ == "__main__":
    main()
