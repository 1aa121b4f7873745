"""Runs the benchmark on a folder: reads, replays, compares, and writes what came of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.nab.contenders import DEFAULT_RATE, Watched, best, by_rarity, outcome, watch
from bench.nab.folder import Labels, Series, read_folder, read_labels
from bench.nab.picture import draw
from bench.nab.rows import write_rows
from bench.nab.summary import Summary
from vigil.detection.pipeline import StandardDeviationsOptions
from vigil.training.spec.model import load_model_spec

_OURS, _LINEAR = "event-counts", "event-counts-linear"


def run(folder: Path, out: Path, console: Console) -> Summary:
    """Run the benchmark.

    Args:
        folder: with the series.
        out: where `nab.json` and the folder `nab` are written.
        console: for the progress.

    Raises:
        DataError: something in the folder cannot be read.
    """
    series = read_folder(folder)
    labels = read_labels(folder, series)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        ours = _watch(_OURS, series, progress)
        linear = _watch(_LINEAR, series, progress)
        progress.add_task("writing", total=None)
        summary = _compare(ours, linear, labels)
        _write(summary, labels, out)
    return summary


def _watch(model: str, series: list[Series], progress: Progress) -> Watched:
    task = progress.add_task(model, total=sum(len(one.values) for one in series))
    return watch(series, load_model_spec(model), lambda rows: progress.update(task, advance=rows))


def _compare(ours: Watched, linear: Watched, labels: Labels | None) -> Summary:
    began = time.perf_counter()
    default = by_rarity("Vigil, threshold as shipped", DEFAULT_RATE, ours, labels)
    folding_s = time.perf_counter() - began
    rule = StandardDeviationsOptions(kind="standard_deviations")
    deviations = outcome(
        f"Vigil's rule of {rule.k:g} standard deviations",
        rule.k,
        ours,
        lambda one: one.told_by_deviations(rule),
        labels,
    )
    return Summary(
        watched=ours,
        default=default,
        best=None if labels is None else best("Vigil, threshold that is best here", ours, labels),
        others=(deviations, by_rarity("Vigil with linear-learner", DEFAULT_RATE, linear, labels)),
        window_s=(ours.judging_s + folding_s) / max(ours.windows, 1),
    )


def _write(summary: Summary, labels: Labels | None, out: Path) -> None:
    folder = out / "nab"
    folder.mkdir(parents=True, exist_ok=True)
    for stale in [*folder.glob("*.csv"), *folder.glob("*.png")]:
        stale.unlink()
    for judged, told in zip(summary.watched.series, summary.default.told, strict=True):
        name = judged.history.series.name
        write_rows(judged, told, folder / f"{name}.csv")
        draw(judged, told, labels[name] if labels else (), folder / f"{name}.png")
    (out / "nab.json").write_text(json.dumps(summary.to_json(), indent=2) + "\n", encoding="utf-8")
