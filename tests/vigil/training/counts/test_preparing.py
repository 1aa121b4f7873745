from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vigil.training.history import MONDAY, daily_counts, small_spec
from vigil.aws import S3Location
from vigil.errors import DataError
from vigil.features import FEATURE_NAMES, features_of, offsets_on
from vigil.training.counts import preparing
from vigil.training.dataset import Dataset
from vigil.training.preparing import prepare_dataset
from vigil.training.spec.model import ModelSpec, parse_model_spec
from vigil.windows import WINDOW, WINDOWS_PER_DAY, window_number

NO_WARM_UP = {"kind": "event_counts", "history_days": 60, "warm_up_days": 0}
TINY_BAND = {"coverage": 0.5}


def put_export(
    s3: Any, bucket: str, *parts: str, until: datetime = MONDAY + timedelta(days=400)
) -> S3Location:
    """Write an export whose parts hold these lines."""
    described = []
    for number, lines in enumerate(parts):
        content = f"series,window_start,observed,usual\n{lines}".encode()
        s3.put_object(Bucket=bucket, Key=f"export/{number}.csv", Body=content)
        digest = hashlib.sha256(content).hexdigest()
        described.append(
            {
                "name": f"{number}.csv",
                "rows": content.count(b"\n") - 1,
                "bytes": len(content),
                "sha256": digest,
            }
        )
    location = S3Location(bucket, "export/manifest.json")
    manifest = {
        "location": str(location),
        "columns": ["series", "window_start", "observed", "usual"],
        "since": MONDAY.isoformat(),
        "until": until.isoformat(),
        "series": 1,
        "rows": sum(part["rows"] for part in described),
        "bytes": 0,
        "parts": described,
    }
    s3.put_object(Bucket=bucket, Key=location.key, Body=json.dumps(manifest).encode())
    return location


def lines_of(counts: Mapping[str, Sequence[int | None]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for series, values in counts.items():
        for place, count in enumerate(values):
            if count is not None:
                writer.writerow([series, (MONDAY + place * WINDOW).isoformat(), count, ""])
    return text.getvalue()


def prepared(
    s3: Any, bucket: str, counts: Mapping[str, Sequence[int | None]], spec: ModelSpec
) -> tuple[Dataset, dict[str, list[list[str]]]]:
    manifest = put_export(s3, bucket, lines_of(counts))
    made = prepare_dataset(s3, manifest, spec, S3Location(bucket, "dataset"))
    files = {}
    for name in (
        "train/train.csv",
        "validation/validation.csv",
        "heldout/validation.csv",
        "heldout/test.csv",
    ):
        body = s3.get_object(Bucket=bucket, Key=f"dataset/{name}")["Body"].read().decode()
        files[name] = list(csv.reader(io.StringIO(body, newline="")))
    return made, files


def small(**changes: Any) -> ModelSpec:
    changes = {"data": NO_WARM_UP, "band": TINY_BAND, "gates": {}, **changes}
    return parse_model_spec(small_spec(**changes))


counts_of_a_series = st.lists(st.integers(0, 50) | st.just(7) | st.none(), min_size=60, max_size=120).filter(
    lambda counts: sum(count is not None for count in counts) >= 30
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["a", 'b "two", c', "ü"]), counts_of_a_series, min_size=1, max_size=3),
    st.sampled_from(["chronological", "random"]),
    st.sampled_from([7, 10_000]),
)
def test_every_row_is_described_by_the_one_feature_function_and_lands_in_one_part(
    s3: Any,
    bucket: str,
    counts: dict[str, list[int | None]],
    method: str,
    chunk_rows: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "_CHUNK_ROWS", chunk_rows)
        made, files = prepared(s3, bucket, counts, small(split={"method": method}))
    known = {
        (series, (MONDAY + place * WINDOW).isoformat()): count
        for series, values in counts.items()
        for place, count in enumerate(values)
        if count is not None
    }
    heldout = files["heldout/validation.csv"] + files["heldout/test.csv"]
    keys = [(row[1], row[2]) for row in heldout]
    assert len(set(keys)) == len(keys)
    assert len(files["train/train.csv"]) + len(heldout) == len(known) == sum(made.rows.values())
    for row in heldout:
        assert int(row[0]) == known[row[1], row[2]]
        assert [float(text) for text in row[3:]] == features_by_key(counts, row[1], row[2])
    described = sorted(
        [str(count), *features_by_key(counts, *key)] for key, count in known.items() if key not in set(keys)
    )
    trained = sorted([row[0], *map(float, row[1:])] for row in files["train/train.csv"])
    assert trained == described
    assert files["validation/validation.csv"] == [
        [row[0], *row[3:]] for row in files["heldout/validation.csv"]
    ]


def features_by_key(counts: Mapping[str, Sequence[int | None]], series: str, start: str) -> list[float]:
    """Look the counts up by key, as judging does."""
    window = datetime.fromisoformat(start)
    offsets = offsets_on().all
    lookback = np.full((1, len(offsets)), np.nan)
    values = counts[series]
    first = next(place for place, count in enumerate(values) if count is not None)
    for column, offset in enumerate(offsets):
        place = window_number(window) - window_number(MONDAY) - offset
        if place >= first and values[place] is not None:
            lookback[0, column] = values[place]
    seconds = np.array([np.datetime64(window, "s").astype(np.int64)])
    features: list[float] = features_of(seconds, lookback)[0].tolist()
    return features


def test_each_series_is_held_out_by_its_own_time(s3: Any, bucket: str) -> None:
    counts = {"ended": daily_counts(6, 20) + [None] * 900, "late": [None] * 1700 + daily_counts(3, 20)}
    _, files = prepared(s3, bucket, counts, small())
    for series, days in (("ended", 6), ("late", 3)):
        validation = [row[2] for row in files["heldout/validation.csv"] if row[1] == series]
        test = [row[2] for row in files["heldout/test.csv"] if row[1] == series]
        assert max(validation) < min(test)
        assert len(validation) == pytest.approx(0.2 * days * WINDOWS_PER_DAY, abs=1)
        assert len(test) == pytest.approx(0.1 * days * WINDOWS_PER_DAY, abs=1)


def test_the_warm_up_of_each_series_is_left_out_and_still_looked_back_to(s3: Any, bucket: str) -> None:
    counts = {"a": daily_counts(3, 20), "b": daily_counts(2, 20)}
    spec = small(data={"kind": "event_counts", "history_days": 60, "warm_up_days": 1})
    made, files = prepared(s3, bucket, counts, spec)
    assert made.notes["skipped_rows"] == 2 * WINDOWS_PER_DAY
    assert sum(made.rows.values()) == 3 * WINDOWS_PER_DAY
    yesterday = 1 + FEATURE_NAMES.index("lag_1")
    assert float(files["train/train.csv"][0][yesterday]) == counts["a"][WINDOWS_PER_DAY - 1]


def test_the_random_split_has_exact_counts_and_repeats_itself(s3: Any, bucket: str) -> None:
    counts = {"a": daily_counts(1, 20), "b": daily_counts(1, 20)}
    made, files = prepared(s3, bucket, counts, small(split={"method": "random"}))
    assert made.rows == {"train": 403, "validation": 115, "test": 58}
    again, same_files = prepared(s3, bucket, counts, small(split={"method": "random"}))
    assert (again, same_files) == (made, files)


def test_the_schema_is_the_returned_description(s3: Any, bucket: str) -> None:
    made, _ = prepared(s3, bucket, {"a": daily_counts(2, 20)}, small())
    body = s3.get_object(Bucket=bucket, Key="dataset/schema.json")["Body"].read()
    assert Dataset.from_json(json.loads(body)) == made
    assert made.features == FEATURE_NAMES
    assert made.label == "observed"


def test_the_checksum_tells_other_content(s3: Any, bucket: str) -> None:
    counts = daily_counts(1, 20)
    one, _ = prepared(s3, bucket, {"a": counts}, small())
    other, _ = prepared(s3, bucket, {"a": [*counts[:-1], counts[-1] + 1]}, small())
    assert one.checksum != other.checksum


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "orders,2026-01-05T00:00:00,-1,\n",
            "series orders, window 2026-01-05T00:00:00, observed -1 is negative",
        ),
        ("orders,2026-01-05T00:00:00,nan,\n", "observed nan is no whole number"),
        ("orders,2026-01-05T00:00:00,inf,\n", "observed inf is no whole number"),
        ("orders,2026-01-05T00:00:00,1.5,\n", "observed 1.5 is no whole number"),
        ("orders,2026-01-05T00:00:00,many,\n", "series orders: .*'many'"),
        ("orders,yesterday,1,\n", "series orders: .*yesterday"),
        ("orders,2026-01-05T00:01:00,1,\n", "does not start a window"),
        (
            "orders,2026-01-05T00:05:00,1,\norders,2026-01-05T00:00:00,1,\n",
            "00:00:00, observed 1 is out of order",
        ),
        ("orders,2026-01-05T00:00:00,1,\norders,2026-01-05T00:00:00,1,\n", "is out of order"),
        ("orders,2025-01-05T00:00:00,1,\n", "outside the period"),
        (
            "orders,2026-01-05T00:00:00,1,\nb,2026-01-05T00:00:00,1,\norders,2026-01-05T00:05:00,1,\n",
            "two pieces",
        ),
        ("orders,2026-01-05T00:00:00,9,-1\n", "00:00:00, usual -1 is negative"),
        ("orders,2026-01-05T00:00:00,9,1.5\n", "00:00:00, usual 1.5 is no whole number"),
        ("orders,2026-01-05T00:00:00,9,some\n", "series orders: .*'some'"),
        ("orders,2026-01-05T00:00:00\n", "line 2: 2 columns, not 4"),
    ],
)
def test_an_export_that_nothing_can_be_learned_from_is_refused_before_anything_is_written(
    s3: Any, bucket: str, lines: str, message: str
) -> None:
    manifest = put_export(s3, bucket, lines)
    with pytest.raises(DataError, match=message):
        prepare_dataset(s3, manifest, small(), S3Location(bucket, "dataset"))
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="dataset/")


@pytest.mark.parametrize(
    ("windows", "changes", "message"),
    [
        (3, {}, "at least 4 are needed"),
        (
            WINDOWS_PER_DAY,
            {"data": {"kind": "event_counts", "warm_up_days": 1}},
            "in the first 1 days .*lower data.warm_up_days",
        ),
        (100, {"band": {"coverage": 0.99}}, "leave 20 for validation.* needs 199 .*lower band.coverage"),
    ],
)
def test_too_few_rows_are_refused_before_anything_is_written(
    s3: Any, bucket: str, windows: int, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepared(s3, bucket, {"a": [1] * windows}, small(**changes))
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="dataset/")


def test_many_series_in_too_few_windows_cannot_be_cut(s3: Any, bucket: str) -> None:
    with pytest.raises(DataError, match="40 rows of 20 series are too few to hold some of each series out"):
        prepared(s3, bucket, {f"series {number}": [1, 2] for number in range(20)}, small())


def test_a_wrong_column_is_named(s3: Any, bucket: str) -> None:
    content = b"series,start,observed\n"
    manifest = put_export(s3, bucket, "a,2026-01-05T00:00:00,1,\n")
    described = json.loads(s3.get_object(Bucket=bucket, Key=manifest.key)["Body"].read())
    described["parts"][0]["sha256"] = hashlib.sha256(content).hexdigest()
    s3.put_object(Bucket=bucket, Key="export/0.csv", Body=content)
    s3.put_object(Bucket=bucket, Key=manifest.key, Body=json.dumps(described).encode())
    with pytest.raises(DataError, match=r"0.csv has the columns series,start,observed"):
        prepare_dataset(s3, manifest, small(), S3Location(bucket, "dataset"))


def test_a_series_may_go_on_in_the_next_part(s3: Any, bucket: str) -> None:
    lines = lines_of({"a": daily_counts(1, 20)}).splitlines(keepends=True)
    spec, destination = small(), S3Location(bucket, "dataset")
    whole = prepare_dataset(s3, put_export(s3, bucket, "".join(lines)), spec, destination)
    halves = put_export(s3, bucket, "".join(lines[:100]), "".join(lines[100:]))
    assert prepare_dataset(s3, halves, spec, destination) == whole
