from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.aws import S3Location
from vigil.errors import DataError
from vigil.training.evaluation.report import escaped, report_text, write_report

NUMBERS = {"rmse": 3.35412, "mae": 2.75, "wape": None, "bias": -1.25, "coverage": 0.75}
CLASSES = {"accuracy": 0.8944, "precision": None, "recall": 0.2091, "f1": 0.3171, "specificity": 0.98542}
WORST_NAME = "a|b\n$c$ <d> `e`"


def regression(champion: bool = True, series: int = 2) -> tuple[dict[str, Any], dict[str, Any]]:
    models = 2 if champion else 1
    panel = {"observed": [1.0, 9.0], "expected": [2.0, 3.0], "lower": [0.0, 1.0], "upper": [4.0, 6.0]}
    windows = ["2026-01-05T00:00:00", "2026-01-05T00:05:00"]
    evaluation = {
        "objective": "regression",
        "model": "event-counts",
        "run": "20260201T0305Z-1a2b",
        "rows": {"test": 1234},
        "test_period": {"first": windows[0], "last": windows[1]},
        "band_coverage": 0.98,
        "candidate": {
            "metrics": NUMBERS,
            "by_series": {f"s|{place}": {**NUMBERS, "rows": place} for place in range(series)},
        },
        "champion": {"model_version": "event-counts/3", "metrics": NUMBERS} if champion else None,
        "confidence": dict.fromkeys(NUMBERS, 0.875) | {"wape": None} if champion else None,
    }
    pictures = {
        "residuals": {"edges": [-1.0, 0.0, 1.0], "counts": [[1, 2]] * models},
        "band": [panel | {"series": WORST_NAME, "at": windows}, panel | {"series": None, "at": None}],
    }
    return evaluation, pictures


def classes(
    names: list[str], champion: bool = True, scores: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    evaluation = {
        "objective": "binary" if len(names) == 2 else "multiclass",
        "model": "bank",
        "run": "r",
        "rows": {"test": 4119},
        "classes": names,
        "candidate": {"metrics": CLASSES, "by_class": {name: {**CLASSES, "rows": 7} for name in names}},
        "champion": {"model_version": "bank/3", "metrics": CLASSES} if champion else None,
        "confidence": dict.fromkeys(CLASSES, 0.5) if champion else None,
    }
    curve = {"false_positive_rates": [0.0, 0.5, 1.0], "true_positive_rates": [0.0, 0.9, 1.0]}
    curves = [curve | {"class": name} for name in names[-1:]] if scores else []
    counts = [[place * 10 + told for told in range(len(names))] for place in range(len(names))]
    return evaluation, {
        "confusion": {"classes": names, "counts": counts, "left_out": 0},
        "roc": [curves] * (2 if champion else 1),
    }


def table_after(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table behind a heading, without the line of dashes."""
    lines = iter(text[text.index(heading) :].splitlines())
    rows = []
    for line in lines:
        if line.startswith("|"):
            cells = line.replace("\\|", "/").strip("|").split("|")
            rows.append([cell.strip() for cell in cells])
        elif rows:
            break
    return rows[:1] + rows[2:]


def test_the_metrics_stand_side_by_side() -> None:
    text = report_text(*regression(), images=["band.png"])
    assert text.startswith("# event-counts, run 20260201T0305Z-1a2b\n")
    assert "1,234 rows of the test part, 2026-01-05T00:00:00 to 2026-01-05T00:05:00 UTC" in text
    assert table_after(text, "#")[0] == ["Metric", "Candidate", "Champion", "Confidence"]
    assert ["rmse", "3.354", "3.354", "87.5%"] in table_after(text, "#")
    assert ["wape", "not defined", "not defined", "not defined"] in table_after(text, "#")
    assert "![band](band.png)" in text


def test_without_a_champion_there_is_nothing_beside_the_candidate() -> None:
    text = report_text(*regression(champion=False), images=[])
    assert table_after(text, "#")[0] == ["Metric", "Candidate"]
    assert "no champion to compare with" in text


def test_of_many_series_the_smallest_are_left_out_and_counted() -> None:
    text = report_text(*regression(series=60), images=[])
    rows = table_after(text, "## By series")
    assert len(rows) == 1 + 50
    assert rows[1][0] == "s/10"
    assert "The 10 smallest are left out" in text


def test_rows_of_the_confusion_matrix_are_the_truth_and_say_so() -> None:
    text = report_text(*classes(["no", "yes"]), images=[])
    assert "Rows are the truth, columns are what the candidate told." in text
    assert table_after(text, "## Confusion") == [
        ["Truth / told", "no", "yes"],
        ["**no**", "0", "1"],
        ["**yes**", "10", "11"],
    ]
    assert "Metrics are those of the class yes." in text


def test_metrics_of_several_classes_are_told_to_be_means() -> None:
    assert "means over the classes" in report_text(*classes(["a", "b", "c"]), images=[])


def test_no_name_breaks_a_table() -> None:
    text = report_text(*classes([WORST_NAME, "other"]), images=[])
    for heading in ("## Confusion", "## By class"):
        table = table_after(text, heading)
        assert len({len(row) for row in table}) == 1
        assert len(table) == 3


@given(st.text())
def test_an_escaped_name_is_one_line_without_a_bare_bar(name: str) -> None:
    shown = escaped(name)
    assert len(shown.splitlines()) <= 1
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")


@pytest.mark.parametrize(
    ("content", "images"),
    [
        (regression(), {"residuals.png", "band.png"}),
        (regression(champion=False), {"residuals.png", "band.png"}),
        (classes(["no", WORST_NAME]), {"confusion.png", "roc.png"}),
        (classes(["a", "b", "c"], champion=False), {"confusion.png", "roc.png"}),
        (classes([f"class {place}" for place in range(30)], scores=False), {"confusion.png", "roc.png"}),
    ],
)
def test_report_and_pictures_of_bounded_size_lie_beside_the_evaluation(
    s3: Any, bucket: str, content: tuple[dict[str, Any], dict[str, Any]], images: set[str]
) -> None:
    prefix = S3Location(bucket, "evaluation")
    for name, part in zip(("evaluation.json", "pictures.json"), content, strict=True):
        s3.put_object(Bucket=bucket, Key=(prefix / name).key, Body=json.dumps(part).encode())
    report = write_report(s3, prefix)
    assert report.location == prefix / "report.md"
    body = s3.get_object(Bucket=bucket, Key=report.location.key)["Body"].read().decode()
    assert body == report.text
    assert {place.key.rpartition("/")[2] for place in report.pictures} == images
    for place in report.pictures:
        image = s3.get_object(Bucket=bucket, Key=place.key)["Body"].read()
        assert image.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", image[16:24])
        assert 300 < width <= 1200
        assert 300 < height <= 1500
        assert len(image) < 1_000_000


def test_without_an_evaluation_there_is_no_report(s3: Any, bucket: str) -> None:
    with pytest.raises(DataError, match=r"evaluation\.json is missing"):
        write_report(s3, S3Location(bucket, "nowhere"))
