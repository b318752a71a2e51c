"""Opsgenie's objects as the words of the domain: from its API and from its webhook alike.

The webhook's `createdAt` is in ms and `updatedAt` in ns; `priority` is 3, "P3" or missing. Whoever is on call is named
by an e-mail address there: only what stands before the @ is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from incident_pipeline.connectors.shapes import at, items, mapping
from incident_pipeline.connectors.tags import ENVIRONMENT_TAGS, SERVICE_TAGS, first, tags_of
from incident_pipeline.errors import InputError
from incident_pipeline.evidence.service_identity import ServiceNames
from incident_pipeline.intake.alert_fields import one_line, severity_of, text_of
from incident_pipeline.models import Alert, AlertStatus, OnCall, Service, Severity
from incident_pipeline.moments import parse_moment

_ACTIONS = {
    "Create": AlertStatus.TRIGGERED,
    "UnAcknowledge": AlertStatus.TRIGGERED,
    "Acknowledge": AlertStatus.ACKNOWLEDGED,
    "Close": AlertStatus.RESOLVED,
    "Delete": AlertStatus.RESOLVED,
}
_TALK = frozenset({"AddNote", "AddRecipient", "AddTags", "RemoveTags", "AddTeam", "TakeOwnership", "AssignOwnership"})


def alert_from(item: Mapping[str, Any]) -> Alert:
    """An alert of the API or of a webhook."""
    tags = {**tags_of(item.get("tags")), **_details(item.get("details") or item.get("extraProperties"))}
    key = str(item.get("id") or item["alertId"])
    closed = item.get("status") in ("closed", "resolved")
    acknowledged = item.get("acknowledged") is True
    status = AlertStatus.RESOLVED if closed else AlertStatus.ACKNOWLEDGED if acknowledged else AlertStatus.TRIGGERED
    priority = one_line(item.get("priority"))
    ended = item.get("closedAt") or _closed_at(item) if closed else None
    word = {"severity": priority} if priority else {}
    return Alert(
        source="opsgenie",
        source_id=key,
        dedup_key=key,
        title=one_line(item.get("message")) or f"Alert {key}",
        summary=text_of(item.get("description"), 10_000) or "",
        severity=(severity_of(priority) if priority else None) or Severity.P3,
        status=status,
        service=first(tags, SERVICE_TAGS) or one_line(item.get("entity")),
        environment=first(tags, ENVIRONMENT_TAGS),
        labels={**tags, **word, **({"alias": alias} if (alias := one_line(item.get("alias"))) else {})},
        started_at=parse_moment(item["createdAt"]),
        resolved_at=parse_moment(ended) if ended else None,
        url=f"https://app.opsgenie.com/alert/detail/{quote(key, safe='')}/details",
        raw=dict(item),
    )


def alerts_from_webhook(body: Any, *, received_at: datetime | None = None) -> list[Alert]:
    """Read a webhook; actions that say nothing of the alert's state give none.

    Raises:
        InputError: one sentence that names the field.
    """
    alert, action = at(body, "alert"), str(at(body, "action") or "Create")
    if not isinstance(alert, Mapping) or not (alert.get("alertId") or alert.get("id")):
        raise InputError("alert: expected a webhook of Opsgenie, with an alert that has an alertId")
    if action in _TALK:
        return []
    moment = alert.get("updatedAt") or alert.get("createdAt") or received_at
    given = {**alert, "createdAt": alert.get("createdAt") or received_at}
    try:
        read = alert_from(given)
        status = _ACTIONS.get(action, read.status)
        ended = parse_moment(moment) if status is AlertStatus.RESOLVED else None
    except ValueError as error:
        raise InputError(f"alert.createdAt: {error}") from error
    return [read.model_copy(update={"status": status, "resolved_at": ended, "received_at": received_at})]


def _closed_at(item: Mapping[str, Any]) -> Any:
    """When it was closed: `report.closeTime` is how long after its creation, in ms."""
    took = at(item, "report", "closeTime")
    if isinstance(took, int | float) and took > 0:
        return parse_moment(item["createdAt"]) + timedelta(milliseconds=took)
    return item.get("updatedAt")


def _details(value: Any) -> dict[str, str]:
    found = {str(name): text_of(one) for name, one in mapping(value).items()}
    return {name: text for name, text in found.items() if text}


def alert_from_incident(item: Mapping[str, Any]) -> Alert:
    """An incident, which Opsgenie keeps beside its alerts."""
    read = alert_from(item)
    key = f"incident:{read.source_id}"
    return read.model_copy(
        update={
            "source_id": key,
            "dedup_key": key,
            "url": f"https://app.opsgenie.com/incident/detail/{quote(read.source_id, safe='')}",
        }
    )


def on_call_from(item: Any, services: tuple[str, ...]) -> Iterator[OnCall]:
    """The people of one schedule; it is a service's where its name is."""
    schedule = one_line(at(item, "_parent", "name"))
    people = items(at(item, "onCallRecipients")) or [at(one, "name") for one in items(at(item, "onCallParticipants"))]
    if at(item, "_parent", "enabled") is False:
        return
    for person in people:
        name = (one_line(person) or "").partition("@")[0]
        if name:
            yield OnCall(name=name, level=1, service=_owner(schedule, services), policy=schedule, source="opsgenie")


def _owner(schedule: str | None, services: tuple[str, ...]) -> str | None:
    """The service that a schedule such as `payments_schedule` is named after."""
    plain = re.sub(r"[\s_-]*(on[\s_-]?call|schedule|rota|rotation|team)\b", "", schedule or "", flags=re.IGNORECASE)
    match = ServiceNames(Service(name=name) for name in services).resolve(plain)
    return match.service if match else None
