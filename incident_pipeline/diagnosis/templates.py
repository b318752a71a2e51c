"""Log templates: the fixed part of a line, its parameters masked.

Belongs here: grouping lines by what they say. Does not belong here: services, levels, times.
"""

from __future__ import annotations

import re

_MASK = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b|"
    r"\d+(?:[.:,-]\d+)*(?:[a-z]{1,2}\b)?",
    re.IGNORECASE,
)


def mask(message: str) -> str:
    """The first line of a message with numbers and identifiers masked."""
    first = message.split("\n", 1)[0][:1000]
    return _MASK.sub("<*>", first)
