"""Tags such as `service:payments`, as several vendors write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from incident_pipeline.intake.alert_fields import MAX_LABEL, text_of
from incident_pipeline.json_text import clean

SERVICE_TAGS = ("service", "kube_service", "kube_deployment", "app", "application", "component")
ENVIRONMENT_TAGS = ("env", "environment", "stage")


def tags_of(value: Any) -> dict[str, str]:
    """A list of tags, or one text with commas, as labels; a tag without a value is `true`, the first of a name wins."""
    items: Iterable[Any] = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else ()
    labels: dict[str, str] = {}
    for item in items:
        text = clean(item) if type(item) is str else text_of(item) or ""
        name, colon, rest = text.partition(":")
        name = name.strip()
        if name and name != "*":
            labels.setdefault(name, rest.strip()[:MAX_LABEL] if colon else "true")
    return labels


def first(labels: Mapping[str, str], names: Iterable[str]) -> str | None:
    """The first of the names that has a value."""
    return next((labels[name] for name in names if labels.get(name)), None)
