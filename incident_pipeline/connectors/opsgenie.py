"""Opsgenie, and Jira Service Management's alerts, which follow it: alerts asked, polled or brought by webhook; notes.

Endpoints (https://docs.opsgenie.com/docs/alert-api): `GET /v2/alerts?query=...&sort&order&limit&offset` (offset and
limit at most 20,000 together), `POST /v2/alerts/{id}/notes` (answered 202: it happens later). Key: `Authorization:
GenieKey`. European accounts: `connections.opsgenie.url` is https://api.eu.opsgenie.com. For the successor set the URL
to https://api.atlassian.com/jsm/ops/api/CLOUD_ID and user name and token: the path is then `/v1/alerts`. Limits: 429
with `X-RateLimit-Period-In-Sec`; no Retry-After. The webhook has no signature. Its `createdAt` is in ms and
`updatedAt` in ns; `priority` is 3, "P3" or missing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from incident_pipeline.connectors.answers import Answer, Dialect, number, retry_after
from incident_pipeline.connectors.base import Polled, Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.paging import collect, mapped
from incident_pipeline.connectors.shapes import at, mapping, rows_at
from incident_pipeline.connectors.tags import ENVIRONMENT_TAGS, SERVICE_TAGS, first, tags_of
from incident_pipeline.errors import InputError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.intake.alert_fields import one_line, severity_of, text_of
from incident_pipeline.models import Alert, AlertStatus, Envelope, EvidenceKind, Severity
from incident_pipeline.moments import format_moment, parse_moment

URL = "https://api.opsgenie.com"
SUCCESSOR = "api.atlassian.com"
PAGE = 100
OVERLAP = timedelta(minutes=2)

_ACTIONS = {
    "Create": AlertStatus.TRIGGERED,
    "UnAcknowledge": AlertStatus.TRIGGERED,
    "Acknowledge": AlertStatus.ACKNOWLEDGED,
    "Close": AlertStatus.RESOLVED,
    "Delete": AlertStatus.RESOLVED,
}
_TALK = frozenset({"AddNote", "AddRecipient", "AddTags", "RemoveTags", "AddTeam", "TakeOwnership", "AssignOwnership"})


class Opsgenie:
    """One Opsgenie account."""

    def __init__(self, client: HttpClient, alerts_path: str, name: str = "opsgenie") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.RELATED_ALERTS})
        self._client = client
        self._path = alerts_path

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Alerts that were created in the window.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(question.seconds)
        query = f"createdAt>={_ms(question.window.start)} AND createdAt<{_ms(question.window.end)}"
        found = mapped(await collect(self._pages(query, deadline), deadline, question.limit), alert_from, "alerts")
        return answered(question.kind, self.name, found.rows, window=question.window, query=query, **found.about())

    async def poll(self, cursor: str | None, now: datetime, seconds: float) -> Polled:
        """Open alerts at first; then those that changed since.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(seconds)
        query = f"updatedAt>={_ms(parse_moment(cursor) - OVERLAP)}" if cursor else "status:open"
        found = mapped(await collect(self._pages(query, deadline), deadline, 1000), alert_from, "alerts")
        moved = cursor if cursor and (found.partial or found.truncated) else format_moment(now)
        return Polled(alerts=tuple(found.rows), cursor=moved, notes=tuple(found.notes))

    async def note(self, alert_id: str, text: str, seconds: float = 8.0) -> None:
        """Write a note on an alert, once.

        Raises:
            SourceError: it was refused, or nobody knows whether it was taken.
        """
        path = f"{self._path}/{quote(alert_id, safe='')}/notes"
        await self._client.request("POST", path, json={"note": text[:25_000]}, deadline=Deadline(seconds))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _pages(self, query: str, deadline: Deadline) -> AsyncIterator[list[Any]]:
        offset = 0
        while True:
            params = {"query": query, "sort": "updatedAt", "order": "asc", "limit": PAGE, "offset": offset}
            answer = await self._client.get(self._path, params, deadline=deadline)
            # the successor calls the list values
            found = rows_at(answer, "values" if "values" in answer.object() else "data")
            yield found
            offset += PAGE
            links = mapping(answer.object().get("paging") or answer.object().get("links"))
            if not found or not links.get("next") or offset + PAGE > 20_000:
                return


def build(settings: SourceSettings) -> Opsgenie:
    """Opsgenie with the key of `alerts.sources.opsgenie` or `connections.opsgenie.token`.

    Raises:
        ConfigurationError: the key is missing.
    """
    url = settings.url(URL)
    connection = settings.connection
    headers: dict[str, SecretStr] = {}
    if not (connection.username and connection.password):
        headers["Authorization"] = SecretStr(f"GenieKey {settings.secret().get_secret_value()}")
    client = HttpClient(
        settings.name, url, connection, headers=headers, dialect=Dialect(wait=_wait), transport=settings.transport
    )
    return Opsgenie(client, "/v1/alerts" if SUCCESSOR in url else "/v2/alerts", settings.name)


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


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _wait(answer: Answer, now: float) -> float | None:
    return retry_after(answer, now) or number(answer, "x-ratelimit-period-in-sec")
