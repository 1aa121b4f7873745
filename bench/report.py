"""Measures commands in fresh processes and writes each benchmark's figures to `var/bench/`.

Every file holds `name`, `runs` and `met`. Where time was measured, it holds `ours`, `against`, `time_ratio`
and `memory_ratio`; the times are medians, the memory is the highest resident size of the process that was
measured. Where something else was, it holds `figures`, each with its goal.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCH_DIR = Path(__file__).resolve().parents[1] / "var" / "bench"
FEWEST_RUNS = 3
_KIB_PER_MB = 1024
# A process inherits the peak of the one that starts it, so a small one stands in between.
_LAUNCHER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
seconds = time.perf_counter() - started
if done.returncode:
    sys.exit(done.stdout or f"exit status {done.returncode}")
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


@dataclass(frozen=True)
class Sample:
    """One run of one contender.

    Attributes:
        seconds: wall time.
        peak_mb: highest resident size, in MiB.
    """

    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Contender:
    """Somebody who was measured.

    Attributes:
        label: what a reader calls it.
        samples: its runs.
    """

    label: str
    samples: Sequence[Sample]

    @property
    def median_s(self) -> float:
        """Return the median wall time."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def peak_mb(self) -> float:
        """Return the median of the runs' highest resident sizes."""
        return statistics.median(sample.peak_mb for sample in self.samples)

    def to_json(self) -> dict[str, Any]:
        """Return the contender as it stands in a report."""
        return {
            "label": self.label,
            "median_s": round(self.median_s, 4),
            "peak_mb": round(self.peak_mb, 1),
        }


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Sample:
    """Run a command in a fresh process, imports included.

    Raises:
        RuntimeError: the command failed; the message holds its last output.
    """
    launched = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *command],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if launched.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{launched.stderr[-2000:]}")
    seconds, peak_kib = json.loads(launched.stdout)
    return Sample(seconds, peak_kib / _KIB_PER_MB)


def measure_call(work: Callable[[], float]) -> Sample:
    """Run a function in a fresh process that times itself, when its preparation is not to be counted.

    Args:
        work: returns the seconds that count.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_seconds, args=(work, sender))
    process.start()
    sender.close()
    try:
        seconds, peak_mb = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{work} failed: its output is above") from None
    finally:
        process.join()
    return Sample(seconds, peak_mb)


def _send_seconds(work: Callable[[], float], sender: Any) -> None:
    seconds = work()
    sender.send((seconds, _peak_of_this_process_mb()))


def _peak_of_this_process_mb() -> float:
    # Not ru_maxrss: a forked child inherits its parent's.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / _KIB_PER_MB
    raise RuntimeError("/proc/self/status names no VmHWM")


def write_report(
    name: str, ours: Contender, against: Contender | None, met: bool, **figures: Any
) -> dict[str, Any]:
    """Write `var/bench/<name>.json`, print it as one line, and return it.

    Args:
        name: of the benchmark and its file.
        ours: Vigil's runs.
        against: the competitor's, if there is one.
        met: whether every figure that was promised holds.
        figures: further fields; units in their names.

    Raises:
        ValueError: there are fewer runs than a median needs.
    """
    if any(len(contender.samples) < FEWEST_RUNS for contender in (ours, against) if contender):
        raise ValueError(f"{name}: a median needs at least {FEWEST_RUNS} runs of each contender")
    report = {
        "name": name,
        "runs": len(ours.samples),
        "ours": ours.to_json(),
        "against": against.to_json() if against else None,
        "time_ratio": round(against.median_s / ours.median_s, 2) if against else None,
        # Zero stands for not measured: Airflow's own processes are not ours to compare.
        "memory_ratio": round(against.peak_mb / ours.peak_mb, 2) if against and ours.peak_mb else None,
        "met": met,
        **figures,
    }
    return _written(name, report)


@dataclass(frozen=True)
class Figure:
    """A number that was promised to lie within limits.

    Attributes:
        value: as measured.
        at_most: the goal's upper limit, if it has one.
        at_least: its lower limit, if it has one.
    """

    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Tell whether it lies within them."""
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def goal(self) -> str:
        """Return the limits as people read them."""
        limits = (("at least", self.at_least), ("at most", self.at_most))
        return ", ".join(f"{what} {limit:g}" for what, limit in limits if limit is not None)


def write_figures(name: str, figures: Mapping[str, Figure], runs: int, **details: Any) -> dict[str, Any]:
    """Write `var/bench/<name>.json` of figures that are no times, print it as one line, and return it.

    Args:
        name: of the benchmark and its file.
        figures: by name; units in the names.
        runs: that they were measured in.
        details: further fields.
    """
    report = {
        "name": name,
        "runs": runs,
        "figures": {what: {"value": round(one.value, 4), "goal": one.goal} for what, one in figures.items()},
        "met": all(one.met for one in figures.values()),
        **details,
    }
    return _written(name, report)


def _written(name: str, report: dict[str, Any]) -> dict[str, Any]:
    BENCH_DIR.mkdir(parents=True, exist_ok=True)
    (BENCH_DIR / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return report
