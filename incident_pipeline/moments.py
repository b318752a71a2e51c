"""Moments as other systems write them.

Belongs here: reading a point in time from whatever a file, a webhook or an API puts there, and writing it back.
Durations are in `durations.py`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_OFFSET_WITHOUT_T = re.compile(r"^(\S+)\s+(\S+?)\s*(UTC|GMT|Z|[+-]\d{2}:?\d{2})$", re.IGNORECASE)
_SCALES = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6))
"""A number below the bound is in units of 1/scale seconds: seconds until the year 5138, then ms, then us; else ns."""


def parse_moment(value: Any) -> datetime:
    """Read a point in time as an aware UTC datetime.

    Takes datetimes, ISO 8601, `2026-11-23 14:35:00 UTC`, `2026-11-23 14:35:00 +0200`, and seconds, milliseconds,
    microseconds or nanoseconds since 1970 as a number or text (told apart by size). Naive means UTC.

    Raises:
        ValueError: it is none of these.
    """
    try:
        if isinstance(value, datetime):
            return _utc(value)
        if isinstance(value, str):
            return _from_text(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _from_number(float(value))
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(
            f"{_shown(value)} is not a moment; write 2026-11-23T14:35:00Z or seconds since 1970"
        ) from error
    raise ValueError(f"{_shown(value)} is not a moment; write 2026-11-23T14:35:00Z or seconds since 1970")


def format_moment(value: datetime) -> str:
    """The ISO 8601 text in UTC, ending in Z, with a fraction only where there is one."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _from_text(text: str) -> datetime:
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        pass
    try:
        return _from_number(float(text))
    except ValueError:
        pass
    spaced = _OFFSET_WITHOUT_T.match(text)
    if spaced is None:
        raise ValueError("no known form")
    zone = "+00:00" if spaced[3].upper() in ("UTC", "GMT", "Z") else spaced[3]
    return _utc(datetime.fromisoformat(f"{spaced[1]}T{spaced[2]}{zone}"))


def _from_number(number: float) -> datetime:
    scale = next((scale for bound, scale in _SCALES if abs(number) < bound), 1e9)
    return datetime.fromtimestamp(number / scale, tz=UTC)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
