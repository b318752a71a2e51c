"""What is wrong with a configuration, in sentences for the person who wrote it.

Belongs here: pydantic's errors as one sentence each, with the key and the nearest right word.
Does not belong here: reading files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from incident_pipeline.config import Scenario, Section

Location = tuple[str | int, ...]
"""Names and indices from `scenario` down to a key."""

_PLAIN = {
    "model_type": "must be a section with keys of its own",
    "dict_type": "must be a section of names, each with its value",
    "tuple_type": "must be a list, such as [a, b]",
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "path_type": "must be a path",
    "time_delta_type": "must be a duration; write 90s, 15m, 24h or 7d",
    "datetime_type": "must be a time; write 2026-11-23T14:00:00Z",
}


def sentences(error: ValidationError, written: Any, name: str) -> list[str]:
    """One sentence for each thing that is wrong.

    Args:
        error: what pydantic found.
        written: what stands below `scenario`, before `${NAME}` was filled in; values are quoted from it, so that
            no secret is.
        name: how the file is called.
    """
    return [f"{name}: {_sentence(details, written)}" for details in error.errors()]


def unknown_key(key: str, known: Sequence[str], section: str = "") -> str:
    """`context.logs.lookbak is not a known key; did you mean lookback?`."""
    path = f"{section}.{key}" if section else key
    close = get_close_matches(key.replace("-", "_").lower(), known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
    return f"{printable(path)} is not a known key; {hint}"


def printable(text: str) -> str:
    """The text on one line and without control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def section_at(location: Sequence[str | int]) -> type[Section] | None:
    """The model that describes the section at a place, or None where there is none."""
    annotation: Any = Scenario
    for step in location:
        annotation = _one_deeper(annotation, step)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def keys_of(section: type[Section]) -> list[str]:
    """The keys that a section of the file may have."""
    hidden = {"missing"} if section is Scenario else set()
    return [key for key in section.model_fields if key not in hidden]


def _one_deeper(annotation: Any, step: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(step))
        return field.annotation if field else None
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return get_args(annotation)[0] if get_origin(annotation) is tuple else None


def _sentence(details: ErrorDetails, written: Any) -> str:
    location = details["loc"]
    path = key_path(location)
    if details["type"] == "extra_forbidden":
        section = section_at(location[:-1]) or Scenario
        return unknown_key(str(location[-1]), keys_of(section), key_path(location[:-1]))
    return f"{path or 'scenario'}: {_what(details, _value_at(written, location))}"


def key_path(location: Sequence[str | int]) -> str:
    """`('updates', 0)` as `updates[0]`, names joined by dots."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return printable(text)


def _what(details: ErrorDetails, shown: Any) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        message = str(context["error"])
        filled = isinstance(shown, str) and shown != details["input"]
        message = message.replace(repr(details["input"]), f"the value of {shown}") if filled else message
        return "is not a time; write 2026-11-23T14:00:00Z" if "isoformat" in message else printable(message)
    if kind == "missing":
        return "is missing"
    if kind in ("enum", "literal_error"):
        return _choice(context["expected"], shown)
    bounds = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}
    if kind in bounds:
        word, limit = bounds[kind]
        return f"must be {word} {context[limit]:g}{_but_is(shown)}"
    if kind == "string_type":
        return _PLAIN[kind]
    return _PLAIN.get(kind, printable(details["msg"])) + _but_is(shown)


def _choice(expected: str, shown: Any) -> str:
    choices = [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]
    close = get_close_matches(str(shown), choices, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"must be one of {', '.join(choices)}{_but_is(shown)}{hint}"


def _but_is(shown: Any) -> str:
    if isinstance(shown, Mapping):
        return ", not a section"
    if isinstance(shown, list):
        return ", not a list"
    text = printable(repr(shown))
    return f", not {text if len(text) <= 60 else text[:57] + '...'}"


def _value_at(written: Any, location: Sequence[str | int]) -> Any:
    for step in location:
        try:
            written = written[step]
        except (KeyError, IndexError, TypeError):
            return None
    return written
