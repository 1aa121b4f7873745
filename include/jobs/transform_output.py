"""Reads what a Batch Transform job wrote: a line for each held-out row, the model's answer at its end."""

import hashlib
import math
import os
from array import array

import numpy as np
from failure import UnusableError

from vigil.answers import cut_line

SERIES = "series"
WINDOW_START = "window_start"


class Layout:
    """What stands in a line in front of the answer: the label, the keys, then the features that were kept.

    Attributes:
        keys: names of the columns behind the label.
        features: number of columns between the keys and the answer.
    """

    def __init__(self, keys, features):
        self.keys = list(keys)
        self.features = features

    @property
    def columns(self):
        """Return the number of columns in front of the answer."""
        return 1 + len(self.keys) + self.features

    def place_of(self, key):
        """Return the place of a key in a line, or None if the rows have no such key."""
        return 1 + self.keys.index(key) if key in self.keys else None


class Rows:
    """Which rows were predicted, and what is true of them.

    Attributes:
        labels: true values, shape (n,).
        names: of the series, in order; None if the rows belong to no series.
        series: place of each row's series among the names, shape (n,); None likewise.
        windows: start of each window in UTC, shape (n,); None if the rows are no windows.
        identity: hash over the keys of all rows in order.
    """

    def __init__(self, labels, names, series, windows, identity):
        self.labels = labels
        self.names = names
        self.series = series
        self.windows = windows
        self.identity = identity

    def __len__(self):
        return len(self.labels)

    def same_as(self, other):
        """Tell whether the others are the very same rows with the same labels."""
        return self.identity == other.identity and np.array_equal(self.labels, other.labels)


class Predictions:
    """What a model answered to some rows; `answers` has the shape (n, numbers of an answer)."""

    def __init__(self, rows, answers):
        self.rows = rows
        self.answers = answers


def read_predictions(path, layout):
    """Read the output of a Batch Transform job.

    Args:
        path: of the file.
        layout: of its lines.

    Raises:
        UnusableError: the file is missing or empty, or a line is not as it must be.
    """
    if not os.path.exists(path):
        raise UnusableError(f"{path} is missing: did the Batch Transform job write it?")
    reader = _Reader(layout)
    with open(path, encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    reader.take(line.rstrip("\r\n"))
                except ValueError as error:
                    raise UnusableError(f"{path}, line {number}: {error}") from error
    if not reader.labels:
        raise UnusableError(f"{path} holds no prediction")
    try:
        return reader.predictions()
    except ValueError as error:
        raise UnusableError(f"{path}: {error}") from error


class _Reader:
    """Gathers lines in arrays, for lists of numbers would take several times the memory."""

    def __init__(self, layout):
        self.layout = layout
        self.labels = array("d")
        self.answers = array("d")
        self.width = None
        self.codes = {}
        self.series = array("l")
        self.windows = []
        self.digest = hashlib.sha256()
        self.series_place = layout.place_of(SERIES)
        self.window_place = layout.place_of(WINDOW_START)

    def take(self, line):
        """Add one line.

        Raises:
            ValueError: it is not as it must be.
        """
        cells, answer = cut_line(line, self.layout.columns)
        if self.width is None:
            self.width = len(answer)
        if len(answer) != self.width:
            raise ValueError(f"{len(answer)} numbers in the answer, {self.width} in the lines before")
        self.labels.append(_label(cells[0]))
        self.answers.extend(answer)
        for cell in cells[1 : 1 + len(self.layout.keys)]:
            self.digest.update(cell.encode() + b"\n")
        if self.series_place is not None:
            self.series.append(self.codes.setdefault(cells[self.series_place], len(self.codes)))
        if self.window_place is not None:
            self.windows.append(cells[self.window_place])

    def predictions(self):
        """Return what was gathered.

        Raises:
            ValueError: a window does not start at a time.
        """
        named = self.series_place is not None
        rows = Rows(
            labels=np.array(self.labels),
            names=list(self.codes) if named else None,
            series=np.array(self.series) if named else None,
            windows=np.array(self.windows, dtype="datetime64[s]") if self.windows else None,
            identity=self.digest.digest(),
        )
        return Predictions(rows, np.array(self.answers).reshape(len(rows), self.width))


def _label(text):
    try:
        label = float(text)
    except ValueError as error:
        raise ValueError(f"the label {text!r} is no number") from error
    if not math.isfinite(label):
        raise ValueError(f"the label is {label}")
    return label
