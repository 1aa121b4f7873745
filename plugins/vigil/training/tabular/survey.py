"""Looks through the rows of a first file, in constant memory, and makes the encoding schema of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vigil.training.spec.data import Tabular
from vigil.training.tabular.cells import is_infinite, read_numbers, why_no_number
from vigil.training.tabular.csv_rows import Rows
from vigil.training.tabular.encoding import MISSING, Category, Encoding, Number
from vigil.training.tabular.problems import Problems, shown

# The median of a column is that of so many values drawn at random: exact for fewer rows, and of more it lies
# between the 49th and the 51st percentile in 95 of 100 cases.
SAMPLED_ROWS = 10_000
_SEED = 1729


class Survey:
    """Gathers what an encoding schema is made of: give it all rows, then take the encoding."""

    def __init__(self, data: Tabular, columns: Sequence[str]) -> None:
        """Begin.

        Args:
            data: of the model spec.
            columns: names of those that the model may see, in order; the target is none of them.
        """
        self._data = data
        self._columns = {
            name: _ColumnSurvey(name, name not in data.categorical, data.most_categories) for name in columns
        }
        self._target = _ColumnSurvey(data.target, False, data.most_categories)
        self._draws = np.random.default_rng(_SEED)

    def add(self, rows: Rows) -> None:
        """Look through some more rows."""
        draws = self._draws.random(len(rows.lines))
        if self._data.objective != "regression":
            self._target.add(rows.columns[self._data.target], rows.lines, draws)
        for name, column in self._columns.items():
            column.add(rows.columns[name], rows.lines, draws)

    def encoding(self, problems: Problems) -> Encoding:
        """Return the encoding schema of all rows; it is of use only if no problem was noted."""
        encodings = {name: column.encoding(problems) for name, column in self._columns.items()}
        columns = tuple(encoding for encoding in encodings.values() if encoding is not None)
        constant = tuple(name for name, column in self._columns.items() if column.is_constant)
        if len(constant) == len(encodings):
            problems.add(None, None, "no column but the target has two different values")
        classes = self._classes(problems) if self._data.objective != "regression" else ()
        encoding = Encoding(self._data.target, self._data.objective, classes, columns, constant)
        _check_names(encoding.features, problems)
        return encoding

    def _classes(self, problems: Problems) -> tuple[str, ...]:
        """Return the names of the classes, sorted, but for the positive one, which comes last."""
        data, target = self._data, self._target
        if target.values is None:
            reason = (
                f"it has more than {data.most_categories} classes: is it a number? Then the objective is "
                "regression; else raise data.most_categories in the model spec"
            )
            problems.add(None, data.target, reason)
            return ()
        classes = sorted(target.values)
        if len(classes) < 2 or (data.objective == "binary" and len(classes) > 2):
            wanted = "two" if data.objective == "binary" else "two or more"
            found = ", ".join(map(repr, classes[:5])) + (", …" if len(classes) > 5 else "")
            reason = (
                f"a {data.objective} target has {wanted} classes, and this one has {len(classes)}: {found}"
            )
            problems.add(None, data.target, reason)
        if data.positive is not None and data.positive not in classes:
            reason = (
                f"no row is {data.positive!r}, which the model spec names as positive: correct one of the two"
            )
            problems.add(None, data.target, reason)
        return tuple(sorted(classes, key=lambda name: (name == data.positive, name)))


class _ColumnSurvey:
    """What is known of one column.

    Attributes:
        values: the different ones; None when there are too many to be categories.
    """

    def __init__(self, name: str, may_be_numbers: bool, most_values: int) -> None:
        self.values: set[str] | None = set()
        self._name = name
        self._most_values = most_values
        self._numeric = may_be_numbers
        self._some_numbers = False
        self._missing = False
        self._first_text: tuple[int, str] | None = None
        self._infinite = Problems()
        self._sample = np.empty(0)
        self._draws_of_sample = np.empty(0)

    def add(self, texts: pa.Array, lines: NDArray[np.int64], draws: NDArray[np.float64]) -> None:
        self._missing |= texts.null_count > 0
        if self.values is not None:
            self.values.update(pc.unique(texts.drop_null()).to_pylist())
            if len(self.values) > self._most_values:
                self.values = None
        if self._numeric:
            self._add_numbers(texts, lines, draws)

    def _add_numbers(self, texts: pa.Array, lines: NDArray[np.int64], draws: NDArray[np.float64]) -> None:
        numbers, wrong = read_numbers(texts)
        self._some_numbers |= numbers.null_count < len(numbers)
        for place in wrong.tolist():
            text = texts[place].as_py()
            if not is_infinite(text):
                self._numeric = False
                self._first_text = int(lines[place]), text
                return
            self._infinite.add(int(lines[place]), self._name, why_no_number(text))
        there = numbers.is_valid().to_numpy(zero_copy_only=False)
        self._keep_sample(numbers.drop_null().to_numpy(), draws[there])

    def _keep_sample(self, numbers: NDArray[np.float64], draws: NDArray[np.float64]) -> None:
        """Keep the numbers with the smallest draws: each is as likely to be among them."""
        if len(self._sample) == SAMPLED_ROWS:
            smaller = draws < np.max(self._draws_of_sample)
            numbers, draws = numbers[smaller], draws[smaller]
        self._sample = np.concatenate((self._sample, numbers))
        self._draws_of_sample = np.concatenate((self._draws_of_sample, draws))
        if len(self._sample) > SAMPLED_ROWS:
            kept = np.argpartition(self._draws_of_sample, SAMPLED_ROWS)[:SAMPLED_ROWS]
            self._sample, self._draws_of_sample = self._sample[kept], self._draws_of_sample[kept]

    @property
    def is_constant(self) -> bool:
        """Tell whether all rows have the same value, or all have none."""
        return self.values is not None and len(self.values) + self._missing < 2

    def encoding(self, problems: Problems) -> Number | Category | None:
        """Return how the column is encoded; None if it is constant, or cannot be and a problem was noted."""
        if self.is_constant:
            return None
        if self._numeric:
            problems.join(self._infinite)
            median = float(np.median(self._sample)) if len(self._sample) else 0.0
            return Number(self._name, median, self._missing)
        if self._first_text and self._some_numbers:
            line, text = self._first_text
            reason = (
                f"{shown(text)} is no number, and others in the column are: correct it, or add the column to "
                "data.categorical in the model spec"
            )
            problems.add(line, self._name, reason)
            return None
        if self.values is None:
            problems.add(None, self._name, self._why_too_many())
            return None
        known = self.values | ({MISSING} if self._missing else set())
        return Category(self._name, tuple(sorted(known)))

    def _why_too_many(self) -> str:
        return (
            f"it has more than {self._most_values} categories. If it is a name or an id, add it to "
            "data.leave_out in the model spec; else raise data.most_categories"
        )


def _check_names(features: Sequence[str], problems: Problems) -> None:
    names = set()
    for name in features:
        if name in names:
            problems.add(None, None, f"two features would be called {name}: rename one of the columns")
        names.add(name)
