"""Measures predictions of a class, one of two or of more.

In every matrix rows are the truth and columns what was told, both in the order of the classes, and a class
that never appears is there all the same. Of two classes the last one is the positive one, and the metrics are
its own; of more, they are the mean over the classes for which they are defined (macro), and the accuracy is
the share of rows told right.
"""

import numpy as np
from bootstrap import RESAMPLES, confidence_of, deviations_of, resampled_counts, resampled_sums
from curves import curve_of, thinned
from failure import UnusableError
from undefined import as_json, mean_of_defined, ratio

_THRESHOLD = 0.5
_SUM_OF_PROBABILITIES = 1e-3
_LAYOUT = {"binary": "binary_classification_metrics", "multiclass": "multiclass_classification_metrics"}
# More than so many classes or curves nobody can read off a picture.
_CLASSES_IN_PICTURES = 30
_CURVES_IN_PICTURES = 8


class Measured:
    """What one model told of the test rows, and what follows from it; its answers are not kept.

    Attributes:
        rows: of the test part.
        told: place of the class that was told, shape (n,).
        confusion: rows by truth and told, shape (classes, classes).
        areas: area under the ROC curve of each class, shape (classes,).
        influence: by how much each row moves the area that is reported, times n; shape (n,).
        curves: points of the curves of some classes.
    """

    def __init__(self, predictions, classes, objective):
        self.rows = predictions.rows
        self.objective = objective
        truth = labels_of(self.rows, classes)
        self.told, scores = told_of(predictions.answers, len(classes), objective)
        self.confusion = confusion_of(truth, self.told, len(classes))
        self.areas = np.full(len(classes), np.nan)
        self.influence = np.zeros(len(truth))
        self.curves = []
        if scores is not None:
            self._draw_curves(truth, scores, classes)

    @property
    def area(self):
        """Return the area under the curve that is reported: the positive class's, or the mean."""
        return reported(self.areas, self.objective)

    def _draw_curves(self, truth, scores, classes):
        """Take areas and curves, one class after the other, for their scores may be large."""
        binary = self.objective == "binary"
        in_pictures = _most_frequent(self.confusion, _CURVES_IN_PICTURES)
        for place in [len(classes) - 1] if binary else range(len(classes)):
            # Of two classes there may be the scores of the last one alone.
            curve = curve_of(scores[:, place - len(classes)], truth == place)
            self.areas[place] = curve.area
            self.influence += curve.influence
            if np.isfinite(curve.area) and place in in_pictures:
                self.curves.append(dict(thinned(curve), **{"class": classes[place]}))
        self.influence /= max(1, np.count_nonzero(np.isfinite(self.areas)))
        if binary:
            # What tells the one class from the other tells the other from the one.
            self.areas[0] = self.areas[-1]

    def metrics(self):
        """Return the metrics that are reported, by name; nan where not defined."""
        return dict(metrics_of(self.confusion, self.objective), auc=self.area)

    def described(self, classes):
        """Return the metrics, those of each class against the rest, and the confusion matrix, as JSON."""
        own = dict(against_the_rest(self.confusion), auc=self.areas)
        by_class = {
            name: dict(
                as_json({metric: values[place] for metric, values in own.items()}),
                rows=int(self.confusion[place].sum()),
            )
            for place, name in enumerate(classes)
        }
        return {
            "metrics": as_json(self.metrics()),
            "by_class": by_class,
            "confusion": self.confusion.tolist(),
        }


def labels_of(rows, classes):
    """Return the place of each row's true class, shape (n,).

    Raises:
        UnusableError: a label is no place of a class.
    """
    labels = rows.labels.astype(int)
    bad = np.flatnonzero((labels != rows.labels) | (labels < 0) | (labels >= len(classes)))
    if len(bad):
        raise UnusableError(
            f"the label {rows.labels[bad[0]]:g} is no class: it must be a whole number from 0 to "
            f"{len(classes) - 1}"
        )
    return labels


def told_of(answers, classes, objective):
    """Read which class each answer tells, and how likely it takes each.

    XGBoost answers the probability of the positive class (binary:logistic), one of each class
    (multi:softprob), or a class alone (multi:softmax); the linear learner one or several scores and the label
    that they call for.

    Args:
        answers: shape (n, numbers of an answer).
        classes: how many there are.
        objective: binary or multiclass.

    Returns:
        Places of the classes, shape (n,); scores, shape (n, columns), the last column being the last class's;
        None in their place if there are none. A binary model may give the positive class's scores alone.

    Raises:
        UnusableError: the answers are no such thing.
    """
    told, scores = (_told_of_two if objective == "binary" else _told_of_many)(answers, classes)
    whole = told.astype(int)
    bad = np.flatnonzero((whole != told) | (whole < 0) | (whole >= classes))
    if len(bad):
        raise UnusableError(
            f"the model tells the class {told[bad[0]]:g}, and there are {classes}, counted from 0"
        )
    return whole, scores


def _told_of_two(answers, classes):
    numbers = answers.shape[1]
    if numbers == 1:
        if np.any((answers < 0) | (answers > 1)):
            bad = answers[(answers < 0) | (answers > 1)][0]
            raise UnusableError(
                f"the model answers {bad:g}, which is no probability: train it with an objective like "
                "binary:logistic"
            )
        return (answers[:, 0] > _THRESHOLD).astype(float), answers
    if numbers == classes and _are_probabilities(answers):
        return (answers[:, 1] > _THRESHOLD).astype(float), answers[:, 1:]
    if numbers == classes and np.all(np.isin(answers[:, 1], (0, 1))):
        return answers[:, 1], answers[:, :1]
    raise UnusableError(
        f"the model answers {numbers} numbers a row: neither a probability, nor two, nor a score and a label"
    )


def _told_of_many(answers, classes):
    numbers = answers.shape[1]
    if numbers == 1:
        return answers[:, 0], None
    if numbers == classes:
        return answers.argmax(axis=1).astype(float), answers
    if numbers == classes + 1:
        return answers[:, -1], answers[:, :-1]
    raise UnusableError(f"the model answers {numbers} numbers a row, and there are {classes} classes")


def _are_probabilities(answers):
    return bool(np.all(np.abs(answers.sum(axis=1) - 1) < _SUM_OF_PROBABILITIES))


def confusion_of(truth, told, classes):
    """Return how many rows of each class (rows) were told to be of each (columns)."""
    cells = np.bincount(truth * classes + told, minlength=classes * classes)
    return cells.reshape(classes, classes)


def against_the_rest(confusion):
    """Return the metrics of each class against the rest.

    F1 is 2 TP / (2 TP + FP + FN): a class that is there and never told has F1 0, though it has no precision.

    Args:
        confusion: rows the truth, columns what was told; shape (classes, classes).

    Returns:
        By name, shape (classes,); nan where a denominator is zero, as of the precision of a class never told.
    """
    total, hits = confusion.sum(), np.diag(confusion)
    truth, told = confusion.sum(axis=1), confusion.sum(axis=0)
    rest_told_right = total - truth - told + hits
    return {
        "accuracy": ratio(hits + rest_told_right, total),
        "precision": ratio(hits, told),
        "recall": ratio(hits, truth),
        "f1": ratio(2 * hits, truth + told),
        "specificity": ratio(rest_told_right, total - truth),
    }


def reported(values, objective):
    """Return the positive class's value, or of more than two classes the mean of the defined ones."""
    return values[-1] if objective == "binary" else mean_of_defined(values)


def metrics_of(confusion, objective):
    """Return the metrics that are reported, by name; nan where not defined."""
    metrics = {name: reported(values, objective) for name, values in against_the_rest(confusion).items()}
    metrics["accuracy"] = ratio(np.trace(confusion), confusion.sum())
    return metrics


def evaluate(config, candidate, champion):
    """Compare candidate and champion, measured on the same test rows.

    Args:
        config: as in `config.json`.
        candidate: measured.
        champion: measured, or None.

    Returns:
        Content of `evaluation.json` and of `pictures.json`.
    """
    models = [candidate] if champion is None else [candidate, champion]
    classes, objective = config["classes"], config["objective"]
    described = [model.described(classes) for model in models]
    resampled = _resampled(models, len(classes), objective)
    deviations = as_json(deviations_of(candidate.metrics(), resampled[0]))
    evaluation = {
        _LAYOUT[objective]: {
            name: {"value": value, "standard_deviation": deviations[name]}
            for name, value in described[0]["metrics"].items()
        },
        "classes": classes,
        "rows": {"test": len(candidate.rows)},
        "candidate": described[0],
        "champion": described[1] if champion is not None else None,
        "confidence": _confidence(resampled, described) if champion is not None else None,
    }
    return evaluation, _pictures(models, classes)


def _resampled(models, classes, objective):
    """Return the metrics of each model on the same resamples."""
    truth = models[0].rows.labels.astype(int)
    kinds = truth
    for model in models:
        kinds = kinds * classes + model.told
    present, counts = np.unique(kinds, return_counts=True)
    present = np.column_stack(np.unravel_index(present, (classes,) * (1 + len(models))))
    resampled = [{name: np.empty(RESAMPLES) for name in model.metrics()} for model in models]
    for number, weights in enumerate(resampled_counts(counts)):
        for place, metrics in enumerate(resampled, 1):
            cells = np.bincount(present[:, 0] * classes + present[:, place], weights, classes * classes)
            confusion = cells.reshape(classes, classes)
            for name, value in metrics_of(confusion, objective).items():
                metrics[name][number] = value
    sums = resampled_sums([np.ones(len(truth))] + [model.influence for model in models])
    for place, model in enumerate(models):
        resampled[place]["auc"] = model.area + ratio(sums[:, 1 + place], sums[:, 0])
    return resampled


def _confidence(resampled, described):
    """Return the confidence that the candidate is better, by metric; the best value of each is 1."""
    ours, theirs = resampled
    return {
        name: float(confidence_of(ours[name], theirs[name], 1.0))
        if all(model["metrics"][name] is not None for model in described)
        else None
        for name in ours
    }


def _most_frequent(confusion, most):
    """Return the places of the classes with most rows, in the order of the classes."""
    return np.sort(np.argsort(-confusion.sum(axis=1), kind="stable")[:most])


def _pictures(models, classes):
    confusion = models[0].confusion
    shown = _most_frequent(confusion, _CLASSES_IN_PICTURES)
    return {
        "confusion": {
            "classes": [classes[place] for place in shown],
            "counts": confusion[np.ix_(shown, shown)].tolist(),
            "left_out": len(classes) - len(shown),
        },
        "roc": [model.curves for model in models],
    }
