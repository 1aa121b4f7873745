"""What is wrong with a file that somebody dropped: said by row and column, for the one who can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigil.errors import DataError

MOST_SHOWN = 20
_LONGEST_VALUE = 40


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        row: number of its line in the file, where 1 is the header; None for the file as a whole.
        column: name; None for the row as a whole.
        reason: what is wrong, and where it is not plain, the way out.
    """

    row: int | None
    column: str | None
    reason: str

    def __str__(self) -> str:
        row = f"row {self.row}" if self.row else ""
        column = f"column {self.column}" if self.column else ""
        place = ", ".join(filter(None, (row, column)))
        return f"{place}: {self.reason}" if place else self.reason


class UnusableFileError(DataError):
    """A file does not fit; it says everything that is wrong with it.

    Attributes:
        file: how people call it.
        problems: the first of them, in order of the rows.
        count: of all.
    """

    def __init__(self, file: str, problems: Sequence[Problem], count: int) -> None:
        self.file = file
        self.problems = tuple(problems)
        self.count = count
        more = f" And {count - 1} more." if count > 1 else ""
        super().__init__(f"{file} cannot be used: {problems[0]}.{more}")

    def __reduce__(self) -> tuple[type[UnusableFileError], tuple[str, tuple[Problem, ...], int]]:
        return type(self), (self.file, self.problems, self.count)


class Problems:
    """Gathers problems while a file is read: all are counted, the first are kept.

    Attributes:
        first: the first of them, in order of the rows.
        count: of all.
    """

    def __init__(self) -> None:
        self.first: list[Problem] = []
        self.count = 0

    def add(self, row: int | None, column: str | None, reason: str) -> None:
        """Note one problem."""
        self._keep([Problem(row, column, reason)], 1)

    def add_all(self, rows: NDArray[np.int64], column: str, reasons: Iterable[str]) -> None:
        """Note problems of one column.

        Args:
            rows: numbers of their lines, shape (n,), ascending.
            column: name.
            reasons: of the first `MOST_SHOWN` of them at least.
        """
        first = zip(rows[:MOST_SHOWN].tolist(), reasons, strict=False)
        self._keep([Problem(row, column, reason) for row, reason in first], len(rows))

    def join(self, others: Problems) -> None:
        """Note what was gathered elsewhere."""
        self._keep(others.first, others.count)

    def raise_if_any(self, file: str) -> None:
        """Refuse the file.

        Raises:
            UnusableFileError: something was noted.
        """
        if self.count:
            raise UnusableFileError(file, self.first, self.count)

    def _keep(self, found: list[Problem], count: int) -> None:
        self.count += count
        self.first = sorted([*self.first, *found], key=lambda problem: problem.row or 0)[:MOST_SHOWN]


def problems_report(error: UnusableFileError) -> str:
    """Return what is wrong with a file as Markdown for the one who sent it."""
    lines = [
        f"# {_plain(error.file)} was not used",
        "",
        f"{error.count} problem{'s' if error.count > 1 else ''} found; nothing was trained on this file. "
        "Row 1 is the header. Mend the file and drop it again.",
        "",
        "| row | column | what is wrong |",
        "|---|---|---|",
        *(
            f"| {problem.row or ''} | {_plain(problem.column or '')} | {_plain(problem.reason)} |"
            for problem in error.problems
        ),
    ]
    if error.count > len(error.problems):
        lines += ["", f"The first {len(error.problems)} are shown."]
    return "\n".join(lines) + "\n"


def shown(value: str) -> str:
    """Return a value from a file as a message shows it: quoted, and cut if it is long."""
    return repr(value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…")


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, in one line: it comes from a stranger's file."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return "".join(
        f"\\{character}" if character in r"\`*_{}[]<>#|!~&" else character for character in printable
    )
