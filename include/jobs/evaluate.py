"""Measures a candidate on predictions that other jobs made, and calibrates its band.

Runs as a SageMaker Processing job; bands.py lies beside it. By hand, in a checkout:

    PYTHONPATH=plugins/vigil python include/jobs/evaluate.py --help

Reads below the root, which the container calls /opt/ml:

    processing/input/config/config.json               coverage, names, and the champion with its band
    processing/input/candidate/validation.csv.out     lines label,series,window_start,prediction
    processing/input/candidate/test.csv.out
    processing/input/champion/test.csv.out            when there is a champion

The band is calibrated on the validation part, everything is measured on the test part. Writes
`evaluation.json` and `band.json` to processing/output/evaluation.

Standard library and numpy only, in the syntax of the oldest Python among the pinned images.
"""

import argparse
import csv
import json
import math
import os
import sys

import numpy as np
from bands import Band, calibrate

RESAMPLES = 100
SEED = 1729
KEYS = 3
MESSAGE_LIMIT = 1000


class UnusableError(Exception):
    """Says which file cannot be used, and why."""


class Predictions:
    """Predicted and true counts of some windows.

    Attributes:
        series: name of each window's series, n of them.
        windows: start of each window, n of them, in ISO 8601.
        observed: true counts, shape (n,).
        expected: predicted counts, shape (n,).
    """

    def __init__(self, series, windows, observed, expected):
        self.series = series
        self.windows = windows
        self.observed = observed
        self.expected = expected

    def __len__(self):
        return len(self.series)

    def same_rows_as(self, other):
        """Tell whether the other predictions are of the very same windows with the same counts."""
        return (
            self.series == other.series
            and self.windows == other.windows
            and np.array_equal(self.observed, other.observed)
        )


def read_predictions(path):
    """Read the output of a Batch Transform job.

    Raises:
        UnusableError: the file is missing or empty, or a line is not as it must be.
    """
    if not os.path.exists(path):
        raise UnusableError("{} is missing: did the Batch Transform job write it?".format(path))
    series, windows, observed, expected = [], [], [], []
    with open(path, encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        for row in rows:
            if not row:
                continue
            where = "{}, line {}".format(path, rows.line_num)
            if len(row) <= KEYS:
                raise UnusableError(
                    "{}: {} columns, not label,series,window_start,prediction".format(where, len(row))
                )
            observed.append(_count(row[0], where, "label"))
            series.append(row[1])
            windows.append(row[2])
            # An answer in JSON may hold commas.
            expected.append(_count(_score(",".join(row[KEYS:]), where), where, "prediction"))
    if not series:
        raise UnusableError("{} holds no prediction".format(path))
    return Predictions(series, windows, np.array(observed), np.array(expected))


def _score(text, where):
    """Return the number in an answer: XGBoost's plain number, or the linear learner's JSON."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return text
    try:
        answer = json.loads(text)
        while not isinstance(answer, (int, float)):
            if isinstance(answer, list):
                (answer,) = answer
            else:
                answer = answer["predictions"] if "predictions" in answer else answer["score"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableError("{}: no number and no score in {!r}".format(where, text)) from error
    return answer


def _count(value, where, what):
    try:
        number = float(value)
    except ValueError as error:
        raise UnusableError("{}: the {} {!r} is no number".format(where, what, value)) from error
    if not math.isfinite(number):
        raise UnusableError("{}: the {} is {}".format(where, what, number))
    return number


def metrics_of(sums):
    """Return the metrics that follow from the sums over some windows.

    Args:
        sums: of 1, error, absolute error, squared error, observed, inside; shape (6,).

    Returns:
        By name; None where a metric is not defined, as WAPE is where nothing was observed.
    """
    rows, error, absolute, squared, observed, inside = [float(value) for value in sums]
    return {
        "rmse": math.sqrt(squared / rows),
        "mae": absolute / rows,
        "wape": absolute / observed if observed else None,
        "bias": error / rows,
        "coverage": inside / rows,
    }


def terms_of(predictions, band):
    """Return what each window adds to the sums of `metrics_of`; shape (n, 6)."""
    error = predictions.expected - predictions.observed
    lower, upper = band.bounds(predictions.series, predictions.expected)
    inside = (lower <= predictions.observed) & (predictions.observed <= upper)
    ones = np.ones(len(predictions))
    return np.column_stack([ones, error, np.abs(error), error**2, predictions.observed, inside])


def deviations_of(terms):
    """Return the standard deviation of each metric over bootstrap resamples of the windows.

    Source: B. Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.
    """
    generator = np.random.RandomState(SEED)
    rows = len(terms)
    resampled = []
    for _ in range(RESAMPLES):
        weights = np.bincount(generator.randint(0, rows, rows), minlength=rows)
        resampled.append(metrics_of(weights @ terms))
    deviations = {}
    for name in resampled[0]:
        values = [metrics[name] for metrics in resampled if metrics[name] is not None]
        deviations[name] = float(np.std(values)) if values else None
    return deviations


def measured(predictions, band):
    """Return metrics of all windows and of each series; those without a band have no coverage."""
    terms = terms_of(predictions, band)
    names = np.array(predictions.series)
    by_series = {}
    for name in sorted(set(predictions.series)):
        own = terms[names == name]
        by_series[name] = dict(metrics_of(own.sum(axis=0)), rows=len(own))
    return {
        "metrics": metrics_of(terms.sum(axis=0)),
        "deviations": deviations_of(terms),
        "by_series": by_series,
    }


def evaluate(config, validation, test, champion):
    """Calibrate the candidate's band and measure candidate and champion on the same test rows.

    Args:
        config: as in `config.json`.
        validation: the candidate's predictions of the validation part.
        test: the candidate's predictions of the test part.
        champion: the champion's predictions of the test part, or None.

    Returns:
        The content of `evaluation.json`, and the band.
    """
    band = calibrate(validation.series, validation.expected, validation.observed, config["coverage"])
    candidate = measured(test, band)
    evaluation = {
        "regression_metrics": {
            name: {"value": value, "standard_deviation": candidate["deviations"][name]}
            for name, value in candidate["metrics"].items()
        },
        "model": config["model"],
        "dataset": config["dataset"],
        "rows": {"validation": len(validation), "test": len(test)},
        "test_period": {"first": min(test.windows), "last": max(test.windows)},
        "band_coverage": config["coverage"],
        "candidate": {"metrics": candidate["metrics"], "by_series": candidate["by_series"]},
        "champion": None,
    }
    if champion is not None:
        theirs = measured(champion, Band.from_json(config["champion"]["band"]))
        evaluation["champion"] = {
            "model_version": config["champion"]["model_version"],
            "metrics": theirs["metrics"],
            "by_series": theirs["by_series"],
        }
    return evaluation, band


def run(root):
    """Read, measure and write, below the folder that the container calls /opt/ml.

    Raises:
        UnusableError: a file cannot be used.
    """
    given = os.path.join(root, "processing", "input")
    with open(os.path.join(given, "config", "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    validation = read_predictions(os.path.join(given, "candidate", "validation.csv.out"))
    path = os.path.join(given, "candidate", "test.csv.out")
    test = read_predictions(path)
    champion = None
    if config["champion"] is not None:
        theirs = os.path.join(given, "champion", "test.csv.out")
        champion = read_predictions(theirs)
        if not champion.same_rows_as(test):
            raise UnusableError("{} is not about the rows of {}".format(theirs, path))
    try:
        evaluation, band = evaluate(config, validation, test, champion)
    except ValueError as error:
        raise UnusableError("{}: {}".format(given, error)) from error
    output = os.path.join(root, "processing", "output", "evaluation")
    os.makedirs(output, exist_ok=True)
    for name, content in (("band.json", band.to_json()), ("evaluation.json", evaluation)):
        with open(os.path.join(output, name), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, sort_keys=True, allow_nan=False)
    print(json.dumps(evaluation["regression_metrics"], sort_keys=True))


def main():
    """Run, and leave the reason of a failure where SageMaker looks for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default="/opt/ml", help="folder that holds processing/ and output/")
    root = parser.parse_args().root
    try:
        run(root)
    except UnusableError as error:
        print(error, file=sys.stderr)
        os.makedirs(os.path.join(root, "output"), exist_ok=True)
        with open(os.path.join(root, "output", "message"), "w", encoding="utf-8") as file:
            file.write(str(error)[:MESSAGE_LIMIT])
        sys.exit(1)


if __name__ == "__main__":
    main()
