"""Reads a CSV of any size in blocks of whole rows, each with the number of its line, in constant memory.

Rows are as RFC 4180 has them, in UTF-8, with or without a byte order mark, ended by LF or CRLF. A quoted
value may hold commas, doubled quotes and line breaks. Blank lines are passed over. What could be read in two
ways is refused: a quote in the middle of a value, one that is never closed, a carriage return alone.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from vigil.training.tabular.cells import cleaned
from vigil.training.tabular.problems import Problems

LONGEST_ROW_BYTES = 1024 * 1024
MOST_COLUMNS = 4096
LONGEST_NAME = 256

_BLOCK_BYTES = 512 * 1024
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'
_BEFORE_OPENING = np.frombuffer(b',\n"', dtype=np.uint8)
_AFTER_CLOSING = np.frombuffer(b',\n\r"', dtype=np.uint8)
_REST_UNREAD = "nothing after it was read"


class Stream(Protocol):
    """Anything that bytes are read from, such as the body of an S3 object."""

    def read(self, amt: int, /) -> bytes:
        """Return so many bytes, fewer at the end, none after it."""
        ...


class UnreadableError(Exception):
    """The file cannot be read on: where it happened, and why."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows.

    Attributes:
        lines: number of each row's first line in the file, shape (n,); the header's is 1.
        columns: text of each column by name, n values: trimmed, and null where missing.
    """

    lines: NDArray[np.int64]
    columns: dict[str, pa.Array]

    def pieces(self, most: int) -> Iterator[Rows]:
        """Yield the rows again, so many at most at a time."""
        for start in range(0, len(self.lines), most):
            columns = {name: column.slice(start, most) for name, column in self.columns.items()}
            yield Rows(self.lines[start : start + most], columns)


class CsvFile:
    """A CSV that is read once, from front to end.

    Attributes:
        header: names of the columns; empty for an empty file.
        rows: read so far.
        bytes: read so far.
    """

    def __init__(self, stream: Stream, block_bytes: int = _BLOCK_BYTES) -> None:
        """Read the header.

        Raises:
            UnreadableError: there is something that no CSV has.
        """
        self.rows = 0
        self.bytes = 0
        self._stream = stream
        self._block_bytes = block_bytes
        self._digest = hashlib.sha256()
        self._blocks = self._whole_rows()
        self._first = next(self._blocks, None)
        self.header = self._take_header()

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of what was read so far, in hex; at the end, of the file."""
        return self._digest.hexdigest()

    def read(self, columns: Sequence[str], problems: Problems) -> Iterator[Rows]:
        """Yield the rows.

        Args:
            columns: names of those that are wanted.
            problems: where rows are noted that have more or fewer columns than the header; they are left out.

        Raises:
            UnreadableError: there is something that no CSV has.
        """
        while self._first is not None:
            block, self._first = self._first, None
            if len(block.lines):
                rows = self._parse(block, columns, problems)
                self.rows += len(rows.lines)
                yield rows
            self._first = next(self._blocks, None)

    def _take_header(self) -> tuple[str, ...]:
        while self._first is not None and not len(self._first.lines):
            self._first = next(self._blocks, None)
        if self._first is None:
            return ()
        text, self._first = self._first.split_first_row()
        try:
            names = next(csv.reader(io.StringIO(text.decode(), newline="")))
        except csv.Error as error:
            raise UnreadableError(1, f"the header cannot be read: {error}; {_REST_UNREAD}") from error
        if len(names) > MOST_COLUMNS:
            reason = f"it names {len(names)} columns, and {MOST_COLUMNS} is the most that is taken"
            raise UnreadableError(1, f"{reason}; {_REST_UNREAD}")
        if max(map(len, names)) > LONGEST_NAME:
            reason = f"a column has a name longer than {LONGEST_NAME} characters: shorten it"
            raise UnreadableError(1, f"{reason}; {_REST_UNREAD}")
        return tuple(name.strip() for name in names)

    def _parse(self, block: _Block, columns: Sequence[str], problems: Problems) -> Rows:
        ragged: dict[int, int] = {}

        def leave_out(row: arrow_csv.InvalidRow) -> str:
            ragged[row.number - 1] = row.actual_columns
            return "skip"

        places = [str(place) for place in range(len(self.header))]
        wanted = [places[self.header.index(name)] for name in columns]
        table = arrow_csv.read_csv(
            pa.py_buffer(block.text),
            # In one thread, so that a row that does not fit is known by its number.
            read_options=arrow_csv.ReadOptions(
                column_names=places, use_threads=False, block_size=len(block.text) + 1
            ),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=leave_out),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(places, pa.string()), check_utf8=False
            ),
        )
        for place, count in ragged.items():
            reason = f"the header names {len(self.header)} columns, and this row has {count}"
            problems.add(int(block.lines[place]), None, reason)
        lines = np.delete(block.lines, list(ragged)) if ragged else block.lines
        texts = [cleaned(table.column(place).combine_chunks()) for place in wanted]
        return Rows(lines, dict(zip(columns, texts, strict=True)))

    def _whole_rows(self) -> Iterator[_Block]:
        text, line = self._read(), 1
        if text.startswith(codecs.BOM_UTF8):
            text = text.removeprefix(codecs.BOM_UTF8)
        more = bool(text)
        while text:
            cut = _end_of_last_row(text) if more else len(text)
            if cut:
                whole = text[:cut] if more or text.endswith(b"\n") else text + b"\n"
                block = _Block.of(whole, line)
                yield block
                line = block.next_line
            text = text[cut:]
            if len(text) > LONGEST_ROW_BYTES:
                _check_quotes_and_returns(text, line, at_end=False)
                raise UnreadableError(line, _too_long())
            if more:
                added = self._read()
                more = bool(added)
                text += added

    def _read(self) -> bytes:
        text = self._stream.read(self._block_bytes)
        self._digest.update(text)
        self.bytes += len(text)
        return text


@dataclass(frozen=True)
class _Block:
    """Whole rows, each ended by a line feed.

    Attributes:
        text: of the rows.
        lines: number of the first line of each that is not blank.
        next_line: number of the line behind them.
    """

    text: bytes
    lines: NDArray[np.int64]
    next_line: int

    @classmethod
    def of(cls, text: bytes, first_line: int) -> _Block:
        """Check some whole rows.

        Raises:
            UnreadableError: they are no UTF-8, or quoted in a way that can be read in two.
        """
        _check_utf8(text, first_line)
        _check_quotes_and_returns(text, first_line, at_end=True)
        newlines, ends = _newlines_and_row_ends(text)
        starts = np.concatenate(([0], ends[:-1] + 1))
        lines = first_line + np.searchsorted(newlines, starts)
        lengths = ends - starts
        longest = int(np.argmax(lengths))
        if lengths[longest] > LONGEST_ROW_BYTES:
            raise UnreadableError(int(lines[longest]), _too_long())
        first_bytes = np.frombuffer(text, dtype=np.uint8)[starts]
        blank = (lengths == 0) | ((lengths == 1) & (first_bytes == _RETURN))
        return cls(text, lines[~blank], first_line + len(newlines))

    def split_first_row(self) -> tuple[bytes, _Block]:
        """Return the text of the first row that is not blank, and the rows after it."""
        _, ends = _newlines_and_row_ends(self.text)
        start = 0
        for end in ends.tolist():
            row = self.text[start : end + 1]
            if row.strip(b"\r\n"):
                return row, _Block(self.text[end + 1 :], self.lines[1:], self.next_line)
            start = end + 1
        raise AssertionError("a block without rows has no first one")


def _newlines_and_row_ends(text: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of all line feeds, and of those that end a row; text begins with a row."""
    characters = np.frombuffer(text, dtype=np.uint8)
    newlines = np.flatnonzero(characters == _NEWLINE)
    if b'"' not in text:
        return newlines, newlines
    # The count of quotes may run over: only whether it is even matters.
    quotes = np.cumsum(characters == _QUOTE, dtype=np.uint8)
    return newlines, newlines[quotes[newlines] % 2 == 0]


def _end_of_last_row(text: bytes) -> int:
    """Return how long the whole rows are that text begins with."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    _, ends = _newlines_and_row_ends(text)
    return int(ends[-1]) + 1 if len(ends) else 0


def _check_utf8(text: bytes, first_line: int) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = first_line + text.count(b"\n", 0, error.start)
        byte = text[error.start]
        reason = f"the byte 0x{byte:02x} is not UTF-8: save the file as UTF-8; {_REST_UNREAD}"
        raise UnreadableError(line, reason) from None


def _check_quotes_and_returns(text: bytes, first_line: int, *, at_end: bool) -> None:
    if b'"' not in text and (b"\r" not in text or text.count(b"\r") == text.count(b"\r\n")):
        return
    # What lies behind the text is a line feed, or not known yet, which is as good.
    characters = np.frombuffer(text + b"\n", dtype=np.uint8)
    quotes = np.flatnonzero(characters == _QUOTE)
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening > 0, characters[opening - 1], _NEWLINE)
    in_the_middle = np.concatenate(
        (
            opening[~np.isin(before, _BEFORE_OPENING)],
            closing[~np.isin(characters[closing + 1], _AFTER_CLOSING)],
        )
    )
    returns = np.flatnonzero(characters == _RETURN)
    outside = np.searchsorted(quotes, returns) % 2 == 0
    alone = returns[outside & (characters[returns + 1] != _NEWLINE)]
    reasons = (
        (in_the_middle, "a quote stands in the middle of a value: quote the value, and double the quote"),
        (alone, "a carriage return stands alone: end lines by LF or CRLF, or quote the value"),
        (opening[len(closing) :] if at_end else opening[:0], "a quote is opened and never closed"),
    )
    for places, reason in reasons:
        if len(places):
            line = first_line + text.count(b"\n", 0, int(np.min(places)))
            raise UnreadableError(line, f"{reason}; {_REST_UNREAD}")


def _too_long() -> str:
    return (
        f"it is longer than {LONGEST_ROW_BYTES} bytes, the most that a row may have: is a quote left open? "
        f"{_REST_UNREAD.capitalize()}"
    )
