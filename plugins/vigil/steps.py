"""Steps that do not wait for each other's success: what failed is told after the last of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vigil.errors import VigilError

log = logging.getLogger(__name__)


class Steps:
    """Keeps what failed until all steps are done."""

    def __init__(self) -> None:
        self._failures: list[VigilError] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do one step; if it fails, note and log that, and go on behind it."""
        try:
            yield
        except VigilError as failure:
            log.error("%s", failure)
            self._failures.append(failure)
        except Exception as error:
            log.exception("%s failed", name)
            unforeseen = VigilError(f"{name} failed ({type(error).__name__}: {error}): the log says where.")
            unforeseen.__cause__ = error
            self._failures.append(unforeseen)

    def tell(self) -> None:
        """Tell of everything that failed, if anything did.

        Raises:
            VigilError: the failure, or one that holds what each of them said.
        """
        messages = dict.fromkeys(map(str, self._failures))
        if len(messages) == 1:
            raise self._failures[0]
        if messages:
            raise VigilError(" ".join(messages)) from self._failures[0]
