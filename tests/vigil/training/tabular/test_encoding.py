from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vigil.training.tabular.csv_tables import read_table, surveyed, table, tabular_data
from vigil.errors import DataError
from vigil.training.tabular.encoding import Category, Encoding, Number

REGRESSION = tabular_data(objective="regression")
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr), st.integers(-9, 9).map(str), st.just("")
)
words = st.sampled_from(["red", "blue", "blue, or not", 'a "name"', "missing", "", "NA", "é"])
rows_of_both = st.lists(st.tuples(numbers, words), min_size=3, max_size=20)


def encoding_of(rows: Sequence[Sequence[str]]) -> Encoding:
    """Make a schema of a column of numbers and one of words, neither of them constant."""
    certain = [("1", "red", "1"), ("2.5", "blue", "2")]
    encoding, problems = surveyed(
        table(["size", "colour", "y"], [*certain, *([*row, "0"] for row in rows)]), REGRESSION
    )
    assert not problems.count, problems.first
    return encoding


def trained_on(encoding: Encoding, rows: Sequence[Sequence[str]]) -> list[list[float]]:
    """Encode rows as the data set has them."""
    read, problems = read_table(table(["size", "colour"], rows))
    assert not problems.count
    return [
        [float(text) for text in line.split(",")]
        for block in read
        for line in encoding.feature_lines(block.columns).to_pylist()
    ]


def served(encoding: Encoding, rows: Sequence[Sequence[str]]) -> list[list[float]]:
    return encoding.encode_rows({"size": size, "colour": colour, "other": "x"} for size, colour in rows)


@given(rows_of_both, rows_of_both)
def test_any_later_rows_have_the_same_width_and_are_served_as_they_are_trained_on(
    first: list[tuple[str, str]], later: list[tuple[str, str]]
) -> None:
    encoding = encoding_of(first)
    encoded = trained_on(encoding, later)
    assert {len(row) for row in encoded} == {len(encoding.features)}
    assert served(encoding, later) == encoded


@given(rows_of_both)
def test_each_feature_is_what_its_name_says(rows: list[tuple[str, str]]) -> None:
    encoding = encoding_of(rows)
    size, colour = encoding.columns
    assert isinstance(size, Number)
    for (number, word), encoded in zip(rows, served(encoding, rows), strict=True):
        features = dict(zip(encoding.features, encoded, strict=True))
        assert features["size"] == (float(number) if number else size.median)
        assert features.get("size=missing", 0) == (number == "")
        word = word if word not in ("", "NA") else "missing"
        on = {name for name, value in features.items() if name.startswith("colour=") and value}
        assert on == {f"colour={word}"}
    assert list(colour.features) == sorted(colour.features)


@given(rows_of_both)
def test_a_schema_does_not_depend_on_the_order_of_rows_or_on_blocks(rows: list[tuple[str, str]]) -> None:
    assert encoding_of(rows) == encoding_of(rows[::-1])


@given(rows_of_both)
def test_a_schema_survives_being_saved(rows: list[tuple[str, str]]) -> None:
    encoding = encoding_of(rows)
    assert Encoding.from_json(encoding.to_json()) == encoding


def test_what_was_never_seen_and_what_is_missing_for_the_first_time() -> None:
    encoding = encoding_of([("7", "red")])
    assert encoding.features == ("size", "colour=blue", "colour=red")
    assert served(encoding, [("", "")]) == [[2.5, 0, 0]]
    assert served(encoding, [("NA", "green")]) == [[2.5, 0, 0]]


def test_missing_values_have_features_if_some_were_missing_at_first() -> None:
    encoding = encoding_of([("", "NA")])
    assert encoding.features == ("size", "size=missing", "colour=blue", "colour=missing", "colour=red")
    assert served(encoding, [(" null ", ""), ("3", "red")]) == [[1.75, 1, 0, 1, 0], [3, 0, 0, 0, 1]]


def test_the_word_missing_and_a_missing_value_are_one_category() -> None:
    encoding = encoding_of([("1", "missing"), ("1", "")])
    assert encoding.features == ("size", "colour=blue", "colour=missing", "colour=red")
    assert served(encoding, [("1", "missing")]) == served(encoding, [("1", "")])


def test_columns_may_come_in_any_order_and_with_others() -> None:
    encoding = encoding_of([("7", "red")])
    read, _ = read_table(b"id,colour,size\n1,red,4\n")
    assert encoding.feature_lines(read[0].columns).to_pylist() == ["4,0,1"]


def test_classes_are_labelled_by_place_and_an_unknown_one_by_nothing() -> None:
    encoding = Encoding("y", "binary", ("no", "yes"), (Number("size", 1, False),))
    assert encoding.labels(pa.array(["yes", "no", "perhaps", None])).to_pylist() == [1, 0, None, None]


def test_a_text_in_a_column_of_numbers_is_refused_by_name() -> None:
    encoding = encoding_of([("7", "red")])
    for wrong in ("many", "inf", "1e999", "x" * 50):
        with pytest.raises(
            DataError, match=r"The column size holds numbers, and '.{3,41}' is no finite number"
        ):
            served(encoding, [("1", "red"), (wrong, "red")])


def test_a_row_without_a_column_is_refused() -> None:
    with pytest.raises(DataError, match="A row has no column colour"):
        encoding_of([("7", "red")]).encode_rows([{"size": "1"}])


def test_no_rows_are_no_rows() -> None:
    assert encoding_of([("7", "red")]).encode_rows([]) == []


def test_a_schema_whose_features_were_changed_by_hand_is_refused() -> None:
    content = encoding_of([("7", "red")]).to_json()
    content["features"][0] = "length"
    with pytest.raises(ValueError, match="not those of its columns"):
        Encoding.from_json(content)


@pytest.mark.parametrize("column", [Number("a", 0.1, True), Category("b", ("x", "y"))])
def test_a_column_gives_as_many_features_as_it_names(column: Number | Category) -> None:
    encoded = ",".join(text[0].as_py() for text in column.encode(pa.array([None], pa.string())))
    assert encoded.count(",") + 1 == len(column.features)
