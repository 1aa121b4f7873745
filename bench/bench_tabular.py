"""Measures a tabular data set of 1 million rows and 20 columns against pandas as the first system used it.

Each run is a fresh process, imports included; both read and write files of this machine. Ours reads the CSV
three times: to check it and to make the encoding schema, to choose the part of each row, and to encode. The
competitor reads it once, into memory.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import Contender, Sample, measure, write_report

ROWS = 1_000_000
RUNS = 3
SEED = 1729
TARGET = "target"
CATEGORIES = (2, 4, 7, 12, 20)
NUMBERS = 14
# So many of the columns of numbers have gaps, each in so large a share of its rows.
WITH_GAPS, GAPS = 5, 0.05
LEAST_TIME_RATIO, MOST_MB = 2, 300
_CHUNK = 100_000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_source(folder / "source.csv")
        runs = [_run_of_each(folder) for _ in range(RUNS)]
        megabytes = round((folder / "source.csv").stat().st_size / 1e6)
    ours_samples, their_samples = zip(*runs, strict=True)
    ours, against = (
        Contender("vigil.training.tabular.preparing", ours_samples),
        Contender("pandas", their_samples),
    )
    met = (
        against.median_s / ours.median_s >= LEAST_TIME_RATIO
        and max(sample.peak_mb for sample in ours.samples) < MOST_MB
    )
    rows_per_s = round(ROWS / ours.median_s)
    write_report("tabular", ours, against, met, rows=ROWS, source_mb=megabytes, rows_per_s=rows_per_s)


def _run_of_each(folder: Path) -> tuple[Sample, Sample]:
    """Take turns, so that what else the machine does falls on both alike."""
    ours = _measure("ours", folder)
    _check_rows(folder, "ours", header=0)
    against = _measure("against", folder)
    _check_rows(folder, "against", header=1)
    return ours, against


def _measure(who: str, folder: Path) -> Sample:
    return measure([sys.executable, "-m", "bench.bench_tabular", who, str(folder)])


def _write_source(file: Path) -> None:
    generator = np.random.default_rng(SEED)
    names = [f"number_{place}" for place in range(NUMBERS)] + [f"kind_{count}" for count in CATEGORIES]
    with file.open("w", encoding="ascii") as lines:
        lines.write(",".join([*names, TARGET]) + "\n")
        for _ in range(0, ROWS, _CHUNK):
            numbers = [
                generator.normal(100, 20, _CHUNK).round(1 + place % 6).astype(str) for place in range(NUMBERS)
            ]
            for column in numbers[:WITH_GAPS]:
                column[generator.random(_CHUNK) < GAPS] = ""
            kinds = [
                np.array([f"value {place}" for place in range(count)])[generator.integers(0, count, _CHUNK)]
                for count in CATEGORIES
            ]
            target = np.array(["no", "yes"])[generator.integers(0, 2, _CHUNK)]
            lines.writelines(",".join(row) + "\n" for row in zip(*numbers, *kinds, target, strict=True))


def _check_rows(folder: Path, who: str, header: int) -> None:
    """Both must have written all rows, with a feature for each number and each category."""
    files = [folder / f"{who}-{name}.csv" for name in ("train", "validation", "test")]
    rows = [sum(1 for _ in file.open("rb")) for file in files]
    if rows != [700_000, 200_000, 100_000 + header]:
        raise AssertionError(f"{who}: the parts have {rows} rows")
    with files[0].open() as lines:
        columns = lines.readline().count(",") + 1
    if columns < 1 + NUMBERS + sum(CATEGORIES):
        raise AssertionError(f"{who}: there are {columns} columns only")


class _FolderS3:
    """As much of S3 as a preparation asks for, in a folder."""

    class exceptions:  # noqa: N801 - boto3's name
        NoSuchKey = FileNotFoundError

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _file(self, key: str) -> Path:
        return self._folder / key.replace("/", "-")

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        file = self._file(Key)
        return {"Body": file.open("rb"), "ContentLength": file.stat().st_size}

    def put_object(self, Bucket: str, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803
        self._file(Key).write_bytes(Body)

    def delete_object(self, Bucket: str, Key: str) -> None:  # noqa: N803
        self._file(Key).unlink(missing_ok=True)

    def create_multipart_upload(self, Bucket: str, Key: str) -> dict[str, str]:  # noqa: N803
        self._file(Key).write_bytes(b"")
        return {"UploadId": Key}

    def upload_part(self, Key: str, Body: bytes, **_: Any) -> dict[str, str]:  # noqa: N803
        with self._file(Key).open("ab", buffering=io.DEFAULT_BUFFER_SIZE) as file:
            file.write(Body)
        return {"ETag": ""}

    def complete_multipart_upload(self, **_: Any) -> None:
        pass


def prepare_ours(folder: Path) -> None:
    from vigil.aws import S3Location
    from vigil.training.spec.data import Tabular
    from vigil.training.spec.model import parse_model_spec
    from vigil.training.tabular.checking import check_against_saved_encoding
    from vigil.training.tabular.encoding_store import encoding_location
    from vigil.training.tabular.files_manifest import FilesManifest, ManifestFile, write_files_manifest
    from vigil.training.tabular.preparing import prepare_tabular

    data = Tabular(kind="tabular", target=TARGET, objective="binary")
    machine = {"instance_type": "ml.m5.large"}
    spec = parse_model_spec(
        {
            "name": "bench",
            "data": data.model_dump(),
            "split": {"method": "random", "seed": SEED},
            "algorithm": {"image": "sagemaker-xgboost", "version": "1.7-1"},
            "training": machine,
            "transform": machine,
            "evaluation": {"image": "sagemaker-scikit-learn", "version": "1.2-1"},
            "endpoint": {"name": "bench", **machine},
        }
    )
    s3 = _FolderS3(folder)
    source, saved = S3Location("bench", "source.csv"), encoding_location("bench", spec.name, data)
    checked = check_against_saved_encoding(s3, source, data, saved)
    manifest = FilesManifest(
        S3Location("bench", "manifest.json"),
        spec.name,
        saved,
        (ManifestFile(source, None, checked.sha256, checked.rows),),
    )
    write_files_manifest(s3, manifest)
    prepare_tabular(s3, manifest.location, spec, data, S3Location("bench", "dataset"))
    for part, name in (("train", "train"), ("validation", "validation"), ("heldout", "test")):
        (folder / f"dataset-{part}-{name}.csv").rename(folder / f"ours-{name}.csv")
    # The next run makes it anew.
    (folder / saved.key.replace("/", "-")).unlink()


def prepare_against(folder: Path) -> None:
    import pandas as pd

    data = pd.get_dummies(pd.read_csv(folder / "source.csv"), dtype=float)
    # What `np.split` made of a frame, which pandas 3 no longer lets it do.
    shuffled = data.sample(frac=1, random_state=SEED)
    borders = (int(0.7 * len(data)), int(0.9 * len(data)))
    train, validation, test = (
        shuffled.iloc[start:end] for start, end in zip((0, *borders), (*borders, len(data)), strict=True)
    )
    for part, name in ((train, "train"), (validation, "validation")):
        label_first = pd.concat(
            [part[f"{TARGET}_yes"], part.drop([f"{TARGET}_no", f"{TARGET}_yes"], axis=1)], axis=1
        )
        label_first.to_csv(folder / f"against-{name}.csv", index=False, header=False)
    test.to_csv(folder / "against-test.csv", index=True, header=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"ours": prepare_ours, "against": prepare_against}[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()
