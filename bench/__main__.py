"""Run every benchmark, one after the other, and show the figures: met or not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.report import BENCH_DIR

_LIMIT_S = 1800
_CLEAN_UP_LIMIT_S = 180


def main() -> int:
    """Run `bench/bench_*.py`, or those named as arguments; return how many did not run to their end."""
    console = Console(highlight=False)
    known = sorted(file.stem.removeprefix("bench_") for file in Path(__file__).parent.glob("bench_*.py"))
    wanted = sys.argv[1:] or known
    unknown = set(wanted) - set(known)
    if unknown:
        console.print(f"No benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(known)}.")
        return 2
    broken = 0
    for name in wanted:
        console.print(f"bench {name}")
        broken += _run(name) != 0
    console.print(_table())
    return broken


def _run(name: str) -> int:
    """Run one benchmark; whatever cuts it short, it has time to stop what it started."""
    process = subprocess.Popen([sys.executable, "-m", f"bench.bench_{name}"])
    try:
        return process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        raise
    finally:
        # Ctrl-C has reached it too.
        try:
            process.wait(_CLEAN_UP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _table() -> Table:
    table = Table("figure", "ours", "peak MB", "against", "times as fast", "times less memory", "met")
    for file in sorted(BENCH_DIR.glob("*.json")):
        report = json.loads(file.read_text())
        for what, figure in report.get("figures", {}).items():
            value = f"{what} {figure['value']:g}"
            met = "yes" if report["met"] else "no"
            table.add_row(report["name"], value, "", figure["goal"], "", "", met)
        if "ours" not in report:
            continue
        ours, against = report["ours"], report["against"]
        table.add_row(
            report["name"],
            f"{ours['median_s']:.2f} s",
            f"{ours['peak_mb']:.0f}",
            f"{against['label']} {against['median_s']:.2f} s" if against else "",
            str(report["time_ratio"] or ""),
            str(report["memory_ratio"] or ""),
            "yes" if report["met"] else "no",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
