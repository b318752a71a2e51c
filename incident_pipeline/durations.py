"""Durations as people write them: `15m`, `24h`, `90d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def parse_duration(value: Any) -> Any:
    """Read `90s`, `15m`, `24h`, `7d`, `2w` or a sum of them (`1h30m`) as a timedelta.

    Raises:
        ValueError: the text is not a duration.
    """
    if not isinstance(value, str):
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f"a duration needs a unit, such as {value}s, {value}m or {value}h")
        return value
    text = value.strip().lower()
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise ValueError(f"{value!r} is not a duration; write 90s, 15m, 24h or 7d")
    try:
        return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"{value!r} is longer than any incident; write 90s, 15m, 24h or 7d") from None


def format_duration(value: timedelta) -> str:
    """The text that a person would write and `parse_duration` reads back: `90s`, `90m`, `48h`, `7d`."""
    seconds = value.total_seconds()
    for unit, size, least in (("d", 86400, 3 * 86400), ("h", 3600, 3600), ("m", 60, 60)):
        if seconds >= least and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:f}".rstrip("0").rstrip(".") + "s"


_Written = Annotated[str, Field(pattern=r"^(\s*\d+(\.\d+)?\s*[smhdwSMHDW])+\s*$", examples=["15m", "24h", "7d"])]

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration, json_schema_input_type=_Written),
    PlainSerializer(format_duration, return_type=str),
]
