"""Alerts from anything that can send JSON: our own shape, or any other through JMESPath expressions.

The mapping stands in the configuration (`alerts.sources.<name>.mapping`): alert field -> expression on the body. The
expression under `alerts`, where there is one, finds the list of alerts in the body, and the other expressions are
then applied to each; `labels.<name>` makes one label; a text in quotes ('shop') is itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from incident_pipeline.errors import ConfigurationError, InputError
from incident_pipeline.intake.alert_fields import alert_from_fields
from incident_pipeline.models import Alert

MAPPED_FIELDS = frozenset(
    {
        *("alerts", "source_id", "dedup_key", "title", "summary", "severity", "status", "service"),
        *("environment", "labels", "started_at", "resolved_at", "url"),
    }
)


def alerts_from_custom(
    body: Any,
    mapping: Mapping[str, str] | None = None,
    *,
    source: str = "custom",
    received_at: datetime | None = None,
) -> list[Alert]:
    """Read the alerts of a webhook body: one object, a list, or `{"alerts": [...]}`; with a mapping, any JSON.

    Args:
        body: the parsed JSON.
        mapping: alert field -> JMESPath expression; none or empty: the body has the fields of `alerts.json`.
        source: the name of the source in the configuration.
        received_at: stands in for a start that the body does not tell.

    Raises:
        InputError: one sentence that names the alert's number and the field.
        ConfigurationError: an expression of the mapping is wrong.
    """
    expressions = compiled_mapping(mapping or {}, source)
    alerts = []
    items = _items(body, expressions.pop("alerts", None))
    for number, item in enumerate(items, start=1):
        where = f"alert {number}: " if len(items) > 1 else ""
        if not isinstance(item, Mapping):
            raise InputError(f"{where}expected a JSON object with the fields of an alert, not {_kind(item)}")
        try:
            fields = _mapped(item, expressions) if expressions else item
            alerts.append(alert_from_fields(fields, source=source, received_at=received_at, raw=item))
        except ValueError as error:
            expected = _expression_of(str(error), mapping or {})
            raise InputError(f"{where}{error}{expected}") from error
    return alerts


def compiled_mapping(mapping: Mapping[str, str], source: str) -> dict[str, Any]:
    """The mapping's expressions, compiled.

    Raises:
        ConfigurationError: a field that alerts do not have, or an expression that is not JMESPath.
    """
    compiled = {}
    for field, expression in mapping.items():
        key = f"alerts.sources.{source}.mapping.{field}"
        if field not in MAPPED_FIELDS and not field.startswith("labels."):
            raise ConfigurationError(f"{key}: alerts have no such field; use one of {', '.join(sorted(MAPPED_FIELDS))}")
        try:
            compiled[field] = jmespath.compile(expression)
        except JMESPathError as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"{key}: {expression!r} is not a JMESPath expression ({reason})") from error
    return compiled


def _items(body: Any, expression: Any) -> list[Any]:
    if expression is not None:
        found = _search(expression, body, "alerts")
        if not isinstance(found, list):
            raise InputError(f"alerts: the mapping's expression {expression.expression!r} found no list in the body")
        return found
    if isinstance(body, Mapping) and isinstance(body.get("alerts"), list):
        return list(body["alerts"])
    return body if isinstance(body, list) else [body]


def _mapped(item: Mapping[str, Any], expressions: Mapping[str, Any]) -> dict[str, Any]:
    fields = {field: _search(expression, item, field) for field, expression in expressions.items()}
    labels = fields.get("labels") or {}
    if isinstance(labels, list):
        labels = _labels_of_list(labels)
    if isinstance(labels, Mapping):
        named = {name.removeprefix("labels."): fields.pop(name) for name in list(fields) if name.startswith("labels.")}
        labels = {**labels, **named}
    return {**fields, "labels": labels}


def _labels_of_list(tags: list[Any]) -> dict[str, Any]:
    """`["team:payments", "urgent"]` as labels."""
    pairs = (str(tag).partition(":") for tag in tags)
    return {name.strip(): value.strip() or "true" for name, _, value in pairs}


def _search(expression: Any, item: Any, field: str) -> Any:
    try:
        return expression.search(item)
    except (JMESPathError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"{field}: the mapping's expression {expression.expression!r} failed ({reason})") from error


def _expression_of(problem: str, mapping: Mapping[str, str]) -> str:
    field = problem.partition(":")[0]
    return f" (mapped by {mapping[field]!r})" if field in mapping else ""


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {"str": "a text", "bool": "true or false", "list": "a list"}.get(type(value).__name__, "a number")
