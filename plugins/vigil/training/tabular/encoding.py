"""How rows of a table become numbers: the encoding schema, the same for every later file and for serving.

A column of numbers is one feature; a missing value is the median, and a second feature `<name>=missing` tells
of it if any was missing when the schema was made. A column of categories is one feature `<name>=<value>` for
each value known, sorted, 1 for the row's own and 0 for all others; a value never seen before is 0 in all of
them. A missing category is the category `missing`, if that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vigil.errors import DataError
from vigil.training.spec.part import Objective
from vigil.training.tabular.cells import cleaned, read_numbers
from vigil.training.tabular.problems import shown

MISSING = "missing"


@dataclass(frozen=True)
class Number:
    """A column of numbers.

    Attributes:
        name: of the column.
        median: stands for a missing value.
        tells_missing: whether there is a feature that tells of missing values.
    """

    name: str
    median: float
    tells_missing: bool

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of its features."""
        return (self.name, f"{self.name}={MISSING}") if self.tells_missing else (self.name,)

    def encode(self, texts: pa.Array) -> list[pa.Array]:
        """Return columns of text that hold its features, in order.

        Raises:
            DataError: a text is no finite number.
        """
        numbers = numbers_of(self.name, texts)
        # Arrow writes the shortest text that reads back as the same number, as repr does.
        columns = [pc.cast(pc.fill_null(numbers, self.median), pa.string())]
        if self.tells_missing:
            columns.append(pc.if_else(numbers.is_null(), "1", "0"))
        return columns


@dataclass(frozen=True)
class Category:
    """A column of categories.

    Attributes:
        name: of the column.
        values: that are known, sorted.
    """

    name: str
    values: tuple[str, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of its features."""
        return tuple(f"{self.name}={value}" for value in self.values)

    def encode(self, texts: pa.Array) -> list[pa.Array]:
        """Return one column of text that holds all its features, with commas between them."""
        places = pc.index_in(pc.fill_null(texts, MISSING), self._known)
        return [self._encoded.take(pc.fill_null(places, len(self.values)))]

    @cached_property
    def _known(self) -> pa.Array:
        return pa.array(self.values, pa.string())

    @cached_property
    def _encoded(self) -> pa.Array:
        """The text of the features for each known value, and at the end for any other."""
        rows = np.vstack((np.eye(len(self.values), dtype=int), np.zeros(len(self.values), dtype=int)))
        return pa.array([",".join(map(str, row)) for row in rows.tolist()])


@dataclass(frozen=True)
class Encoding:
    """The encoding schema of a model.

    Attributes:
        target: column to predict.
        objective: what kind of prediction.
        classes: names of the target's classes; the label is a place among them. None for a regression.
        columns: that features are made of, in order.
        constant: columns that had one value in all rows, and are left out.
    """

    target: str
    objective: Objective
    classes: tuple[str, ...]
    columns: tuple[Number | Category, ...]
    constant: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of all features, in order."""
        return tuple(feature for column in self.columns for feature in column.features)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the columns that features are made of, in order."""
        return tuple(column.name for column in self.columns)

    def feature_lines(self, texts: Mapping[str, pa.Array]) -> pa.Array:
        """Return the features of some rows, a line of text each, with commas between them.

        Args:
            texts: of each input column, n values, as `cells.cleaned` gives them.

        Raises:
            DataError: a text in a column of numbers is no finite number.
        """
        encoded = [feature for column in self.columns for feature in column.encode(texts[column.name])]
        return pc.binary_join_element_wise(*encoded, ",")

    def labels(self, texts: pa.Array) -> pa.Array:
        """Return the labels of some rows: numbers, or places of classes; null where there is none.

        Args:
            texts: of the target, n values, as `cells.cleaned` gives them.

        Raises:
            DataError: a number is predicted, and a text is none.
        """
        if self.objective == "regression":
            return numbers_of(self.target, texts)
        return pc.index_in(texts, pa.array(self.classes, pa.string()))

    def encode_rows(self, rows: Iterable[Mapping[str, str]]) -> list[list[float]]:
        """Return the features of rows that a model is asked about, shape (n, features).

        Goes the way of training to the last step, the text that the algorithm reads.

        Args:
            rows: text of each input column by name, as a CSV would hold it; others are passed over.

        Raises:
            DataError: a row has no such column, or what should be a number is none.
        """
        asked = list(rows)
        if not asked:
            return []
        texts = {name: cleaned(pa.array(_column(asked, name), pa.string())) for name in self.inputs}
        return [list(map(float, line.split(","))) for line in self.feature_lines(texts).to_pylist()]

    def to_json(self) -> dict[str, Any]:
        """Return the schema as JSON-like content."""
        return {
            "target": self.target,
            "objective": self.objective,
            "classes": list(self.classes),
            "columns": [{"kind": _kind(column), **asdict(column)} for column in self.columns],
            "constant": list(self.constant),
            "features": list(self.features),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Encoding:
        """Read a schema from JSON-like content.

        Raises:
            ValueError: the features are not those that the columns give.
        """
        encoding = cls(
            target=content["target"],
            objective=content["objective"],
            classes=tuple(content["classes"]),
            columns=tuple(_column_from_json(column) for column in content["columns"]),
            constant=tuple(content["constant"]),
        )
        if list(encoding.features) != content["features"]:
            raise ValueError("its features are not those of its columns")
        return encoding


def numbers_of(name: str, texts: pa.Array) -> pa.Array:
    """Return the numbers of a column, null where missing.

    Raises:
        DataError: a text is no finite number.
    """
    numbers, wrong = read_numbers(texts)
    if len(wrong):
        value = shown(texts[int(wrong[0])].as_py())
        raise DataError(f"The column {name} holds numbers, and {value} is no finite number: correct it.")
    return numbers


def _column(rows: Sequence[Mapping[str, str]], name: str) -> list[str]:
    try:
        return [row[name] for row in rows]
    except KeyError:
        raise DataError(
            f"A row has no column {name}, which the model was trained with: give it, empty if it is unknown."
        ) from None


def _kind(column: Number | Category) -> str:
    return "number" if isinstance(column, Number) else "category"


def _column_from_json(content: dict[str, Any]) -> Number | Category:
    if content["kind"] == "number":
        return Number(content["name"], float(content["median"]), bool(content["tells_missing"]))
    return Category(content["name"], tuple(content["values"]))
