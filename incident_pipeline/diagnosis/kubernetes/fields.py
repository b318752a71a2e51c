"""Reading objects whose shape nobody vouches for: a field that is absent or of another type is simply not there.

Belongs here: access by path, quantities, moments, label selectors. Does not belong here: what a field means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from incident_pipeline.moments import parse_moment

Fields = Mapping[str, Any]

_QUANTITY = re.compile(r"([+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?)(n|u|m|k|[KMGTPE]i?)?")
_SCALE = {
    **{
        "n": 1e-9,
        "u": 1e-6,
        "m": 1e-3,
        "": 1.0,
        "k": 1e3,
        "K": 1e3,
        "M": 1e6,
        "G": 1e9,
        "T": 1e12,
        "P": 1e15,
        "E": 1e18,
    },
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)},
}


def at(value: Any, *path: str) -> Any:
    """The value below a path of keys; None where any of it is missing."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def fields_at(value: Any, *path: str) -> Fields:
    """Like `at`, for an object; empty where it is none."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else {}


def rows_at(value: Any, *path: str) -> list[Fields]:
    """Like `at`, for a list of objects; whatever else is in it is left out."""
    found = at(value, *path)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, Sequence | tuple) else []


def words_at(value: Any, *path: str) -> tuple[str, ...]:
    """Like `at`, for a list of texts."""
    found = at(value, *path)
    if isinstance(found, str) or not isinstance(found, Sequence):
        return ()
    return tuple(item for item in found if isinstance(item, str))


def text_at(value: Any, *path: str) -> str:
    """Like `at`, for a text; empty where it is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def number_at(value: Any, *path: str) -> int | None:
    """Like `at`, for a whole number, also one written as text."""
    found = at(value, *path)
    if isinstance(found, bool):
        return None
    if isinstance(found, float) and not math.isfinite(found):
        return None
    try:
        return int(found) if isinstance(found, int | float | str) and len(str(found)) < 30 else None
    except ValueError:
        return None


def moment_at(value: Any, *path: str) -> datetime | None:
    """Like `at`, for a moment."""
    found = at(value, *path)
    if not isinstance(found, str | int | float) or isinstance(found, bool) or found == "":
        return None
    try:
        return parse_moment(found).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def quantity(value: Any) -> float | None:
    """A Kubernetes quantity (`500m`, `2Gi`, `1`) as a number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    match = _QUANTITY.fullmatch(str(value).strip())
    return float(match[1]) * _SCALE[match[2] or ""] if match else None


def selects(selector: Fields, labels: Fields) -> bool:
    """Whether a selector of equal labels takes an object with these labels; an empty one takes nothing."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def expressions_match(expressions: Sequence[Fields], labels: Fields) -> bool:
    """Whether labels satisfy every expression (In, NotIn, Exists, DoesNotExist, Gt, Lt) of a term."""
    return all(_expression_holds(one, labels) for one in expressions)


def _expression_holds(expression: Fields, labels: Fields) -> bool:
    key, operator = text_at(expression, "key"), text_at(expression, "operator")
    values, own = words_at(expression, "values"), labels.get(key)
    if operator in {"Gt", "Lt"}:
        mine, bound = quantity(own), quantity(values[0]) if values else None
        if mine is None or bound is None:
            return False
        return mine > bound if operator == "Gt" else mine < bound
    holds = {
        "In": own in values,
        "NotIn": own not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return holds.get(operator, True)


def selector_terms(selector: Fields) -> tuple[Fields, list[Fields]]:
    """The equal labels and the expressions of a `LabelSelector`."""
    return fields_at(selector, "matchLabels"), rows_at(selector, "matchExpressions")


def label_selector_matches(selector: Fields, labels: Fields) -> bool:
    """Whether a `LabelSelector` (matchLabels, matchExpressions) takes these labels; an empty one takes all."""
    equal, expressions = selector_terms(selector)
    return all(labels.get(key) == value for key, value in equal.items()) and expressions_match(expressions, labels)
