"""Measures predictions of a number, and calibrates the band around them."""

import numpy as np
from banding import band_from_json, band_kind
from bootstrap import confidence_of, deviations_of, resampled_sums
from failure import UnusableError
from undefined import as_json, ratio

_BINS = 60
# Of all residuals, so much at either end falls into the outermost bins of the histogram.
_TAIL = 0.005
_PANELS = 4
_POINTS = 288


class Measured:
    """What one model predicted of the test rows, and what follows from it.

    Attributes:
        rows: of the test part.
        expected: predictions, shape (n,).
        error: expected less observed, shape (n,).
        lower: bound of the model's band, shape (n,).
        upper: bound of the model's band, shape (n,).
        inside: 1 where the observed value lies in the band, else 0; shape (n,).
    """

    def __init__(self, predictions, band):
        self.rows = predictions.rows
        self.expected = expected_of(predictions)
        self.error = self.expected - self.rows.labels
        self.lower, self.upper = band.bounds(self.rows, self.expected)
        self.inside = ((self.lower <= self.rows.labels) & (self.rows.labels <= self.upper)).astype(float)

    def terms(self):
        """Return what each row adds to the sums of `metrics_of`, but for the two that all models share."""
        return [self.error, np.abs(self.error), self.error**2, self.inside]


def expected_of(predictions):
    """Return the predicted numbers, shape (n,).

    Raises:
        UnusableError: the model answers something else than one number.
    """
    numbers = predictions.answers.shape[1]
    if numbers != 1:
        raise UnusableError(
            f"the model answers {numbers} numbers a row, and a regression has one: does its hyperparameter "
            "objective or predictor_type fit?"
        )
    return predictions.answers[:, 0]


def metrics_of(sums):
    """Return the metrics that follow from sums over rows, each in the unit of what is predicted or a share.

    WAPE is the sum of absolute errors over the sum of absolute observed values.

    Args:
        sums: of 1, |observed|, error, |error|, error squared, inside; shape (..., 6).

    Returns:
        By name, shape (...); nan where not defined, as WAPE is where nothing was observed.
    """
    rows, observed, error, absolute, squared, inside = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    return {
        "rmse": np.sqrt(ratio(squared, rows)),
        "mae": ratio(absolute, rows),
        "wape": ratio(absolute, observed),
        "bias": ratio(error, rows),
        "coverage": ratio(inside, rows),
    }


def evaluate(config, validation, test, champion):
    """Calibrate the candidate's band, and measure candidate and champion on the same test rows.

    Args:
        config: as in `config.json`.
        validation: the candidate's predictions of the validation part.
        test: the candidate's predictions of the test part.
        champion: the champion's predictions of the test part, or None.

    Returns:
        Content of `evaluation.json`, of `pictures.json`, and the band.

    Raises:
        UnusableError: the predictions are no numbers.
        ValueError: there are too few rows to calibrate on.
    """
    kind = band_kind(config)
    band = kind.calibrated(validation.rows, expected_of(validation), config["coverage"])
    models = [Measured(test, band)]
    if champion is not None:
        models.append(Measured(champion, band_from_json(config, config["champion"]["band"])))
    shared = [np.ones(len(test.rows)), np.abs(test.rows.labels)]
    described = [_described(test.rows, shared + model.terms()) for model in models]
    resampled = _resampled(shared, models)
    metrics = metrics_of([column.sum() for column in shared + models[0].terms()])
    deviations = as_json(deviations_of(metrics, resampled[0]))
    evaluation = {
        "regression_metrics": {
            name: {"value": value, "standard_deviation": deviations[name]}
            for name, value in described[0]["metrics"].items()
        },
        "rows": {"validation": len(validation.rows), "test": len(test.rows)},
        "band_coverage": config["coverage"],
        "candidate": described[0],
        "champion": described[1] if champion is not None else None,
        "confidence": _confidence(resampled, described, config["coverage"]),
    }
    return evaluation, _pictures(models), band


def best_value(metric, coverage):
    """Return the value of a metric at its best: a band that is too wide is as wrong as one too narrow."""
    return coverage if metric == "coverage" else 0.0


def _described(rows, columns):
    """Return the metrics of all rows, and of each series where there are some."""
    described = {"metrics": as_json(metrics_of([column.sum() for column in columns]))}
    if rows.names is not None:
        sums = np.column_stack([np.bincount(rows.series, column) for column in columns])
        described["by_series"] = {
            rows.names[place]: dict(as_json(metrics_of(sums[place])), rows=int(sums[place][0]))
            for place in np.argsort(rows.names)
        }
    return described


def _resampled(shared, models):
    """Return the metrics of each model on the same resamples."""
    columns = shared + [term for model in models for term in model.terms()]
    sums = resampled_sums(columns)
    each = (len(columns) - len(shared)) // len(models)
    resampled = []
    for place in range(len(models)):
        own = len(shared) + place * each
        resampled.append(metrics_of(np.hstack([sums[:, : len(shared)], sums[:, own : own + each]])))
    return resampled


def _confidence(resampled, described, coverage):
    """Return the confidence that the candidate is better, by metric; None without a champion."""
    if len(resampled) == 1:
        return None
    ours, theirs = resampled
    both = {name for name in ours if all(model["metrics"][name] is not None for model in described)}
    return {
        name: float(confidence_of(ours[name], theirs[name], best_value(name, coverage)))
        if name in both
        else None
        for name in ours
    }


def _pictures(models):
    return {"residuals": _residuals(models), "band": _panels(models[0])}


def _residuals(models):
    """Return histograms of observed less expected over the same bins."""
    residuals = [-model.error for model in models]
    low, high = np.quantile(np.concatenate(residuals), [_TAIL, 1 - _TAIL])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    counts = [np.histogram(np.clip(own, low, high), edges)[0].tolist() for own in residuals]
    return {"edges": edges.tolist(), "counts": counts}


def _panels(model):
    """Return some rows in order with their band.

    Of series, the last windows of the longest ones; of other rows, a sample in the order of what is expected.
    """
    rows = model.rows
    if rows.names is None or rows.windows is None:
        order = np.argsort(model.expected, kind="stable")
        places = np.unique(np.linspace(0, len(order) - 1, min(len(order), _POINTS)).astype(int))
        return [_panel(model, order[places], None)]
    longest = np.argsort(-np.bincount(rows.series), kind="stable")[:_PANELS]
    panels = []
    for code in longest:
        own = np.flatnonzero(rows.series == code)
        own = own[np.argsort(rows.windows[own], kind="stable")][-_POINTS:]
        panels.append(_panel(model, own, rows.names[code]))
    return panels


def _panel(model, chosen, series):
    windows = model.rows.windows
    return {
        "series": series,
        "at": None if windows is None else [str(window) for window in windows[chosen]],
        "observed": model.rows.labels[chosen].tolist(),
        "expected": model.expected[chosen].tolist(),
        "lower": model.lower[chosen].tolist(),
        "upper": model.upper[chosen].tolist(),
    }
