"""The calendar of holidays, if there is one: days that are a weekday of their own to every model.

`include/configs/holidays.yaml` names each day once, for training and judging alike:

    2026-12-25: Christmas Day
    2027-01-01: New Year's Day
"""

from __future__ import annotations

from datetime import date
from functools import cache

import yaml

from vigil.errors import SettingsError
from vigil.paths import configs_dir

_FILE = "holidays.yaml"
_EPOCH = date(1970, 1, 1)


@cache
def holidays() -> frozenset[int]:
    """Return the holidays as days since the epoch; none if there is no calendar.

    Raises:
        SettingsError: the calendar is no YAML, or names something that is no day.
    """
    file = configs_dir() / _FILE
    if not file.exists():
        return frozenset()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(f"The calendar {file} is no YAML: {error}") from error
    except ValueError as error:
        raise SettingsError(f"The calendar {file} names a day that does not exist: {error}") from error
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise SettingsError(
            f"The calendar {file} must name days, one a line, as in 2026-12-25: Christmas Day"
        )
    for day in content:
        if type(day) is not date:
            raise SettingsError(f"The calendar {file} names {day!r}, which is no day: write it as 2026-12-25")
    return frozenset((day - _EPOCH).days for day in content)
