"""Reading JSON whose shape is promised by someone else.

Belongs here: looking something up without trusting that anything on the way is what it should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incident_pipeline.connectors.answers import Answer
from incident_pipeline.errors import ConfigurationError, PermanentSourceError


def at(value: Any, *path: str | int) -> Any:
    """What stands at the path; None where anything on the way is missing or of another shape."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


def items(value: Any) -> list[Any]:
    """The list, or an empty one for whatever else it is."""
    return value if isinstance(value, list) else []


def mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one for whatever else it is."""
    return value if isinstance(value, Mapping) else {}


def compiled(text: str, key: str) -> Any:
    """A JMESPath expression of the configuration.

    Raises:
        ConfigurationError: it is none.
    """
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(text)
    except JMESPathError as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"{key}: {text!r} is not a JMESPath expression ({reason})") from error


def rows_at(answer: Answer, *path: str) -> list[Any]:
    """The list that an answer has at the path; null counts as a list without rows.

    Raises:
        PermanentSourceError: nothing is there, or no list: the answer is not of the interface that was asked.
    """
    inner: Any = answer.object()
    for step in path[:-1]:
        inner = inner.get(step) if isinstance(inner, Mapping) else None
    found = inner.get(path[-1], "") if isinstance(inner, Mapping) else ""
    if found is None:
        return []
    if not isinstance(found, list):
        where = ".".join(path)
        raise PermanentSourceError(
            f"{answer.source} answered without the list {where} to {answer.method} {answer.url}; check connections."
            f"{answer.source}.url"
        )
    return found
