"""JSON from outside, read so that nothing in it can surprise later.

Belongs here: parsing text that someone else wrote. Writing JSON needs no help.
"""

from __future__ import annotations

import json
import re
from typing import Any

_MAY_HOLD_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str | bytes) -> Any:
    """Parse JSON; unpaired surrogates become U+FFFD, so that every text can be stored and sent.

    Raises:
        ValueError: it is not JSON, or is nested deeper than anything honest.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return _without_surrogates(value) if _MAY_HOLD_SURROGATE.search(text) else value


def clean(text: str) -> str:
    """The text without NUL and without unpaired surrogates."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): _without_surrogates(item) for key, item in value.items()}
    return value
