from __future__ import annotations

from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.errors import DataError
from vigil.training import split
from vigil.training.split import (
    Method,
    chronological_labels,
    lasting_labels,
    part_labels,
    part_sizes,
    split_csv,
)

SHARES = (0.7, 0.2, 0.1)
methods = st.sampled_from(["random", "chronological"])
lines = st.lists(st.text("abc,0.\r ", max_size=12), min_size=10, max_size=200)


def split_text(
    text: bytes, *, method: Method = "random", seed: int = 1, header: bool = False
) -> tuple[list[bytes], tuple[int, ...]]:
    with TemporaryDirectory() as folder:
        source, parts = Path(folder, "source.csv"), [Path(folder, name) for name in "abc"]
        source.write_bytes(text)
        sizes = split_csv(source, parts, SHARES, method=method, seed=seed, header=header)
        return [part.read_bytes() for part in parts], sizes


@given(lines, methods, st.booleans())
def test_no_row_is_lost_or_doubled_and_the_counts_are_exact(
    rows: list[str], method: Method, ends_with_newline: bool
) -> None:
    numbered = [f"{number}:{row}".encode() for number, row in enumerate(rows)]
    text = b"\n".join(numbered) + (b"\n" if ends_with_newline else b"")
    parts, sizes = split_text(text, method=method)
    rows_of_parts = [part.split(b"\n")[:-1] for part in parts]
    assert tuple(map(len, rows_of_parts)) == sizes == part_sizes(len(rows), SHARES)
    together = list(chain.from_iterable(rows_of_parts))
    assert sorted(together) == sorted(numbered)
    if method == "chronological":
        assert together == numbered


@given(st.integers(0, 2**32), st.integers(10, 300))
def test_the_same_seed_gives_the_same_split(seed: int, rows: int) -> None:
    text = b"".join(b"%d\n" % row for row in range(rows))
    assert split_text(text, seed=seed) == split_text(text, seed=seed)


def test_another_seed_gives_another_split() -> None:
    text = b"".join(b"%d\n" % row for row in range(100))
    assert split_text(text, seed=1) != split_text(text, seed=2)


def test_rows_that_do_not_fit_into_a_block_are_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"".join(b"%d,%s\n" % (row, b"x" * (row % 40)) for row in range(500))
    at_once = split_text(text)
    monkeypatch.setattr(split, "_BLOCK_BYTES", 64)
    assert split_text(text) == at_once


def test_each_part_begins_with_the_header() -> None:
    parts, sizes = split_text(b"a,b\n" + b"1,2\n" * 10, header=True)
    assert sizes == (7, 2, 1)
    assert [part.count(b"a,b\n") for part in parts] == [1, 1, 1]
    assert all(part.startswith(b"a,b\n") for part in parts)


def test_borders_are_rounded_down_as_the_first_system_did() -> None:
    assert part_sizes(4119, SHARES) == (2883, 824, 412)


def test_shares_that_binary_fractions_cannot_hold_still_give_exact_borders() -> None:
    assert part_sizes(10, SHARES) == (7, 2, 1)


@given(st.integers(0, 3))
def test_too_few_rows_are_refused_with_the_number_that_is_needed(rows: int) -> None:
    with pytest.raises(DataError, match=f"{rows} rows are too few .*at least 4 are needed"):
        part_sizes(rows, SHARES)
    assert part_sizes(4, SHARES) == (2, 1, 1)


@pytest.mark.parametrize("shares", [(0.7, 0.2), (0.7, 0.4, -0.1), ()])
def test_shares_that_are_no_whole_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must be positive and make 1"):
        part_sizes(100, shares)


def test_a_quoted_line_break_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source, parts = tmp_path / "source.csv", [tmp_path / name for name in "abc"]
    source.write_bytes(b'a\n"one, two"\n"three\nfour"\n' + b"5\n" * 20)
    with pytest.raises(DataError, match=r"source.csv, line 3: a quoted value"):
        split_csv(source, parts, SHARES)
    assert not any(part.exists() for part in parts)


def test_an_empty_file_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "source.csv").touch()
    with pytest.raises(DataError, match="0 rows are too few"):
        split_csv(tmp_path / "source.csv", [tmp_path / name for name in "abc"], SHARES)


def test_random_labels_are_spread_over_the_whole_file() -> None:
    labels = part_labels(1000, SHARES, "random", 1729)
    assert {0, 1, 2} == set(labels[:100].tolist()) == set(labels[-100:].tolist())


@given(st.lists(st.integers(-3, 3), min_size=10, max_size=60))
def test_no_row_of_a_part_is_older_than_one_of_the_part_before(times: list[int]) -> None:
    labels = chronological_labels(np.array(times), SHARES).tolist()
    in_order = sorted(zip(labels, times, range(len(times)), strict=True))
    assert [(time, place) for _, time, place in in_order] == sorted(
        (time, place) for place, time in enumerate(times)
    )
    assert tuple(np.bincount(labels)) == part_sizes(len(times), SHARES)


@given(st.lists(st.integers(100, 300), min_size=1, max_size=4), st.integers(0, 99), st.randoms())
def test_each_group_of_a_file_is_shared_out_by_the_same_exact_shares(
    counts: list[int], seed: int, order: Random
) -> None:
    rows = [place for place, count in enumerate(counts) for _ in range(count)]
    order.shuffle(rows)
    groups = np.array(rows)
    labels = lasting_labels(groups, SHARES, (seed, 1))
    for place, count in enumerate(counts):
        assert tuple(np.bincount(labels[groups == place])) == part_sizes(count, SHARES)
    assert labels.tolist() == lasting_labels(groups, SHARES, (seed, 1)).tolist()


def test_rows_are_shuffled_by_the_seed_and_by_the_file() -> None:
    groups = np.zeros(100, dtype=int)
    splits = [lasting_labels(groups, SHARES, seed).tolist() for seed in ((1, 1), (2, 1), (1, 2))]
    assert len({tuple(labels) for labels in splits}) == 3
    assert all(labels != sorted(labels) for labels in splits)


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_small_files_have_the_shares_on_average(rows: int) -> None:
    groups = np.zeros(rows, dtype=int)
    labels = np.concatenate([lasting_labels(groups, SHARES, (1, file)) for file in range(3000)])
    assert np.bincount(labels) / len(labels) == pytest.approx(SHARES, abs=0.03)
