from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.vigil.training.tabular.csv_tables import dropped, table, tabular_data, tabular_spec
from vigil.aws import S3Location
from vigil.errors import DataError, SettingsError
from vigil.training.dataset import FILES, PARTS, Dataset
from vigil.training.preparing import prepare_dataset
from vigil.training.spec.model import ModelSpec
from vigil.training.split import lasting_labels, part_sizes
from vigil.training.tabular import preparing
from vigil.training.tabular.encoding import Category, Encoding, Number
from vigil.training.tabular.encoding_store import load_encoding
from vigil.training.tabular.files_manifest import read_files_manifest, write_files_manifest
from vigil.training.tabular.preparing import check_dimensions
from vigil.training.uploads import StreamedUpload

HEADER = ("amount", "colour", "y")
SHARES = (0.7, 0.2, 0.1)
AWKWARD = 'accepted/a b+c%20d/ünï/file (1)&=, "x".csv'
DATA = tabular_data()


def rows_of(count: int, *, first: int = 0) -> list[list[Any]]:
    """Return rows that can be told apart by their amount; a third is of the class yes."""
    return [
        [place + 0.1, ("red", "blue", "")[place % 3], ("no", "no", "yes")[place % 3]]
        for place in range(first, first + count)
    ]


def parts_in(s3: Any, bucket: str) -> dict[str, list[list[str]]]:
    return {
        name: list(csv.reader(io.StringIO(body_of(s3, bucket, f"dataset/{name}").decode()))) for name in FILES
    }


def body_of(s3: Any, bucket: str, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def prepared(
    s3: Any, bucket: str, spec: ModelSpec, manifest: S3Location
) -> tuple[Dataset, dict[str, list[list[str]]]]:
    made = prepare_dataset(s3, manifest, spec, S3Location(bucket, "dataset"))
    return made, parts_in(s3, bucket)


def is_empty(s3: Any, bucket: str) -> bool:
    return "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="dataset/")


def encoding_behind(s3: Any, manifest: S3Location) -> Encoding:
    encoding = load_encoding(s3, read_files_manifest(s3, manifest).encoding)
    assert encoding
    return encoding


def test_each_row_is_encoded_as_for_serving_and_lies_in_the_part_that_its_label_says(
    s3: Any, bucket: str
) -> None:
    one, two = rows_of(40), rows_of(27, first=40)
    contents = [table(HEADER, rows) for rows in (one, two)]
    manifest = dropped(s3, bucket, DATA, *contents, names=[AWKWARD, "b.csv"])
    made, files = prepared(s3, bucket, tabular_spec(DATA), manifest)
    encoding = encoding_behind(s3, manifest)
    rows = [*one, *two]
    labels = [
        label
        for file, count in zip(read_files_manifest(s3, manifest).files, (40, 27), strict=True)
        for label in lasting_labels(np.zeros(count, int), SHARES, (7, int(file.sha256[:16], 16))).tolist()
    ]
    features = encoding.encode_rows({"amount": str(amount), "colour": colour} for amount, colour, _ in rows)
    name = "file (1)&=%2C %22x%22.csv"
    keys = [f"{name}:{line}" for line in range(2, 42)] + [f"b.csv:{line}" for line in range(2, 29)]
    expected: dict[str, list[Any]] = {name: [] for name in FILES}
    for part, (_, _, target), key, encoded in zip(labels, rows, keys, features, strict=True):
        label = float(("no", "yes").index(target))
        trained, held_out = FILES[:2], FILES[2:]
        if part < 2:
            expected[trained[part]].append([label, *encoded])
        if part > 0:
            expected[held_out[part - 1]].append([label, key, *encoded])
    read = {
        name: [
            [value if place == 1 and name in FILES[2:] else float(value) for place, value in enumerate(row)]
            for row in content
        ]
        for name, content in files.items()
    }
    assert read == expected
    assert made.rows == {name: labels.count(part) for part, name in enumerate(PARTS)}
    assert (made.features, made.classes, made.keys) == (encoding.features, ("no", "yes"), ("row",))
    assert (made.label, made.objective, made.method) == ("y", "binary", "random")
    assert made.notes["files"] == 2


def test_the_schema_is_the_returned_description_and_a_second_preparation_is_the_same(
    s3: Any, bucket: str
) -> None:
    manifest = dropped(s3, bucket, DATA, table(HEADER, rows_of(60)))
    made, files = prepared(s3, bucket, tabular_spec(DATA), manifest)
    assert Dataset.from_json(json.loads(body_of(s3, bucket, "dataset/schema.json"))) == made
    assert prepared(s3, bucket, tabular_spec(DATA), manifest) == (made, files)


def test_long_encodings_are_written_in_pieces_to_the_same_effect(
    s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = dropped(s3, bucket, DATA, table(HEADER, rows_of(60)))
    at_once = prepared(s3, bucket, tabular_spec(DATA), manifest)
    told: list[int] = []
    monkeypatch.setattr(preparing, "_MOST_FEATURES", 28)
    prepare_dataset(s3, manifest, tabular_spec(DATA), S3Location(bucket, "dataset"), progress=told.append)
    assert told == [7, 14, 21, 28, 35, 42, 49, 56, 60], "four features a row make seven rows a piece"
    assert parts_in(s3, bucket) == at_once[1]


def test_the_checksum_tells_other_content(s3: Any, bucket: str) -> None:
    spec = tabular_spec(DATA)
    one, _ = prepared(s3, bucket, spec, dropped(s3, bucket, DATA, table(HEADER, rows_of(60))))
    other, _ = prepared(s3, bucket, spec, dropped(s3, bucket, DATA, table(HEADER, rows_of(60, first=1))))
    assert one.checksum != other.checksum


def test_numbers_are_written_so_that_they_read_back_as_the_same(s3: Any, bucket: str) -> None:
    data = tabular_data(objective="regression")
    numbers = np.random.default_rng(1).lognormal(0, 200, 500)
    content = table(("a", "y"), [[repr(float(number)), repr(-float(number))] for number in numbers])
    spec = tabular_spec(data, band={"coverage": 0.5})
    _, files = prepared(s3, bucket, spec, dropped(s3, bucket, data, content))
    every = [row for name in (FILES[0], FILES[1]) for row in files[name]]
    every += [[row[0], row[2]] for row in files[FILES[3]]]
    assert sorted(float(row[1]) for row in every) == sorted(numbers.tolist())
    assert all(float(row[0]) == -float(row[1]) for row in every)


def test_a_stratified_split_has_the_same_shares_of_each_class(s3: Any, bucket: str) -> None:
    data = tabular_data(objective="multiclass")
    rows = [[place, ("a", "b", "b", "c", "c", "c", "c")[place % 7]] for place in range(1400)]
    spec = tabular_spec(data, method="stratified")
    made, files = prepared(s3, bucket, spec, dropped(s3, bucket, data, table(("n", "y"), rows)))
    counts = [Counter(row[0] for row in files[FILES[part]]) for part in (0, 2, 3)]
    assert counts == [
        {str(place): part_sizes(count, (0.7, 0.2, 0.1))[part] for place, count in enumerate((200, 400, 800))}
        for part in range(3)
    ]
    assert made.classes == ("a", "b", "c")


def test_no_row_changes_its_part_when_another_file_comes(s3: Any, bucket: str) -> None:
    rows = [[place, "no" if place % 2 else "yes"] for place in range(300)]
    first, second = table(("n", "y"), rows[:200]), table(("n", "y"), rows[200:])
    spec = tabular_spec(DATA, method="stratified")
    _, alone = prepared(s3, bucket, spec, dropped(s3, bucket, DATA, first, names=["1.csv"]))
    _, both = prepared(s3, bucket, spec, dropped(s3, bucket, DATA, first, second, names=["1.csv", "2.csv"]))
    for name in FILES:
        assert {tuple(row) for row in alone[name]} <= {tuple(row) for row in both[name]}
        assert len(both[name]) > len(alone[name])


def test_a_class_that_cannot_be_in_every_part_is_refused_before_anything_is_written(
    s3: Any, bucket: str
) -> None:
    rows = [[place, "rare" if place < 3 else "common"] for place in range(100)]
    manifest = dropped(s3, bucket, DATA, table(("n", "y"), rows))
    with pytest.raises(DataError, match=r"3 rows of the class rare are too few to be in every part"):
        prepared(s3, bucket, tabular_spec(DATA, method="stratified"), manifest)
    assert is_empty(s3, bucket)


def test_a_chronological_split_goes_by_time_across_files(s3: Any, bucket: str) -> None:
    data = tabular_data(time_column="when")
    start = datetime(2026, 1, 1)
    rows = [
        [place, (start + timedelta(hours=place)).isoformat(), "no" if place % 2 else "yes"]
        for place in range(100)
    ]
    mixed = [rows[place] for place in np.random.default_rng(3).permutation(100)]
    contents = [table(("n", "when", "y"), part) for part in (mixed[:30], mixed[30:])]
    spec = tabular_spec(data, method="chronological")
    made, files = prepared(s3, bucket, spec, dropped(s3, bucket, data, *contents))
    assert sorted(int(row[1]) for row in files[FILES[0]]) == list(range(70))
    assert sorted(int(row[2]) for row in files[FILES[2]]) == list(range(70, 90))
    assert sorted(int(row[2]) for row in files[FILES[3]]) == list(range(90, 100))
    assert "when" not in made.features


def test_a_file_that_was_changed_after_it_was_checked_is_refused(s3: Any, bucket: str) -> None:
    content = table(HEADER, rows_of(60))
    manifest = dropped(s3, bucket, DATA, content)
    for changed in (
        content.replace(b"red", b"ref", 1),
        content + b"1,red,no\n",
        content[:-20],
        content.replace(b"amount", b"amounts", 1),
        content.replace(b"red", b"\xff", 1),
        b"",
    ):
        s3.put_object(Bucket=bucket, Key="incoming/small/0.csv", Body=changed)
        with pytest.raises(DataError, match=r"incoming/small/0.csv is not what its manifest says"):
            prepared(s3, bucket, tabular_spec(DATA), manifest)
    s3.delete_object(Bucket=bucket, Key="incoming/small/0.csv")
    with pytest.raises(DataError, match=r"There is no s3://.*/incoming/small/0.csv"):
        prepared(s3, bucket, tabular_spec(DATA), manifest)
    assert is_empty(s3, bucket)


def test_the_version_that_was_checked_is_read(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    manifest = dropped(s3, bucket, DATA, table(HEADER, rows_of(60)))
    version = s3.head_object(Bucket=bucket, Key="incoming/small/0.csv")["VersionId"]
    named = read_files_manifest(s3, manifest)
    write_files_manifest(s3, replace(named, files=(replace(named.files[0], version_id=version),)))
    s3.put_object(Bucket=bucket, Key="incoming/small/0.csv", Body=b"something else")
    made, _ = prepared(s3, bucket, tabular_spec(DATA), manifest)
    assert sum(made.rows.values()) == 60


def test_a_preparation_that_dies_in_the_middle_leaves_no_schema_and_the_next_one_mends_it(
    s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    spec, manifest = tabular_spec(DATA), dropped(s3, bucket, DATA, table(HEADER, rows_of(60)))
    whole = prepared(s3, bucket, spec, manifest)

    def die(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(StreamedUpload, "write", die)
        with pytest.raises(KilledError):
            prepared(s3, bucket, spec, manifest)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="dataset/")["Contents"]]
    assert "dataset/schema.json" not in keys
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert prepared(s3, bucket, spec, manifest) == whole


def test_progress_tells_the_rows_written_so_far(s3: Any, bucket: str) -> None:
    told: list[int] = []
    manifest = dropped(s3, bucket, DATA, table(HEADER, rows_of(60)), table(HEADER, rows_of(40, first=60)))
    prepare_dataset(s3, manifest, tabular_spec(DATA), S3Location(bucket, "dataset"), progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 100


def test_a_manifest_of_another_model_or_of_other_data_is_refused(s3: Any, bucket: str) -> None:
    manifest = dropped(s3, bucket, DATA, table(HEADER, rows_of(60)))
    with pytest.raises(DataError, match="is of the model small, not other"):
        prepared(s3, bucket, tabular_spec(DATA, name="other"), manifest)
    other = tabular_data(target="colour", objective="multiclass")
    with pytest.raises(DataError, match=r"predicts y \(binary\), and the model spec colour \(multiclass\)"):
        prepared(s3, bucket, tabular_spec(other), manifest)
    named = read_files_manifest(s3, manifest)
    s3.delete_object(Bucket=bucket, Key=named.encoding.key)
    with pytest.raises(DataError, match=r"The encoding schema .* is missing: check the files again"):
        prepared(s3, bucket, tabular_spec(DATA), manifest)


def test_too_few_rows_to_calibrate_a_band_are_refused_before_anything_is_written(
    s3: Any, bucket: str
) -> None:
    data = tabular_data(objective="regression")
    manifest = dropped(s3, bucket, data, table(("a", "y"), [[place, place] for place in range(100)]))
    with pytest.raises(DataError, match=r"100 rows leave 20 for validation.* 0.99 needs 199 .*band.coverage"):
        prepared(s3, bucket, tabular_spec(data, band={"coverage": 0.99}), manifest)
    assert is_empty(s3, bucket)


def test_too_few_rows_to_split_are_refused(s3: Any, bucket: str) -> None:
    manifest = dropped(s3, bucket, DATA, table(HEADER, rows_of(3)))
    with pytest.raises(DataError, match="3 rows are too few to be in every part"):
        prepared(s3, bucket, tabular_spec(DATA), manifest)


def test_a_dimension_that_contradicts_the_data_is_refused_before_anything_is_written(
    s3: Any, bucket: str
) -> None:
    manifest = dropped(s3, bucket, DATA, table(HEADER, rows_of(60)))
    spec = tabular_spec(DATA, algorithm={"hyperparameters": {"feature_dim": 2}})
    with pytest.raises(SettingsError, match=r"feature_dim is 2, and the data have 4 features .* set it to 4"):
        prepared(s3, bucket, spec, manifest)
    assert is_empty(s3, bucket)


@pytest.mark.parametrize("name", ["num_class", "num_classes"])
def test_a_number_of_classes_that_contradicts_the_data_is_refused(name: str) -> None:
    columns = (Number("a", 0, False), Category("b", ("x", "y")))
    encoding = Encoding("y", "multiclass", ("a", "b", "c"), columns)
    with pytest.raises(SettingsError, match=f"{name} is 4, and the data have 3 classes"):
        check_dimensions({name: "4"}, encoding)
    check_dimensions({name: "3", "feature_dim": "auto"}, encoding)
    check_dimensions({name: "3", "feature_dim": "3"}, encoding)
    check_dimensions({}, encoding)


def test_a_constant_column_is_named_in_the_notes(s3: Any, bucket: str) -> None:
    content = table((*HEADER, "k"), [[*row, "same"] for row in rows_of(60)])
    made, _ = prepared(s3, bucket, tabular_spec(DATA), dropped(s3, bucket, DATA, content))
    assert made.notes == {"files": 1, "left out, for it is constant: k": 1}


def test_a_class_that_is_not_known_is_refused_even_if_nobody_checked(s3: Any, bucket: str) -> None:
    manifest = dropped(s3, bucket, DATA, table(HEADER, rows_of(60)))
    content = table(HEADER, [*rows_of(60), [1, "red", "perhaps"]])
    s3.put_object(Bucket=bucket, Key="unchecked.csv", Body=content)
    named = read_files_manifest(s3, manifest)
    unchecked = replace(
        named.files[0],
        location=S3Location(bucket, "unchecked.csv"),
        sha256=hashlib.sha256(content).hexdigest(),
        rows=61,
    )
    write_files_manifest(s3, replace(named, files=(unchecked,)))
    for method in ("random", "stratified"):
        with pytest.raises(DataError, match=r"unchecked.csv: a value in the column y is missing or unfit"):
            prepared(s3, bucket, tabular_spec(DATA, method=method), manifest)
    assert is_empty(s3, bucket)
