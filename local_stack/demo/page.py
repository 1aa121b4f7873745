"""The page at the end of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from local_stack.demo.picture import Incident
from local_stack.demo.sample import Label
from vigil.windows import WINDOW


def print_page(console: Console, summary: dict[str, Any], labels: Sequence[Label], picture: str) -> None:
    """Show what happened, for people."""
    console.rule("What happened")
    console.print(
        f"{summary['events_ingested']:,} events of {summary['series']} series were counted into "
        f"{summary['windows_counted']:,} windows; {summary['windows_judged']:,} windows were judged."
    )
    console.print(_runs(summary["dag_runs"]))
    console.print(_trainings(summary["trainings"], summary["gates"]))
    console.print(_labelled(summary["incidents"], labels))
    console.print(
        f"A client called the endpoint {summary['endpoint_calls']:,} times while it moved to the second "
        f"model; {summary['endpoint_failed_calls']} calls failed."
    )
    console.print(_tabular(summary["tabular"]))
    console.print(_training_stack(summary["training_stack"]))
    for alert in summary["alerts"][:1]:
        console.print("\nThe alert, as it arrived in the queue:", style="bold")
        console.print(f"  {alert['text']}".replace("\n", "\n  "), markup=False)
    console.print(
        f"\nPicture: {picture}\nAirflow UI: {summary['airflow_url']} (`make up` brings up one that stays)"
    )


def _runs(runs: Sequence[dict[str, Any]]) -> Table:
    table = Table("DAG", "runs", "state", "median s", "longest s", title="Runs")
    for dag_id in sorted({run["dag_id"] for run in runs}):
        own = [run for run in runs if run["dag_id"] == dag_id]
        durations = sorted(run["duration_s"] or 0 for run in own)
        table.add_row(
            dag_id,
            str(len(own)),
            ", ".join(sorted({run["state"] for run in own})),
            f"{durations[len(durations) // 2]:.1f}",
            f"{durations[-1]:.1f}",
        )
    return table


def _trainings(trainings: Sequence[dict[str, Any]], gates: dict[str, Any]) -> Table:
    table = Table(
        "metric on unseen windows", *(f"version {t['model_package_version']}" for t in trainings), "gate"
    )
    asked = {
        name.removeprefix("max_").removeprefix(
            "min_"
        ): f"{'at most' if name.startswith('max') else 'at least'} {value}"
        for name, value in gates.items()
        if isinstance(value, int | float)
    }
    for metric in trainings[0]["metrics"]:
        values = [training["metrics"][metric] for training in trainings]
        table.add_row(
            metric, *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values), asked.get(metric, "")
        )
    table.add_row("trained in", *(f"{training['duration_s']:.1f} s" for training in trainings), "")
    table.title = "Models"
    return table


def _tabular(story: dict[str, Any]) -> Table:
    table = Table("version", "rows", "AUC", "recall", "outcome", title="A tabular model, by dropped files")
    for version in story["versions"]:
        table.add_row(
            version["model_version"],
            str(version["trained_on_rows"]),
            f"{version['auc']:.3f}",
            f"{version['recall']:.3f}",
            "released" if version["approval"] == "Approved" else f"refused: {version['reason']}",
        )
    return table


def _training_stack(story: dict[str, Any]) -> Table:
    table = Table("training stack", "", title="A script on an instance, until it has cost its limit")
    rows = {
        "ended": story.get("text", "the run failed"),
        "limit, actual": f"{story.get('limit_usd', 0):.4f} USD, {story.get('actual_usd', 0):.4f} USD",
        "price": f"{story['price_usd_per_hour']:.4f} USD an hour, from {story['price_source']}",
        "model": f"{story['epochs']} epochs, accuracy {story['accuracy']:.3f} on held-out rows",
        "kept in": story.get("folder", ""),
        "left": "nothing" if not (story["stack_is_left"] or story["instances_left"]) else "SOMETHING",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _labelled(incidents: Sequence[dict[str, Any]], labels: Sequence[Label]) -> Table:
    table = Table(
        "series", "labelled by people, from", "to", "incidents inside", "first after", title="Labels"
    )
    for label in labels:
        inside = [i for i in incidents if overlaps(i, label)]
        first = min((i["opened_at"] for i in inside), default="")
        table.add_row(
            label.series, f"{label.first:%d %b %H:%M}", f"{label.last:%d %b %H:%M}", str(len(inside)), first
        )
    return table


def overlaps(incident: dict[str, Any] | Incident, label: Label) -> bool:
    """Tell whether an incident lies in a labelled stretch, at least in part."""
    if isinstance(incident, Incident):
        series, first, last = incident.series, incident.opened_at, incident.last_anomalous
        return series == label.series and first <= label.last + WINDOW and last >= label.first
    ends = f"{label.first:%Y-%m-%dT%H:%M:%S}", f"{label.last + WINDOW:%Y-%m-%dT%H:%M:%S}"
    return (
        incident["series"] == label.series
        and incident["opened_at"] <= ends[1]
        and incident["last_anomalous"] >= ends[0]
    )
