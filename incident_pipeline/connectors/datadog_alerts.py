"""Datadog's alerts: the rows of its monitor groups, and its webhook.

The webhook's body is whatever template its owner typed; `WEBHOOK_TEMPLATE` is ours. Variables that are not set arrive
as the text `$NAME` or as nothing. It carries no signature: it is let in by the token in its `Authorization` header.
A group of a monitor is one alert, whichever way it comes: both are keyed by monitor and group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from incident_pipeline.connectors.shapes import at, items, mapping
from incident_pipeline.connectors.tags import ENVIRONMENT_TAGS, SERVICE_TAGS, first, tags_of
from incident_pipeline.errors import InputError
from incident_pipeline.intake.alert_fields import MAX_SUMMARY, digest, one_line, severity_of, text_of
from incident_pipeline.models import Alert, AlertStatus, Severity
from incident_pipeline.moments import parse_moment

WEBHOOK_TEMPLATE = {
    "alert_id": "$ALERT_ID",
    "transition": "$ALERT_TRANSITION",
    "priority": "$ALERT_PRIORITY",
    "scope": "$ALERT_SCOPE",
    "cycle_key": "$ALERT_CYCLE_KEY",
    "title": "$EVENT_TITLE",
    "message": "$TEXT_ONLY_MSG",
    "link": "$LINK",
    "date": "$DATE",
    "tags": "$TAGS",
    "hostname": "$HOSTNAME",
}
"""What to paste as the payload of the webhook in Datadog, as JSON."""

_STATUS_SEVERITY = {"alert": Severity.P2, "warn": Severity.P3, "no data": Severity.P3}
_PREFIXES = re.compile(r"^(\[(P[1-5]|(Re-)?(Triggered|Warn|No Data)|Recovered|Renotify)[^\]]*\]\s*)+")
_LONGEST_NS = 366 * 86_400 * 10**9
_RESOLVED = ("recovered", "ok", "resolved")


def alert_from_group(item: Mapping[str, Any]) -> Alert | None:
    """One group of a triggered monitor."""
    triggered = item.get("last_triggered_ts")
    if not triggered:
        return None
    group = one_line(item.get("group")) or "*"
    tags = {**tags_of(group), **tags_of(item.get("group_tags"))}
    status = str(item.get("status") or "Alert")
    key = f"{item['monitor_id']}:{group}"
    return Alert(
        source="datadog",
        source_id=key,
        dedup_key=key,
        title=one_line(item.get("monitor_name")) or f"Monitor {item['monitor_id']}",
        severity=_STATUS_SEVERITY.get(status.lower(), Severity.P3),
        status=AlertStatus.RESOLVED if status.lower() in _RESOLVED else AlertStatus.TRIGGERED,
        service=first(tags, SERVICE_TAGS),
        environment=first(tags, ENVIRONMENT_TAGS),
        labels={**tags, "severity": status},
        started_at=parse_moment(triggered),
        raw=dict(item),
    )


def alert_from_event(item: Mapping[str, Any]) -> Alert | None:
    """An event of a monitor; None for events of something else."""
    outer = mapping(item["attributes"])
    about = mapping(outer.get("attributes"))
    monitor = about.get("monitor_id") or at(about, "monitor", "id")
    if not monitor:
        return None
    groups = [str(group) for group in items(about.get("monitor_groups")) or items(at(about, "monitor", "groups"))]
    group = ",".join(groups) or "*"
    tags = {**tags_of(group), **tags_of(outer.get("tags")), **tags_of(about.get("tags"))}
    status = str(about.get("status") or "error")
    moment = parse_moment(outer["timestamp"])
    title = one_line(about.get("title")) or one_line(at(about, "monitor", "name")) or f"Monitor {monitor}"
    return Alert(
        source="datadog",
        source_id=f"{monitor}:{group}",
        dedup_key=f"{monitor}:{group}",
        title=_PREFIXES.sub("", title) or title,
        summary=text_of(outer.get("message"), MAX_SUMMARY) or "",
        severity=Severity.P3 if status in ("warning", "info") else Severity.P2,
        status=AlertStatus.RESOLVED if status == "success" else AlertStatus.TRIGGERED,
        service=one_line(about.get("service")) or first(tags, SERVICE_TAGS),
        environment=first(tags, ENVIRONMENT_TAGS),
        labels={**tags, "severity": status},
        started_at=moment,
        resolved_at=moment if status == "success" else None,
        raw=dict(item),
    )


def alerts_of_window(alerts: Iterable[Alert]) -> list[Alert]:
    """The alerts that events tell of, each once: begun when it was first told of, and as it was at last.

    Args:
        alerts: what `alert_from_event` made of the events, from old to new.
    """
    found: dict[str, Alert] = {}
    for alert in alerts:
        before = found.get(alert.dedup_key)
        begun = before.started_at if before else _begun(alert)
        found[alert.dedup_key] = alert.model_copy(update={"started_at": begun})
    return list(found.values())


def _begun(alert: Alert) -> datetime:
    """A recovery tells how long it had lasted, in nanoseconds."""
    lasted = at(alert.raw, "attributes", "attributes", "duration")
    if alert.status is not AlertStatus.RESOLVED or not isinstance(lasted, int) or not 0 < lasted < _LONGEST_NS:
        return alert.started_at
    return alert.started_at - timedelta(microseconds=lasted // 1000)


def alerts_from_webhook(body: Any, *, received_at: datetime | None = None) -> list[Alert]:
    """Read a webhook made with our template, or with another that uses the names of Datadog's variables.

    Raises:
        InputError: one sentence that names the field.
    """
    if not isinstance(body, Mapping):
        raise InputError("expected a JSON object; use the payload template of docs/connectors.md for the webhook")
    given = {str(name).lower().lstrip("$").removeprefix("alert_"): value for name, value in body.items()}
    fields = {name: value for name, value in given.items() if value not in ("", None) and not _unset(value)}
    title = one_line(fields.get("title") or fields.get("event_title"))
    if title is None:
        raise InputError("title: missing; use the payload template of docs/connectors.md for the webhook")
    try:
        at = parse_moment(fields["date"]) if "date" in fields else received_at
    except ValueError as error:
        raise InputError(f"date: {error}") from error
    if at is None:
        raise InputError("date: missing; use the payload template of docs/connectors.md for the webhook")
    tags = {**tags_of(fields.get("scope")), **tags_of(fields.get("tags"))}
    transition = str(fields.get("transition") or "Triggered")
    resolved = transition.lower() in _RESOLVED
    monitor = one_line(fields.get("id"))
    key = f"{monitor}:{one_line(fields.get('scope')) or '*'}" if monitor else digest("datadog", title)
    severity = severity_of(fields.get("priority") or "") or _of_transition(transition)
    message = fields.get("message") or fields.get("text_only_msg") or fields.get("event_msg") or fields.get("body")
    link = one_line(fields.get("link"), 2000)
    alert = Alert(
        source="datadog",
        source_id=key,
        dedup_key=key,
        title=_PREFIXES.sub("", title) or title,
        summary=text_of(message, MAX_SUMMARY) or "",
        severity=severity,
        status=AlertStatus.RESOLVED if resolved else AlertStatus.TRIGGERED,
        service=first(tags, SERVICE_TAGS),
        environment=first(tags, ENVIRONMENT_TAGS),
        labels={**tags, "severity": transition},
        started_at=at,
        received_at=received_at,
        resolved_at=at if resolved else None,
        url=link if link and link.startswith("https://") else None,
        raw=dict(body),
    )
    return [alert]


def _of_transition(transition: str) -> Severity:
    return Severity.P3 if "warn" in transition.lower() or "no data" in transition.lower() else Severity.P2


def _unset(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\$[A-Z_]+", value.strip()) is not None
