"""Shares rows out to parts: exact counts, constant memory, whatever the size of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from vigil.errors import DataError

Method = Literal["chronological", "random"]

_BLOCK_BYTES = 1024 * 1024
_NEWLINE = ord("\n")
_QUOTE = ord('"')
# Rounding down moves less than a hundredth of so many rows.
_LARGE_GROUP = 100


def part_sizes(rows: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Return how many rows each part gets: each border is its share of the rows, rounded down.

    Args:
        rows: how many there are.
        shares: of the parts; together 1.

    Raises:
        ValueError: the shares are not positive, or do not make 1.
        DataError: a part would get no row.
    """
    exact = [Fraction(str(share)) for share in shares]
    if min(exact, default=0) <= 0 or sum(exact) != 1:
        raise ValueError(f"the shares {tuple(shares)} must be positive and make 1 together")
    sizes = cut_sizes(rows, shares)
    if 0 in sizes:
        needed = max(rows, len(exact))
        while 0 in cut_sizes(needed, shares):
            needed += 1
        raise DataError(
            f"{rows} rows are too few to split {' / '.join(f'{share:g}' for share in shares)}: "
            f"at least {needed} are needed."
        )
    return sizes


def cut_sizes(rows: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Return the sizes of the parts of so many rows; of very few rows a part may get none."""
    exact = [Fraction(str(share)) for share in shares]
    borders = [int(sum(exact[:count]) * rows) for count in range(len(exact) + 1)]
    return tuple(end - start for start, end in pairwise(borders))


def part_labels(rows: int, shares: Sequence[float], method: Method, seed: int) -> NDArray[np.int8]:
    """Return the part of each row, shape (rows,): in order, or shuffled by a seed, the counts exact.

    Raises:
        DataError: a part would get no row.
    """
    labels = np.repeat(np.arange(len(shares), dtype=np.int8), part_sizes(rows, shares))
    if method == "random":
        np.random.default_rng(seed).shuffle(labels)
    return labels


def chronological_labels(times: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int8]:
    """Return the part of each row by its time, the counts exact; of equal times, the first is the older.

    Args:
        times: in any unit, shape (rows,), in any order.
        shares: of the parts, the oldest first; together 1.

    Raises:
        DataError: a part would get no row.
    """
    labels = np.empty(len(times), dtype=np.int8)
    labels[np.argsort(times, kind="stable")] = part_labels(len(times), shares, "chronological", 0)
    return labels


def lasting_labels(
    groups: NDArray[np.integer[Any]], shares: Sequence[float], seed: Sequence[int]
) -> NDArray[np.int8]:
    """Return the part of each row of one file, the rows of each group shuffled and shared out alike.

    A row's part depends on its own file alone: when a model is trained again on more files, no row that was
    held out before becomes one to train on, and a champion meets no test row that it was trained on.

    Args:
        groups: number of each row's group, as of its class; shape (rows,).
        shares: of the parts; together 1.
        seed: numbers that name the split and the file.

    Returns:
        Parts, shape (rows,): of each large group their counts are exact, and of each small one they are next
        to the shares, and right on average over many files.
    """
    labels = np.empty(len(groups), dtype=np.int8)
    draws = np.random.default_rng(seed)
    for group, count in enumerate(np.bincount(groups).tolist()):
        large = count >= _LARGE_GROUP
        sizes = cut_sizes(count, shares) if large else _drawn_sizes(count, shares, draws)
        of_group = np.repeat(np.arange(len(shares), dtype=np.int8), sizes)
        draws.shuffle(of_group)
        labels[groups == group] = of_group
    return labels


def _drawn_sizes(count: int, shares: Sequence[float], draws: np.random.Generator) -> tuple[int, ...]:
    """Return sizes of parts whose means are the exact shares (systematic sampling)."""
    borders = np.floor(np.concatenate(([0.0], np.cumsum(shares))) * count + draws.random())
    borders[0], borders[-1] = 0, count
    return tuple(np.diff(np.minimum(borders, count)).astype(int).tolist())


def split_csv(
    source: Path,
    parts: Sequence[Path],
    shares: Sequence[float],
    *,
    method: Method = "random",
    seed: int = 1729,
    header: bool = True,
) -> tuple[int, ...]:
    """Share the rows of a CSV out to several, in the order they have.

    Args:
        source: file with one row a line.
        parts: files to write.
        shares: of the parts; together 1.
        method: `random`, or `chronological` for a file whose oldest row comes first.
        seed: of the random method; the same seed shares the same file out alike.
        header: whether the first line names the columns; each part then begins with it.

    Returns:
        The rows of each part, the header not counted.

    Raises:
        DataError: there are too few rows, or a quoted value goes over several lines.
    """
    if len(parts) != len(shares):
        raise ValueError(f"{len(parts)} parts and {len(shares)} shares do not match")
    rows = _count_lines(source) - header
    labels = part_labels(max(rows, 0), shares, method, seed)
    with ExitStack() as stack:
        lines = stack.enter_context(source.open("rb"))
        files = [stack.enter_context(part.open("wb")) for part in parts]
        if header:
            first_line = lines.readline()
            for file in files:
                file.write(first_line)
        _share_out(lines, files, labels)
    return part_sizes(rows, shares)


def _share_out(lines: BinaryIO, files: Sequence[BinaryIO], labels: NDArray[np.int8]) -> None:
    done = 0
    for block in _blocks(lines):
        text = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(text == _NEWLINE)
        lengths = np.diff(ends, prepend=-1)
        part_of_byte = np.repeat(labels[done : done + len(ends)], lengths)
        for part, file in enumerate(files):
            file.write(text[part_of_byte == part].data)
        done += len(ends)


def _blocks(lines: BinaryIO) -> Iterator[bytes]:
    """Yield blocks of whole lines; the last line gets its end if it has none."""
    while block := lines.read(_BLOCK_BYTES):
        block += lines.readline()
        yield block if block.endswith(b"\n") else block + b"\n"


def _count_lines(source: Path) -> int:
    count = 0
    with source.open("rb") as lines:
        for block in _blocks(lines):
            if b'"' in block:
                _check_quotes(source, block, count)
            count += block.count(b"\n")
    return count


def _check_quotes(source: Path, block: bytes, lines_before: int) -> None:
    text = np.frombuffer(block, dtype=np.uint8)
    quotes = np.cumsum(text == _QUOTE, dtype=np.int64)[text == _NEWLINE]
    open_at_end = np.flatnonzero(quotes % 2)
    if len(open_at_end):
        raise DataError(
            f"{source.name}, line {lines_before + open_at_end[0] + 1}: a quoted value goes over several "
            "lines. Write one row a line."
        )
