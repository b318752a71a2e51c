"""Opsgenie, and Jira Service Management's alerts, which follow it: alerts asked, polled or brought by webhook; notes.

Endpoints (https://docs.opsgenie.com/docs/alert-api): `GET /v2/alerts?query=...&sort&order&limit&offset` (offset and
limit at most 20,000 together), `/v1/incidents/` likewise, `/v2/schedules/on-calls`, and `POST /v2/alerts/{id}/notes`
(answered 202: it happens later), `GET` of the same. Key: `Authorization: GenieKey`. European accounts:
`connections.opsgenie.url` is https://api.eu.opsgenie.com. For the successor set the URL to
https://api.atlassian.com/jsm/ops/api/CLOUD_ID and user name and token: the path is then `/v1/alerts`. Options say
otherwise: `alerts_path`, `incidents_path`, `on_call_path`, `auth` (the word before the key) and `field.<name>`,
JMESPath on an alert for a field that has another name there.
Limits: 429 with `X-RateLimit-Period-In-Sec`; no Retry-After. The webhook has no signature.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

from pydantic import SecretStr

from incident_pipeline.connectors.answers import Answer, Dialect, number, retry_after
from incident_pipeline.connectors.base import Polled, Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.opsgenie_rows import alert_from, alert_from_incident, on_call_from
from incident_pipeline.connectors.paging import Collected, collect, mapped, moved, newest
from incident_pipeline.connectors.shapes import at, compiled, mapping, rows_at
from incident_pipeline.errors import PermanentSourceError, SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.models import Alert, AlertStatus, Envelope, EvidenceKind
from incident_pipeline.moments import parse_moment

URL = "https://api.opsgenie.com"
SUCCESSOR = "api.atlassian.com"
PAGE = 100
OVERLAP = timedelta(minutes=2)
MOST_POLLED = 2000


class Paths(NamedTuple):
    """Where things are; nothing: it has none."""

    alerts: str
    incidents: str = ""
    on_call: str = ""


PATHS = Paths("/v2/alerts", "/v1/incidents/", "/v2/schedules/on-calls")
SUCCESSOR_PATHS = Paths("/v1/alerts")
"""Its incidents are issues, and it tells who is on call for one schedule at a time."""


class Opsgenie:
    """One Opsgenie account, or its successor."""

    def __init__(self, client: HttpClient, paths: Paths, fields: Mapping[str, Any], name: str = "opsgenie") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.RELATED_ALERTS, EvidenceKind.ON_CALL})
        self._client = client
        self._paths = paths
        self._fields = fields

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Alerts and incidents that were created in the window, or who is on call.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(question.seconds)
        if question.kind is EvidenceKind.ON_CALL:
            return await self._on_call(question, deadline)
        query = f"createdAt>={_ms(question.window.start)} AND createdAt<{_ms(question.window.end)}"
        alerts, incidents = await asyncio.gather(
            collect(self._pages(self._paths.alerts, query, "updatedAt", deadline), deadline, question.limit),
            self._incidents(query, question.limit, deadline),
        )
        found = mapped(alerts, self._alert, "alerts")
        found.add(mapped(incidents, alert_from_incident, "incidents"))
        rows = found.rows[: question.limit]
        return answered(question.kind, self.name, rows, window=question.window, query=query, **found.about())

    async def poll(self, cursor: str | None, now: datetime, seconds: float) -> Polled:
        """Open alerts at first; then those that changed since, in the order of their changes.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(seconds)
        query = f"updatedAt>={_ms(parse_moment(cursor) - OVERLAP)}" if cursor else "status:open"
        listed = await collect(self._pages(self._paths.alerts, query, "updatedAt", deadline), deadline, MOST_POLLED)
        reached = newest(at(one, "updatedAt") for one in listed.rows) if cursor else None
        found = mapped(listed, self._alert, "alerts")
        return Polled(alerts=tuple(found.rows), cursor=moved(cursor, found, now, reached), notes=tuple(found.notes))

    async def note(self, alert_id: str, text: str, seconds: float = 8.0) -> None:
        """Write a note on an alert, once.

        Raises:
            SourceError: it was refused, or nobody knows whether it was taken.
        """
        path = f"{self._paths.alerts}/{quote(alert_id, safe='')}/notes"
        await self._client.request("POST", path, json={"note": text[:25_000]}, deadline=Deadline(seconds))

    async def has_note(self, alert_id: str, mark: str, seconds: float = 8.0) -> bool:
        """Whether one of the latest notes of an alert has these words in it.

        Raises:
            SourceError: nobody can tell now.
        """
        path = f"{self._paths.alerts}/{quote(alert_id, safe='')}/notes"
        answer = await self._client.get(path, {"limit": PAGE, "order": "desc"}, deadline=Deadline(seconds))
        notes = rows_at(answer, "values" if "values" in answer.object() else "data")
        return any(mark in str(at(note, "note")) for note in notes)

    async def status_of(self, alert_id: str, seconds: float = 8.0) -> AlertStatus:
        """How far an alert is.

        Raises:
            SourceError: nobody can tell now.
        """
        answer = await self._client.get(f"{self._paths.alerts}/{quote(alert_id, safe='')}", deadline=Deadline(seconds))
        body = answer.object()
        # the successor answers the alert itself
        found = mapping(body.get("data") or body)
        if at(found, "status") == "closed":
            return AlertStatus.RESOLVED
        return AlertStatus.ACKNOWLEDGED if at(found, "acknowledged") is True else AlertStatus.TRIGGERED

    async def set_status(self, alert_id: str, status: AlertStatus, seconds: float = 8.0) -> None:
        """Acknowledge or close an alert; sent once, and done a moment after it was answered.

        Raises:
            SourceError: it was refused, or nobody knows whether it was taken.
        """
        verb = "close" if status is AlertStatus.RESOLVED else "acknowledge"
        path = f"{self._paths.alerts}/{quote(alert_id, safe='')}/{verb}"
        await self._client.request("POST", path, json={"source": "incident-pipeline"}, deadline=Deadline(seconds))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    def _alert(self, item: Mapping[str, Any]) -> Alert:
        return alert_from({**item, **self._mapped(item)} if self._fields else item)

    def _mapped(self, item: Any) -> dict[str, Any]:
        found = {name: expression.search(item) for name, expression in self._fields.items()}
        return {name: value for name, value in found.items() if value is not None}

    async def _incidents(self, query: str, limit: int, deadline: Deadline) -> Collected[Any]:
        """None where the plan or the key has no incidents: that is how most are."""
        if not self._paths.incidents:
            return Collected()
        try:
            return await collect(self._pages(self._paths.incidents, query, "createdAt", deadline), deadline, limit)
        except SourceError as error:
            return Collected(notes=[f"incidents were not read: {error}"])

    async def _on_call(self, question: Question, deadline: Deadline) -> Envelope[Any]:
        if not self._paths.on_call:
            key = f"connections.{self.name}.options.on_call_path"
            raise PermanentSourceError(
                f"{key} is not set; write where who is on call is answered, such as /v1/schedules/ID/on-calls"
            )
        answer = await self._client.get(self._paths.on_call, {"flat": "true"}, deadline=deadline)
        given = answer.object().get("data")
        # one schedule is answered as an object, all of them as a list
        schedules = Collected([given] if isinstance(given, Mapping) else rows_at(answer, "data"))
        read = mapped(schedules, lambda one: list(on_call_from(one, question.services)), "schedules")
        rows = [person for people in read.rows for person in people]
        rows.sort(key=lambda one: one.service is None)
        return answered(question.kind, self.name, rows[:50], query="on-calls", **read.about())

    async def _pages(self, path: str, query: str, sort: str, deadline: Deadline) -> AsyncIterator[list[Any]]:
        offset = 0
        while True:
            params = {"query": query, "sort": sort, "order": "asc", "limit": PAGE, "offset": offset}
            answer = await self._client.get(path, params, deadline=deadline)
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
        ConfigurationError: the key is missing, or an option is wrong.
    """
    url, connection = settings.url(URL), settings.connection
    options = connection.options
    headers: dict[str, SecretStr] = {}
    if not (connection.username and connection.password):
        scheme = options.get("auth", "GenieKey")
        headers["Authorization"] = SecretStr(f"{scheme} {settings.secret().get_secret_value()}")
    client = HttpClient(
        settings.name, url, connection, headers=headers, dialect=Dialect(wait=_wait), transport=settings.transport
    )
    usual = SUCCESSOR_PATHS if SUCCESSOR in url else PATHS
    paths = Paths(**{name: options.get(f"{name}_path") or path for name, path in usual._asdict().items()})
    fields = {
        name.removeprefix("field."): compiled(text, f"connections.{settings.name}.options.{name}")
        for name, text in options.items()
        if name.startswith("field.")
    }
    return Opsgenie(client, paths, fields, settings.name)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _wait(answer: Answer, now: float) -> float | None:
    return retry_after(answer, now) or number(answer, "x-ratelimit-period-in-sec")
