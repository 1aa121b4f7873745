from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vigil.training.tabular.csv_tables import read_table
from vigil.training.tabular import csv_rows
from vigil.training.tabular.csv_rows import CsvFile, UnreadableError
from vigil.training.tabular.problems import Problems

cells = st.text("ab,é\"\n\r ' ;", max_size=6)


def read_all(content: bytes, block_bytes: int = 1 << 16) -> list[tuple[int, list[str | None]]]:
    rows, problems = read_table(content, block_bytes)
    assert not problems.count, problems.first
    return [
        (line, list(values))
        for block in rows
        for line, *values in zip(
            block.lines.tolist(), *(column.to_pylist() for column in block.columns.values()), strict=True
        )
    ]


def expected_rows(content: bytes) -> list[tuple[int, list[str | None]]]:
    """Read as Python does, which counts lines too."""
    lines = csv.reader(io.StringIO(content.decode(), newline=""))
    expected = []
    before = 0
    for row in lines:
        if row:
            texts = [value.strip(" \t\n\v\f\r") or None for value in row]
            expected.append((before + 1, texts))
        before = lines.line_num
    return expected[1:]


@given(
    st.lists(st.tuples(cells, cells, cells), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 60),
    st.booleans(),
    st.booleans(),
)
def test_every_row_is_read_as_it_was_written_with_its_line_whatever_the_blocks(
    rows: Sequence[Sequence[str]], end: str, block_bytes: int, all_quoted: bool, ends: bool
) -> None:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=end, quoting=quoting).writerows([("x", "y", "z"), *rows])
    content = text.getvalue() if ends else text.getvalue().removesuffix(end)
    # Python quotes a carriage return only where it ends lines so.
    encoded = content.replace("\r\n", "\n").replace("\r", "").replace("\n", end).encode()
    lines = expected_rows(encoded)
    # Python takes each line feed in a quoted value for a line, as editors do.
    assert read_all(encoded, block_bytes) == lines


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_read_or_refused_with_a_row(noise: bytes, block_bytes: int) -> None:
    content = b"a,b\n" + noise
    file, rows, refused_at = None, 0, None
    try:
        file = CsvFile(io.BytesIO(content), block_bytes)
        rows = sum(len(block.lines) for block in file.read(file.header, Problems()))
    except UnreadableError as error:
        refused_at = error.row
    if refused_at is not None:
        assert 1 <= refused_at <= content.count(b"\n") + 1
    elif file is not None:
        assert rows == file.rows
        assert file.bytes == len(content)
        assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    content = b"\xef\xbb\xbfa,b\r\n1,2\r\n"
    file = CsvFile(io.BytesIO(content))
    assert file.header == ("a", "b")
    assert read_all(content) == [(2, ["1", "2"])]


def test_blank_lines_are_passed_over_and_counted() -> None:
    assert read_all(b"a,b\n\n1,2\n\r\n\n3,4\n\n") == [(3, ["1", "2"]), (6, ["3", "4"])]


def test_only_the_wanted_columns_are_read_in_the_wanted_order() -> None:
    file = CsvFile(io.BytesIO(b"a,b,c\n1,2,3\n"))
    (rows,) = file.read(["c", "a"], Problems())
    assert {name: column.to_pylist() for name, column in rows.columns.items()} == {"c": ["3"], "a": ["1"]}


def test_rows_that_do_not_fit_the_header_are_named_and_left_out() -> None:
    rows, problems = read_table(b'a,b\n1,2\n\n3\n"4\n4",5\n6,7,8\n9,9\n')
    assert [line for block in rows for line in block.lines.tolist()] == [2, 5, 8]
    assert [str(problem) for problem in problems.first] == [
        "row 4: the header names 2 columns, and this row has 1",
        "row 7: the header names 2 columns, and this row has 3",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n1,\xff\n", "row 3: the byte 0xff is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "row 1: the byte 0xff is not UTF-8"),
        (b'a,b\n1,"2\n3,4\n', "row 2: a quote is opened and never closed"),
        (b'a,b\n1,5" pipe\n', "row 2: a quote stands in the middle"),
        (b'a,b\n1,2\n"1"2,3\n', "row 3: a quote stands in the middle"),
        (b'a,b\n1,2" and 3"\n', "row 2: a quote stands in the middle"),
        (b"a,b\r1,2\r", "row 1: a carriage return stands alone"),
        (b'a,"b"\n"1",2\r3\n', "row 2: a carriage return stands alone"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 5, 1 << 16])
def test_what_could_be_read_in_two_ways_is_refused(content: bytes, message: str, block_bytes: int) -> None:
    with pytest.raises(UnreadableError) as error:
        read_table(content, block_bytes)
    assert str(error.value).startswith(message)
    assert str(error.value).endswith("nothing after it was read")


@pytest.mark.parametrize("tail", [b"", b"\n1,2\n"])
@pytest.mark.parametrize("block_bytes", [10, 1 << 16])
def test_a_row_that_is_too_long_is_named(
    monkeypatch: pytest.MonkeyPatch, tail: bytes, block_bytes: int
) -> None:
    monkeypatch.setattr(csv_rows, "LONGEST_ROW_BYTES", 100)
    with pytest.raises(UnreadableError, match="row 3: it is longer than 100 bytes"):
        read_table(b"a,b\n1,2\n" + b"x" * 200 + tail, block_bytes)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\n"])
def test_an_empty_file_has_no_header(content: bytes) -> None:
    assert CsvFile(io.BytesIO(content)).header == ()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a," * 5_000, "names 5001 columns, and 4096 is the most"),
        ("a," + "b" * 300, "longer than 256 characters"),
        ("a," + "b" * 200_000, "the header cannot be read: field larger than"),
    ],
)
def test_a_header_that_no_table_has_is_refused(header: str, message: str) -> None:
    with pytest.raises(UnreadableError, match=message) as error:
        CsvFile(io.BytesIO(f"{header}\n1,2\n".encode()))
    assert error.value.row == 1
