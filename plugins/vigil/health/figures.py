"""What a model is measured by: sums over judged windows, and the figures that follow from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figures:
    """Sums over the judged windows of a day, of one series or of several.

    Attributes:
        windows: that were judged.
        inside: those whose count lies in the band; the sums below are over them alone.
        observed: events.
        absolute_error: expected less observed, without its sign.
        error: expected less observed.
    """

    windows: int
    inside: int
    observed: int
    absolute_error: float
    error: float

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.windows + other.windows,
            self.inside + other.inside,
            self.observed + other.observed,
            self.absolute_error + other.absolute_error,
            self.error + other.error,
        )

    @property
    def coverage(self) -> float | None:
        """Return the share of windows that lie in the band."""
        return self.inside / self.windows if self.windows else None

    @property
    def wape(self) -> float | None:
        """Return the absolute error as a share of what was observed."""
        return self.absolute_error / self.observed if self.observed else None

    @property
    def bias_share(self) -> float | None:
        """Return the error as a share of what was observed; positive where too much is expected."""
        return self.error / self.observed if self.observed else None

    @property
    def mean_observed(self) -> float | None:
        """Return the events of a window."""
        return self.observed / self.inside if self.inside else None

    def to_json(self) -> dict[str, Any]:
        """Return sums and figures as JSON-like content."""
        return {
            **asdict(self),
            "coverage": self.coverage,
            "wape": self.wape,
            "bias_share": self.bias_share,
        }


NOTHING = Figures(0, 0, 0, 0.0, 0.0)
