"""PagerDuty: incidents as alerts (asked, polled or brought by webhook), change events as deployments, notes.

Endpoints (https://developer.pagerduty.com/api-reference): `/incidents` (`since` is about creation: an old incident that
changes is seen in `/log_entries` alone), `/incidents/{id}/alerts` for severities, `/change_events` (times in UTC, with
Z, or 400), `POST /incidents/{id}/notes` (wants the header `From`). Pages: `limit`, `offset`, `more`; `total` is null.
Limits: 429 with `ratelimit-reset` in seconds. For European accounts `connections.pagerduty.url` is
https://api.eu.pagerduty.com.
Webhooks v3: only `data.type == incident` has status, title and service; other events name the incident alone. An alert
is keyed by the incident's id, which every way in has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from incident_pipeline.connectors.answers import Answer, Dialect, number, retry_after
from incident_pipeline.connectors.base import Polled, Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.paging import bounded, collect, mapped, unique
from incident_pipeline.connectors.shapes import at, items, mapping, rows_at
from incident_pipeline.errors import InputError, SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.intake.alert_fields import one_line, severity_of, text_of
from incident_pipeline.models import Alert, AlertStatus, Deployment, Envelope, EvidenceKind, Severity
from incident_pipeline.moments import parse_moment

URL = "https://api.pagerduty.com"
HEADERS = {"Accept": "application/vnd.pagerduty+json;version=2", "Content-Type": "application/json"}
PAGE = 100
MAX_DETAILED = 20
"""Incidents whose alerts are looked at for their severity."""
AT_ONCE = 6
OVERLAP = timedelta(minutes=2)

_OPEN = (("statuses[]", "triggered"), ("statuses[]", "acknowledged"))
_STATUSES = {
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
_TELLING_ENTRIES = (
    "trigger",
    "acknowledge",
    "unacknowledge",
    "resolve",
    "annotate_priority",
    "priority_change",
    "reopen",
)


class PagerDuty:
    """One PagerDuty account."""

    def __init__(self, client: HttpClient, name: str = "pagerduty") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.RELATED_ALERTS, EvidenceKind.DEPLOYMENTS})
        self._client = client

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Incidents that were created in the window, or change events in it.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(question.seconds)
        window = [("since", _utc(question.window.start)), ("until", _utc(question.window.end))]
        if question.kind is EvidenceKind.DEPLOYMENTS:
            changes = await collect(
                self._pages("/change_events", "change_events", window, deadline), deadline, question.limit
            )
            found: Any = mapped(changes, deployment_from, "change events")
            found.rows.sort(key=lambda row: row.at, reverse=True)
            query = "change events"
        else:
            params = [*window, ("sort_by", "created_at:asc")]
            incidents = await collect(
                self._pages("/incidents", "incidents", params, deadline), deadline, question.limit
            )
            incidents.rows = await self._with_severity(incidents.rows, deadline)
            found = mapped(incidents, alert_from, "incidents")
            query = "incidents"
        return answered(question.kind, self.name, found.rows, window=question.window, query=query, **found.about())

    async def poll(self, cursor: str | None, now: datetime, seconds: float) -> Polled:
        """Open incidents at first; then those of which the log tells something since.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(seconds)
        if cursor is None:
            params = [*_OPEN, ("date_range", "all"), ("sort_by", "created_at:asc")]
            found = await collect(self._pages("/incidents", "incidents", params, deadline), deadline, 1000)
        else:
            since = parse_moment(cursor) - OVERLAP
            params = [("since", _utc(since)), ("until", _utc(now)), ("is_overview", "true")]
            found = await collect(self._pages("/log_entries", "log_entries", params, deadline), deadline, 2000)
            told = unique((_told(entry) for entry in found.rows), lambda key: key)
            wanted = (self._incident(key, deadline) for key in told if key)
            found.rows = [one for one in await bounded(wanted, AT_ONCE) if one is not None]
        found.rows = await self._with_severity(found.rows, deadline)
        alerts = mapped(found, alert_from, "incidents")
        # what was not read this time is read the next: the cursor moves only over what was
        moved = cursor if found.partial or found.truncated else _utc(now)
        return Polled(alerts=tuple(alerts.rows), cursor=moved or _utc(now), notes=tuple(alerts.notes))

    async def note(self, incident_id: str, text: str, seconds: float = 8.0) -> None:
        """Write a note on an incident; sent once, for a note that may have been written is not repeated.

        Raises:
            SourceError: it was refused, or nobody knows whether it was written.
        """
        path = f"/incidents/{quote(incident_id, safe='')}/notes"
        await self._client.request("POST", path, json={"note": {"content": text}}, deadline=Deadline(seconds))

    async def on_call(self, seconds: float = 8.0) -> list[str]:
        """Who is on call now on the first level, by name.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(seconds)
        found = await collect(self._pages("/oncalls", "oncalls", [], deadline), deadline, 200)
        first = [one for one in found.rows if at(one, "escalation_level") == 1]
        return unique((one_line(at(one, "user", "summary")) or "" for one in first), lambda name: name)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _pages(
        self, path: str, name: str, params: Iterable[tuple[str, str]], deadline: Deadline
    ) -> AsyncIterator[list[Any]]:
        offset = 0
        while True:
            page = [*params, ("limit", str(PAGE)), ("offset", str(offset))]
            answer = await self._client.get(path, page, deadline=deadline)
            found = rows_at(answer, name)
            yield found
            offset += PAGE
            if not found or at(answer.object(), "more") is not True or offset + PAGE > 10_000:
                return

    async def _incident(self, key: str, deadline: Deadline) -> Any:
        try:
            answer = await self._client.get(f"/incidents/{quote(key, safe='')}", deadline=deadline)
            return at(answer.object(), "incident")
        except SourceError:
            return None

    async def _with_severity(self, incidents: list[Any], deadline: Deadline) -> list[Any]:
        """The incidents, the first of them with the worst severity of their alerts."""

        async def one(item: Any) -> Any:
            key = at(item, "id")
            if not isinstance(key, str) or at(item, "priority", "summary"):
                return item
            try:
                path = f"/incidents/{quote(key, safe='')}/alerts"
                alerts = rows_at(await self._client.get(path, {"limit": PAGE}, deadline=deadline), "alerts")
            except SourceError:
                return item  # its urgency tells enough
            words = [word for alert in alerts if (word := one_line(at(alert, "severity")))]
            worst = min(words, key=lambda word: severity_of(word) or Severity.P3, default=None)
            return {**item, "worst_alert_severity": worst} if worst else item

        detailed = await bounded((one(item) for item in incidents[:MAX_DETAILED]), AT_ONCE)
        return [*detailed, *incidents[MAX_DETAILED:]]


def build(settings: SourceSettings) -> PagerDuty:
    """PagerDuty, with the key of `alerts.sources.pagerduty` or `connections.pagerduty.token`.

    Raises:
        ConfigurationError: the key is missing.
    """
    key = settings.secret().get_secret_value()
    client = HttpClient(
        settings.name,
        settings.url(URL),
        settings.connection,
        headers={**HEADERS, "Authorization": SecretStr(f"Token token={key}")},
        dialect=Dialect(wait=_wait),
        transport=settings.transport,
    )
    return PagerDuty(client, settings.name)


def alert_from(item: Mapping[str, Any]) -> Alert:
    """An incident of the API or of a webhook."""
    word = one_line(item.get("worst_alert_severity") or at(item, "priority", "summary") or item.get("urgency"))
    status = _STATUSES.get(str(item.get("status")), AlertStatus.TRIGGERED)
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
    status = _EVENTS.get(event["event_type"]) or _STATUSES.get(str(data.get("status")), AlertStatus.TRIGGERED)
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


def _told(entry: Any) -> str | None:
    kind = str(at(entry, "type") or "").removesuffix("_log_entry")
    key = at(entry, "incident", "id")
    return key if kind in _TELLING_ENTRIES and isinstance(key, str) else None


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _wait(answer: Answer, now: float) -> float | None:
    reset = number(answer, "ratelimit-reset")
    return retry_after(answer, now) if reset is None else reset
