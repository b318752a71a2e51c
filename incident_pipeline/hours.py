"""Hours of the day as people write them: `22:00` to `07:00` in `Europe/Berlin`.

Belongs here: reading them, and when a span of each day ends. Does not belong here: spans of time (`durations.py`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def parse_clock(value: Any) -> Any:
    """Read `22:00` as the text `22:00`; YAML hands unquoted ones over as minutes.

    Raises:
        ValueError: it is no time of day.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return f"{value // 60:02}:{value % 60:02}"
    found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a time of day; write 22:00")
    return f"{int(found[1]):02}:{found[2]}"


def known_zone(name: str) -> str:
    """The name of a time zone.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}; write UTC or one such as Europe/Berlin") from error
    return name


ClockTime = Annotated[
    str,
    BeforeValidator(
        parse_clock, json_schema_input_type=Annotated[str, Field(pattern=r"^\d{1,2}:\d\d$", examples=["22:00"])]
    ),
]
TimeZone = Annotated[str, AfterValidator(known_zone)]


def end_of_span(start: str, end: str, zone: str, now: datetime) -> datetime | None:
    """When the daily span that `now` lies in ends, in UTC; None outside of it."""
    here = now.astimezone(ZoneInfo(zone))
    begins, ends = time.fromisoformat(start), time.fromisoformat(end)
    for day in (here.date() - timedelta(days=1), here.date()):
        first = datetime.combine(day, begins, here.tzinfo)
        last = datetime.combine(day if ends > begins else day + timedelta(days=1), ends, here.tzinfo)
        if first <= here < last:
            return last.astimezone(UTC)
    return None
