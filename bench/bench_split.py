"""Measures the split of a CSV of 5 million rows against pandas reading all of it.

Each run is a fresh process, imports included; the competitor does what the first system did.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.report import Contender, Sample, measure, write_report

ROWS = 5_000_000
RUNS = 3
SHARES = (0.7, 0.2, 0.1)
SEED = 1729
LEAST_TIME_RATIO, MOST_MB = 4, 150
_CHUNK = 500_000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_source(folder / "source.csv")
        runs = [_run_of_each(folder) for _ in range(RUNS)]
        megabytes = round((folder / "source.csv").stat().st_size / 1e6)
    ours_samples, their_samples = zip(*runs, strict=True)
    ours, against = Contender("vigil.training.split", ours_samples), Contender("pandas", their_samples)
    met = (
        against.median_s / ours.median_s >= LEAST_TIME_RATIO
        and max(sample.peak_mb for sample in ours.samples) < MOST_MB
    )
    rows_per_s = round(ROWS / ours.median_s)
    write_report("split", ours, against, met, rows=ROWS, source_mb=megabytes, rows_per_s=rows_per_s)


def _run_of_each(folder: Path) -> tuple[Sample, Sample]:
    """Take turns, so that what else the machine does falls on both alike."""
    ours = _measure("ours", folder)
    _check_parts(folder)
    return ours, _measure("against", folder)


def _measure(who: str, folder: Path) -> Sample:
    return measure([sys.executable, "-m", "bench.bench_split", who, str(folder)])


def _write_source(file: Path) -> None:
    generator = np.random.default_rng(SEED)
    with file.open("w", encoding="ascii") as lines:
        lines.write("series,window_start,observed\n")
        for start in range(0, ROWS, _CHUNK):
            seconds = np.datetime64("2025-01-06T00:00:00") + np.arange(start, start + _CHUNK) % 100_000 * 300
            counts = generator.poisson(60, _CHUNK)
            lines.writelines(
                f"series-{(start + row) // 100_000:05d},{second},{count}\n"
                for row, (second, count) in enumerate(zip(seconds.astype(str), counts, strict=True))
            )


def _check_parts(folder: Path) -> None:
    rows = [sum(1 for _ in path.open("rb")) - 1 for path in _parts(folder)]
    if rows != [round(ROWS * share) for share in SHARES]:
        raise AssertionError(f"the parts have {rows} rows")


def _parts(folder: Path) -> list[Path]:
    return [folder / f"{name}.csv" for name in ("train", "validation", "test")]


def split_ours(folder: Path) -> None:
    from vigil.training.split import split_csv

    split_csv(folder / "source.csv", _parts(folder), SHARES, method="random", seed=SEED)


def split_against(folder: Path) -> None:
    import pandas as pd

    data = pd.read_csv(folder / "source.csv")
    shuffled = data.sample(frac=1, random_state=SEED)
    borders = (0, int(0.7 * len(data)), int(0.9 * len(data)), len(data))
    for path, start, end in zip(_parts(folder), borders, borders[1:], strict=False):
        shuffled.iloc[start:end].to_csv(path, index=False)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"ours": split_ours, "against": split_against}[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()
