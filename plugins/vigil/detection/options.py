"""What all parts of the pipeline file have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from vigil.windows import to_utc


def _text_of_time(value: object) -> object:
    # YAML gives naive datetimes for times without a zone; pydantic then names the missing zone.
    return value.isoformat() if isinstance(value, datetime) else value


Instant = Annotated[AwareDatetime, BeforeValidator(_text_of_time), AfterValidator(to_utc)]


class Options(BaseModel):
    """Refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
