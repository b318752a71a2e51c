"""PagerDuty's objects as the words of the domain: from its API and from its webhooks alike.

Webhooks v3: only `data.type == incident` has status, title and service; other events name the incident alone. An alert
is keyed by the incident's id, which every way in has.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.connectors.shapes import at, items, mapping
from incident_pipeline.errors import InputError
from incident_pipeline.intake.alert_fields import one_line, severity_of, text_of
from incident_pipeline.models import Alert, AlertStatus, Deployment, OnCall, Severity
from incident_pipeline.moments import parse_moment

STATUSES = {
    "triggered": AlertStatus.TRIGGERED,
    "acknowledged": AlertStatus.ACKNOWLEDGED,
    "resolved": AlertStatus.RESOLVED,
}
_EVENTS = {
    "incident.triggered": AlertStatus.TRIGGERED,
    "incident.reopened": AlertStatus.TRIGGERED,
    "incident.unacknowledged": AlertStatus.TRIGGERED,
    "incident.acknowledged": AlertStatus.ACKNOWLEDGED,
    "incident.resolved": AlertStatus.RESOLVED,
}


def alert_from(item: Mapping[str, Any]) -> Alert:
    """An incident of the API or of a webhook."""
    word = one_line(item.get("worst_alert_severity") or at(item, "priority", "summary") or item.get("urgency"))
    status = STATUSES.get(str(item.get("status")), AlertStatus.TRIGGERED)
    ended = item.get("resolved_at") or item.get("last_status_change_at")
    service = one_line(at(item, "service", "summary"))
    labels = {
        "severity": word,
        "service_id": one_line(at(item, "service", "id")),
        "incident_key": one_line(item.get("incident_key")),
        "assigned_to": ", ".join(_names(item)) or None,
    }
    return Alert(
        source="pagerduty",
        source_id=str(item["id"]),
        dedup_key=str(item["id"]),
        title=one_line(item.get("title") or item.get("summary")) or f"Incident {item['id']}",
        summary=text_of(item.get("description") or item.get("summary"), 10_000) or "",
        severity=_severity(word),
        status=status,
        service=service,
        labels={name: value for name, value in labels.items() if value},
        started_at=parse_moment(item["created_at"]),
        resolved_at=parse_moment(ended) if status is AlertStatus.RESOLVED and ended else None,
        url=one_line(item.get("html_url"), 2000),
        raw=dict(item),
    )


def deployment_from(item: Mapping[str, Any]) -> Deployment:
    """A change event."""
    details = mapping(item.get("custom_details"))
    sha = one_line(details.get("commit") or details.get("commit_sha") or details.get("sha") or details.get("revision"))
    services = [one_line(at(one, "summary")) for one in items(item.get("services"))]
    moment = parse_moment(item["timestamp"])
    return Deployment(
        id=str(item["id"]),
        service=next((name for name in services if name), one_line(details.get("service"))),
        environment=one_line(details.get("environment") or details.get("env")),
        version=one_line(details.get("version") or details.get("build_number")),
        status="success",
        started_at=moment,
        finished_at=moment,
        actor=one_line(details.get("user") or details.get("actor")),
        url=one_line(at(item, "links", 0, "href"), 2000),
        commit_sha=sha,
        source="pagerduty",
        attributes={"summary": one_line(item.get("summary")) or "", "source": one_line(item.get("source")), **details},
    )


def alerts_from_webhook(body: Any, *, received_at: datetime | None = None) -> list[Alert]:
    """Read a webhook v3; events that say nothing of an incident's state give no alert.

    Raises:
        InputError: one sentence that names the field.
    """
    event = at(body, "event")
    if not isinstance(event, Mapping) or not isinstance(event.get("event_type"), str):
        raise InputError("event: expected a webhook of version 3, with an event that has an event_type")
    data = mapping(event.get("data"))
    if data.get("type") != "incident" or not data.get("id"):
        return []
    try:
        occurred = parse_moment(event.get("occurred_at")) if event.get("occurred_at") else received_at
    except ValueError as error:
        raise InputError(f"event.occurred_at: {error}") from error
    if occurred is None:
        raise InputError("event.occurred_at: missing")
    status = _EVENTS.get(event["event_type"]) or STATUSES.get(str(data.get("status")), AlertStatus.TRIGGERED)
    given = {**data, "status": status.value, "created_at": data.get("created_at") or occurred}
    if status is AlertStatus.RESOLVED:
        given["resolved_at"] = data.get("resolved_at") or occurred
    try:
        alert = alert_from(given)
    except ValueError as error:
        raise InputError(f"event.data.created_at: {error}") from error
    return [alert.model_copy(update={"received_at": received_at, "raw": dict(data)})]


def _severity(word: str | None) -> Severity:
    if word is None:
        return Severity.P3
    return {"high": Severity.P2, "low": Severity.P4}.get(word.lower()) or severity_of(word) or Severity.P3


def _names(item: Mapping[str, Any]) -> list[str]:
    assigned = [at(one, "assignee", "summary") for one in items(item.get("assignments"))]
    assigned += [at(one, "summary") for one in items(item.get("assignees"))]
    return [name for name in map(one_line, assigned) if name]


def on_call_from(item: Mapping[str, Any], services: Mapping[str, str]) -> OnCall | None:
    """One entry of `/oncalls`; `services` tells whose service an escalation policy is, by the policy's id."""
    name = one_line(at(item, "user", "summary") or at(item, "user", "name"))
    if name is None:
        return None
    level, end = item.get("escalation_level"), item.get("end")
    return OnCall(
        name=name,
        level=int(str(level)) if str(level).isdigit() else None,
        service=services.get(str(at(item, "escalation_policy", "id"))),
        policy=one_line(at(item, "escalation_policy", "summary")),
        until=parse_moment(end) if end else None,
        source="pagerduty",
        url=one_line(at(item, "escalation_policy", "html_url"), 2000),
    )
