"""The report of an evaluation: tables in Markdown, and pictures beside them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vigil.aws import S3Location
from vigil.training.evaluation.job import EVALUATION, PICTURES, read_json
from vigil.training.evaluation.pictures import draw_pictures

REPORT = "report.md"
# Of series or classes; more make a table that nobody reads, and all of them are in evaluation.json.
_MOST_ROWS = 50
_MEANING = {
    "regression": "model of numbers",
    "binary": "model of two classes",
    "multiclass": "model of several classes",
}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$])")


@dataclass(frozen=True)
class Report:
    """What was written for people to look at.

    Attributes:
        location: of the report in Markdown.
        pictures: PNG images that it shows, beside it.
        text: of the report.
    """

    location: S3Location
    pictures: tuple[S3Location, ...]
    text: str


def write_report(s3: Any, evaluation: S3Location) -> Report:
    """Write `report.md` and its pictures beside an evaluation.

    Args:
        s3: client.
        evaluation: prefix of what the evaluation job wrote.

    Raises:
        DataError: a file of the evaluation is missing.
    """
    content = read_json(s3, evaluation / EVALUATION)
    measured = read_json(s3, evaluation / PICTURES)
    pictures = draw_pictures(content, measured)
    for name, image in pictures.items():
        place = evaluation / name
        s3.put_object(Bucket=place.bucket, Key=place.key, Body=image, ContentType="image/png")
    text = report_text(content, measured, list(pictures))
    place = evaluation / REPORT
    s3.put_object(Bucket=place.bucket, Key=place.key, Body=text.encode(), ContentType="text/markdown")
    return Report(place, tuple(evaluation / name for name in pictures), text)


def report_text(evaluation: Mapping[str, Any], pictures: Mapping[str, Any], images: Sequence[str]) -> str:
    """Return the report in Markdown.

    Args:
        evaluation: content of `evaluation.json`.
        pictures: content of `pictures.json`.
        images: file names of the pictures beside the report.
    """
    parts = [_head(evaluation), _metrics(evaluation)]
    if "confusion" in pictures:
        parts.append(_confusion(pictures["confusion"]))
    for name, title in (("by_class", "Class"), ("by_series", "Series")):
        if name in evaluation["candidate"]:
            parts.append(_by_part(evaluation["candidate"][name], title))
    parts += [f"![{image.partition('.')[0]}]({image})" for image in images]
    return "\n\n".join(parts) + "\n"


def _head(evaluation: Mapping[str, Any]) -> str:
    rows = evaluation["rows"]["test"]
    of = f"{rows:,} rows of the test part"
    if "test_period" in evaluation:
        period = evaluation["test_period"]
        of += f", {period['first']} to {period['last']} UTC"
    champion = evaluation["champion"]
    against = (
        f"beside {escaped(champion['model_version'])}" if champion else "with no champion to compare with"
    )
    return (
        f"# {escaped(evaluation['model'])}, run {escaped(evaluation['run'])}\n\n"
        f"A {_MEANING[evaluation['objective']]}, measured on {of}, {against}.{_whose_metrics(evaluation)}"
    )


def _whose_metrics(evaluation: Mapping[str, Any]) -> str:
    if evaluation["objective"] == "binary":
        return f" Metrics are those of the class {escaped(evaluation['classes'][-1])}."
    if evaluation["objective"] == "multiclass":
        return " Metrics but for the accuracy are means over the classes, each against the rest."
    return ""


def _metrics(evaluation: Mapping[str, Any]) -> str:
    metrics = evaluation["candidate"]["metrics"]
    champion, confidence = evaluation["champion"], evaluation["confidence"]
    if champion is None:
        return _table(["Metric", "Candidate"], [[name, _number(value)] for name, value in metrics.items()])
    rows = [
        [name, _number(value), _number(champion["metrics"].get(name)), _percent(confidence[name])]
        for name, value in metrics.items()
    ]
    table = _table(["Metric", "Candidate", "Champion", "Confidence"], rows)
    return (
        f"{table}\n\nConfidence is the share of bootstrap resamples of these rows in which the candidate is "
        "strictly better."
    )


def _confusion(confusion: Mapping[str, Any]) -> str:
    names = [escaped(name) for name in confusion["classes"]]
    rows = [
        [f"**{name}**", *(f"{count:,}" for count in counts)]
        for name, counts in zip(names, confusion["counts"], strict=True)
    ]
    table = _table(["Truth / told", *names], rows)
    text = f"## Confusion matrix\n\nRows are the truth, columns are what the candidate told.\n\n{table}"
    if confusion["left_out"]:
        text += f"\n\nThe {confusion['left_out']} rarest classes are left out; `{EVALUATION}` has them."
    return text


def _by_part(parts: Mapping[str, Mapping[str, Any]], title: str) -> str:
    names = [name for name in next(iter(parts.values())) if name != "rows"]
    largest = sorted(parts, key=lambda part: -parts[part]["rows"])[:_MOST_ROWS]
    rows = [
        [escaped(part), f"{values['rows']:,}", *(_number(values[name]) for name in names)]
        for part, values in parts.items()
        if part in set(largest)
    ]
    text = f"## By {title.lower()}\n\n{_table([title, 'rows', *names], rows)}"
    if len(parts) > len(rows):
        text += f"\n\nThe {len(parts) - len(rows)} smallest are left out; `{EVALUATION}` has them."
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_lines([head, ["---", *["---:"] * (len(head) - 1)], *rows]))


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(value: float | None) -> str:
    """Return four significant digits, but never the exponent of a number that people read."""
    if value is None:
        return "not defined"
    digits = 3 - math.floor(math.log10(abs(value))) if value else 3
    return f"{value:,.{min(max(digits, 0), 6)}f}"


def _percent(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.1%}"


def escaped(text: str) -> str:
    """Return text as Markdown shows it literally, within one line of a table."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
