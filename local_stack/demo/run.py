"""Turns the loop once, step by step, and checks that every step really happened."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console

from local_stack.airflow import AirflowApi, DagRun, every
from local_stack.demo import evidence
from local_stack.demo.checks import unmet, unmet_stack, unmet_tabular
from local_stack.demo.endpoint_client import EndpointClient
from local_stack.demo.page import print_page
from local_stack.demo.picture import Incident, draw
from local_stack.demo.plan import LIVE_SERIES, Plan
from local_stack.demo.sample import PICTURED, load_sample
from local_stack.demo.tabular import TabularStory, tell_tabular_story
from local_stack.demo.training_stack import LAUNCH, SWEEP, StackStory, tell_stack_story
from local_stack.dropping import NEW_DATA
from local_stack.errors import DemoError
from local_stack.lifecycle import aws_of, bring_down, start_airflow, start_services
from local_stack.stack import REGION, Stack, open_stack
from vigil.detection.collecting import collect
from vigil.detection.pipeline import load_pipeline
from vigil.detection.sources.opening import open_sources
from vigil.features import FEATURE_NAMES
from vigil.settings import parse_settings
from vigil.training.spec.model import load_model_spec
from vigil.windows import now

MODEL = "event-counts"
DAGS = ("detect_anomalies", "backfill_detections", "retrain_weekly", NEW_DATA, LAUNCH, SWEEP)
ALLOWED_LATENESS_S = 10
_RETRAIN_LIMIT_S = 300
_BACKFILL_LIMIT_S = 300
_ALERT_LIMIT_S = 420


@dataclass
class Demo:
    """The demo while it runs.

    Attributes:
        folder: for results.
        stack: a stack of its own.
        plan: what is watched.
        console: where progress goes.
        began: monotonic seconds.
        runs: what Airflow ran.
        alerts: that arrived in the queue.
    """

    folder: Path
    stack: Stack
    plan: Plan
    console: Console
    began: float
    runs: list[DagRun] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pipeline_file(self) -> Path:
        """Return the pipeline file of the demo."""
        return self.stack.folder / "pipeline.yaml"

    def tell(self, line: str) -> None:
        """Say what is going on, and since when."""
        self.console.print(f"[dim]{time.monotonic() - self.began:6.1f} s[/dim]  {line}")


def run_demo(folder: Path, keep: bool, console: Console) -> int:
    """Run the demo; return 0 only if every step happened.

    Args:
        folder: for `summary.json` and pictures.
        keep: leave the stack running afterwards.
        console: where progress and results go.
    """
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    stack = _fresh_stack(folder / "stack")
    moment = now()
    demo = Demo(folder, stack, Plan.beginning_at(load_sample(moment), moment), console, began)
    try:
        summary = _turn_the_loop(demo)
    finally:
        if keep:
            demo.tell(f"the stack goes on running: {demo.stack.airflow_url}")
        else:
            bring_down(demo.stack)
    summary["elapsed_s"] = round(time.monotonic() - began, 1)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, default=str) + "\n")
    print_page(console, summary, demo.plan.sample.held_back_labels(), str(_picture_file(folder)))
    for failure in summary["failures"]:
        console.print(f"[red]not as it should be:[/red] {failure}")
    console.print(
        f"{'All of it happened' if summary['ok'] else 'The demo failed'}, in {summary['elapsed_s']:.0f} s."
    )
    return 0 if summary["ok"] else 1


def _fresh_stack(folder: Path) -> Stack:
    """Return an empty stack, or the one whose processes somebody else runs; it must be new."""
    shared = open_stack()
    if shared.external:
        return shared
    if folder.exists():
        bring_down(open_stack(folder))
        shutil.rmtree(folder)
    return open_stack(folder)


def _turn_the_loop(demo: Demo) -> dict[str, Any]:
    demo.plan.write_pipeline(demo.pipeline_file, hold_back=True)
    given_up = Event()
    with ThreadPoolExecutor() as pool, _set_at_the_end(given_up):
        outputs = start_services(
            demo.stack,
            demo.tell,
            {"pipeline_file": str(demo.pipeline_file), "allowed_lateness_s": ALLOWED_LATENESS_S},
        )
        airflow = pool.submit(start_airflow, demo.stack, demo.tell)
        _ingest(demo, "the history")
        api = airflow.result()
        _switch_on(api)
        first = _retrain(demo, api, "first")
        aws, bucket, folder = aws_of(demo.stack), outputs["BucketName"], demo.stack.folder
        tabular = pool.submit(tell_tabular_story, api, aws, bucket, folder / "dropped", demo.tell)
        training_stack = pool.submit(tell_stack_story, api, aws, bucket, folder / "uploaded", demo.tell)
        client = _client(demo)
        client.start()
        try:
            alert = pool.submit(_await_alert, demo, outputs["AlertQueueUrl"], given_up)
            demo.plan.write_pipeline(demo.pipeline_file, hold_back=False)
            _ingest(demo, "the last two weeks, which no model has seen")
            _backfill(demo, api)
            second = _retrain(demo, api, "second")
            alert.result()
            story = tabular.result()
            stack_story = training_stack.result()
        finally:
            client.stop()
    demo.runs += [*story.runs, stack_story.run, *_ended_runs(api, "detect_anomalies")]
    return _summary(demo, [first, second], client, story, stack_story)


@contextmanager
def _set_at_the_end(event: Event) -> Iterator[None]:
    try:
        yield
    finally:
        event.set()


def _switch_on(api: AirflowApi) -> None:
    for _ in every(0.3, 60, f"the DAGs {', '.join(DAGS)}"):
        if set(DAGS) <= api.dag_ids():
            break
    errors = api.import_errors()
    if errors:
        raise DemoError("\n".join(errors))
    for dag_id in DAGS:
        api.unpause(dag_id)


def _ingest(demo: Demo, what: str) -> None:
    settings = parse_settings(json.loads(demo.stack.settings_file.read_text()))
    pipeline = load_pipeline(demo.pipeline_file)
    sources = open_sources(pipeline, lambda _: demo.stack.database, aws_of(demo.stack).client)
    demo.tell(f"ingesting {what}")
    started = time.monotonic()
    outcome = collect(demo.stack.database, sources, settings, now())
    seconds = time.monotonic() - started
    demo.tell(f"{outcome.ingested:,} events ingested and counted, {outcome.ingested / seconds:,.0f} a second")


def _retrain(demo: Demo, api: AirflowApi, name: str) -> evidence.Training:
    demo.tell(f"retrain_weekly, the {name} time")
    run = api.trigger("retrain_weekly", f"demo-{name}")
    run = api.follow(run.dag_id, run.run_id, _RETRAIN_LIMIT_S, partial(_tell_tasks, demo, set()))
    demo.runs.append(run)
    if run.state != "success":
        raise DemoError(
            f"retrain_weekly {run.run_id} ended as {run.state}: see {demo.stack.airflow_home}/logs"
        )
    registered = api.xcom(run.dag_id, run.run_id, "register_candidate")
    release = evidence.training(aws_of(demo.stack), registered, load_model_spec(MODEL).endpoint.name)
    demo.tell(f"version {release.model_package_version} serves, after {run.duration_s:.0f} s")
    return release


def _tell_tasks(demo: Demo, told: set[str], states: dict[str, str]) -> None:
    for task, state in states.items():
        if state in ("success", "failed", "skipped", "upstream_failed") and task not in told:
            told.add(task)
            demo.tell(f"    {task} {'' if state == 'success' else state}")


def _ended_runs(api: AirflowApi, dag_id: str) -> list[DagRun]:
    """Switch a DAG off, wait for what runs, and return all of its runs."""
    api.pause(dag_id)
    for _ in every(0.2, 60, f"the last run of {dag_id} to end"):
        runs = api.runs(dag_id)
        if all(run.state in ("success", "failed") for run in runs):
            return runs
    raise AssertionError("every() ends by an error")


def _client(demo: Demo) -> EndpointClient:
    row = ",".join(["1.0"] * len(FEATURE_NAMES))
    return EndpointClient(demo.stack.aws_url, REGION, load_model_spec(MODEL).endpoint.name, row)


def _backfill(demo: Demo, api: AirflowApi) -> None:
    days = demo.plan.sample.held_back_days()
    demo.tell(f"backfill_detections judges {len(days)} days")
    # Named by the moment at which a day is over.
    api.backfill("backfill_detections", days[0], days[-1])
    told = 0
    for _ in every(0.5, _BACKFILL_LIMIT_S, "the backfill to end"):
        runs = [run for run in api.runs("backfill_detections") if run.run_id.startswith("backfill")]
        over = [run for run in runs if run.state in ("success", "failed")]
        if len(over) > told:
            told = len(over)
            demo.tell(f"    {told} of {len(days)} days")
        if runs and len(over) == len(runs) and len(runs) >= len(days):
            break
    demo.runs += runs
    failed = [run.run_id for run in runs if run.state != "success"]
    if failed:
        raise DemoError(f"backfill_detections failed: {', '.join(failed)}")


def _await_alert(demo: Demo, queue_url: str, given_up: Event) -> None:
    """Wait until the alert of the spike is in the queue, or another step has failed."""
    aws = aws_of(demo.stack)
    wanted = f"{LIVE_SERIES}/{demo.plan.live_from:%Y%m%dT%H%MZ}/opened/1"
    for _ in every(0.2, _ALERT_LIMIT_S, f"the alert {wanted}"):
        demo.alerts += evidence.received(aws, queue_url)
        if any(alert["identity"] == wanted for alert in demo.alerts):
            demo.tell(f"the alert arrived: {wanted}")
            return
        if given_up.is_set():
            return


def _summary(
    demo: Demo,
    trainings: Sequence[evidence.Training],
    client: EndpointClient,
    story: TabularStory,
    stack_story: StackStory,
) -> dict[str, Any]:
    database = demo.stack.database
    totals = evidence.counts(database)
    incidents = evidence.incidents(database)
    draw(
        PICTURED,
        evidence.judged_windows(database, PICTURED, demo.plan.sample.held_back_from),
        [i for i in incidents if i.series == PICTURED],
        [label for label in demo.plan.sample.held_back_labels() if label.series == PICTURED],
        _picture_file(demo.folder),
    )
    failures = unmet(
        demo.plan,
        database,
        totals,
        trainings,
        client,
        incidents,
        demo.alerts,
        demo.runs,
        _picture_file(demo.folder),
    )
    failures += unmet_tabular(story) + unmet_stack(stack_story)
    return {
        "ok": not failures,
        "failures": failures,
        "elapsed_s": 0.0,
        "series": totals.series,
        "events_ingested": totals.events,
        "windows_counted": totals.windows,
        "observed_total": totals.observed,
        "trainings": [asdict(release) for release in trainings],
        "gates": load_model_spec(MODEL).gates.model_dump(exclude_none=True),
        "endpoint_calls": client.calls,
        "endpoint_failed_calls": len(client.failures),
        "endpoint_answers_by_variant": dict(client.answers_by_variant),
        "windows_judged": totals.judged,
        "incidents": [{**asdict(i), **_times(i)} for i in incidents],
        "alerts_published": totals.published,
        "alerts_received": len(demo.alerts),
        "alerts": _spike_first(demo),
        "tabular": story.to_json(),
        "training_stack": stack_story.to_json(),
        "dag_runs": [
            {"dag_id": r.dag_id, "run_id": r.run_id, "state": r.state, "duration_s": r.duration_s}
            for r in demo.runs
        ],
        "airflow_url": demo.stack.airflow_url,
    }


def _times(incident: Incident) -> dict[str, str]:
    return {
        "opened_at": incident.opened_at.isoformat(),
        "last_anomalous": incident.last_anomalous.isoformat(),
    }


def _spike_first(demo: Demo) -> list[dict[str, Any]]:
    return sorted(demo.alerts, key=lambda alert: not alert["identity"].startswith(f"{LIVE_SERIES}/"))


def _picture_file(folder: Path) -> Path:
    return folder / f"{PICTURED}.png"
