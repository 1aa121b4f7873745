"""What all parts of a model spec have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

INSTANCE = r"^ml\.[a-z0-9-]+\.[a-z0-9]+$"
NAME = r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$"

Objective = Literal["regression", "binary", "multiclass"]


class Part(BaseModel):
    """A part of a spec: cannot be changed, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)
