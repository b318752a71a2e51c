"""Alerting rules of Prometheus that fire, as alerts with the address of their runbook.

Belongs here: reading `/api/v1/rules`. A rule's annotations (`summary`, `runbook_url`, ...) are kept as labels, as the
Alertmanager's are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from incident_pipeline.connectors.shapes import at, items, mapping
from incident_pipeline.intake.alert_fields import MAX_SUMMARY, digest, one_line, severity_of, text_of
from incident_pipeline.models import Alert, Severity
from incident_pipeline.moments import parse_moment

SERVICE_LABELS = ("service", "service_name", "app", "app_kubernetes_io_name", "job")
ENVIRONMENT_LABELS = ("environment", "env", "stage")


def firing(rule: Any) -> Iterator[Alert]:
    """The alerts of one rule that fire.

    Raises:
        ValueError: the time of one cannot be read.
    """
    for item in items(at(rule, "alerts")):
        if at(item, "state") == "firing":
            yield alert_from(rule, item)


def alert_from(rule: Mapping[str, Any], item: Mapping[str, Any]) -> Alert:
    """One firing alert of a rule."""
    labels = {**_texts(at(rule, "labels")), **_texts(item.get("labels"))}
    notes = {**_texts(at(rule, "annotations")), **_texts(item.get("annotations"))}
    name = labels.get("alertname") or one_line(at(rule, "name")) or "alert without a name"
    key = digest("prometheus", *sorted(labels.items()))
    return Alert(
        source="prometheus",
        source_id=key,
        dedup_key=key,
        title=one_line(notes.get("summary")) or name,
        summary=text_of(notes.get("description") or notes.get("message"), MAX_SUMMARY) or "",
        severity=severity_of(labels.get("severity") or "") or Severity.P3,
        service=_first(labels, SERVICE_LABELS),
        environment=_first(labels, ENVIRONMENT_LABELS),
        labels={
            **{k: v for k, v in notes.items() if k not in ("summary", "description")},
            "query": one_line(at(rule, "query")) or "",
            "alertname": name,
            **labels,
        },
        started_at=parse_moment(item.get("activeAt")),
        raw=dict(item),
    )


def _texts(value: Any) -> dict[str, str]:
    found = {str(key): text_of(text) for key, text in mapping(value).items()}
    return {key: text for key, text in found.items() if text}


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((labels[name] for name in names if labels.get(name)), None)
