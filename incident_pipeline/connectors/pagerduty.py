"""PagerDuty: incidents as alerts (asked, polled or brought by webhook), change events as deployments, notes.

Endpoints (https://developer.pagerduty.com/api-reference): `/incidents` (`since` is about creation: an old incident that
changes is seen in `/log_entries` alone), `/incidents/{id}/alerts` for severities, `/change_events` (times in UTC, with
Z, or 400), `POST /incidents/{id}/notes` (wants the header `From`) and `GET` of the same.
Pages: `limit`, `offset`, `more`; `total` is null. Limits: 429 with `ratelimit-reset` in seconds.
For European accounts `connections.pagerduty.url` is https://api.eu.pagerduty.com.
Who is on call: `/services?query=` for the escalation policy of a service, then `/oncalls?escalation_policy_ids[]=`.
What its objects and its webhooks look like is in `pagerduty_rows.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from incident_pipeline.connectors.answers import Answer, Dialect, Rate, RefusedError, number, retry_after
from incident_pipeline.connectors.base import Polled, Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.pagerduty_rows import STATUSES, alert_from, deployment_from, on_call_from
from incident_pipeline.connectors.paging import Collected, bounded, collect, mapped, moved, unique
from incident_pipeline.connectors.shapes import at, rows_at
from incident_pipeline.errors import SourceError, TransientSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.service_identity import ServiceNames
from incident_pipeline.intake.alert_fields import one_line, severity_of
from incident_pipeline.models import AlertStatus, Envelope, EvidenceKind, Service, Severity
from incident_pipeline.moments import parse_moment

URL = "https://api.pagerduty.com"
HEADERS = {"Accept": "application/vnd.pagerduty+json;version=2", "Content-Type": "application/json"}
RATE = Rate(960, 60)
PAGE = 100
MAX_DETAILED = 20
"""Incidents whose alerts are looked at for their severity."""
MAX_SERVICES = 3
"""Services of the incident whose rota is looked up."""
AT_ONCE = 6
OVERLAP = timedelta(minutes=2)

_OPEN = (("statuses[]", "triggered"), ("statuses[]", "acknowledged"))
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
        self.kinds = frozenset({EvidenceKind.RELATED_ALERTS, EvidenceKind.DEPLOYMENTS, EvidenceKind.ON_CALL})
        self._client = client

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Incidents that were created or changed in the window, change events in it, or who is on call.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(question.seconds)
        window = [("since", _utc(question.window.start)), ("until", _utc(question.window.end))]
        if question.kind is EvidenceKind.ON_CALL:
            return await self._on_call(question, deadline)
        if question.kind is EvidenceKind.DEPLOYMENTS:
            changes = await collect(
                self._pages("/change_events", "change_events", window, deadline), deadline, question.limit
            )
            found: Any = mapped(changes, deployment_from, "change events")
            found.rows.sort(key=lambda row: row.at, reverse=True)
            query = "change events"
        else:
            incidents = await self._of_window(question, window, deadline)
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
            found = await self._open(deadline)
        else:
            found = await self._changed(parse_moment(cursor) - OVERLAP, now, deadline)
        if found.truncated:
            # the log is told from its end: what is left out there and still open is read here
            found = Collected(unique([*found.rows, *(await self._open(deadline)).rows], lambda one: at(one, "id")))
        found.rows = await self._with_severity(found.rows, deadline)
        alerts = mapped(found, alert_from, "incidents")
        return Polled(alerts=tuple(alerts.rows), cursor=moved(cursor, found, now), notes=tuple(alerts.notes))

    async def _of_window(
        self, question: Question, window: Iterable[tuple[str, str]], deadline: Deadline
    ) -> Collected[Any]:
        """Incidents of the window, and older ones that changed in it; that the log cannot be read costs these alone."""
        params = [*window, ("sort_by", "created_at:asc")]
        created, changed = await asyncio.gather(
            collect(self._pages("/incidents", "incidents", params, deadline), deadline, question.limit),
            self._older(question, deadline),
        )
        created.rows = await self._with_severity(created.rows, deadline)
        created.add(changed)
        created.rows = unique(created.rows, lambda one: at(one, "id"))[: question.limit]
        return created

    async def _older(self, question: Question, deadline: Deadline) -> Collected[Any]:
        try:
            return await self._changed(question.window.start, question.window.end, deadline, MAX_DETAILED)
        except SourceError as error:
            passing = isinstance(error, TransientSourceError)
            return Collected(partial=passing, notes=[f"older incidents that changed were not read: {error}"])

    async def _open(self, deadline: Deadline) -> Collected[Any]:
        params = [*_OPEN, ("date_range", "all"), ("sort_by", "created_at:asc")]
        return await collect(self._pages("/incidents", "incidents", params, deadline), deadline, 5000)

    async def _changed(
        self, since: datetime, until: datetime, deadline: Deadline, most: int | None = None
    ) -> Collected[Any]:
        """The incidents of which the log tells something; one that could not be read makes the answer partial.

        Args:
            since: of the log.
            until: of the log.
            deadline: for all of it.
            most: incidents that are read at most; None: all.
        """
        params = [("since", _utc(since)), ("until", _utc(until)), ("is_overview", "true")]
        found = await collect(self._pages("/log_entries", "log_entries", params, deadline), deadline, 5000)
        told = [key for key in unique((_told(entry) for entry in found.rows), lambda key: key) if key]
        if most is not None and len(told) > most:
            found.notes.append(f"the log tells of {len(told)} incidents, of which the first {most} were read")
            told = told[:most]
        read = await bounded((self._incident(key, deadline) for key in told), AT_ONCE)
        found.partial = found.partial or None in read
        found.rows = [one for one in read if one]
        return found

    async def note(self, incident_id: str, text: str, seconds: float = 8.0) -> None:
        """Write a note on an incident; sent once, for a note that may have been written is not repeated.

        Raises:
            SourceError: it was refused, or nobody knows whether it was written.
        """
        path = f"/incidents/{quote(incident_id, safe='')}/notes"
        await self._client.request("POST", path, json={"note": {"content": text}}, deadline=Deadline(seconds))

    async def has_note(self, incident_id: str, mark: str, seconds: float = 8.0) -> bool:
        """Whether an incident has a note in which these words stand.

        Raises:
            SourceError: nobody can tell now.
        """
        path = f"/incidents/{quote(incident_id, safe='')}/notes"
        answer = await self._client.get(path, deadline=Deadline(seconds))
        return any(mark in str(at(note, "content")) for note in rows_at(answer, "notes"))

    async def status_of(self, incident_id: str, seconds: float = 8.0) -> AlertStatus:
        """How far an incident is.

        Raises:
            SourceError: nobody can tell now.
        """
        answer = await self._client.get(f"/incidents/{quote(incident_id, safe='')}", deadline=Deadline(seconds))
        return STATUSES.get(str(at(answer.object(), "incident", "status")), AlertStatus.TRIGGERED)

    async def set_status(self, incident_id: str, status: AlertStatus, seconds: float = 8.0) -> None:
        """Acknowledge or resolve an incident; sent once. One that is resolved would be opened again: look first.

        Raises:
            SourceError: it was refused, or nobody knows whether it was done.
        """
        path = f"/incidents/{quote(incident_id, safe='')}"
        wanted = {"incident": {"type": "incident_reference", "status": status.value}}
        await self._client.request("PUT", path, json=wanted, deadline=Deadline(seconds))

    async def _on_call(self, question: Question, deadline: Deadline) -> Envelope[Any]:
        """Who is called first for the services of the incident; everybody who is where none of them is known here."""
        policies = await self._policies(question, deadline)
        params = [("escalation_policy_ids[]", policy) for policy in policies]
        found = await collect(self._pages("/oncalls", "oncalls", params, deadline), deadline, 200)
        people = mapped(found, lambda item: on_call_from(item, policies), "on-call entries")
        rows = unique(sorted(people.rows, key=lambda one: one.level or 99), lambda one: (one.name, one.policy))
        query = f"on call for {', '.join(dict.fromkeys(policies.values()))}" if policies else "on call"
        return answered(question.kind, self.name, rows, query=query, **people.about())

    async def _policies(self, question: Question, deadline: Deadline) -> dict[str, str]:
        """Escalation policy -> the service of the incident that it is for."""
        known = question.alert_labels.get("service_id")
        wanted = dict.fromkeys(question.services[:MAX_SERVICES])
        names = ServiceNames(Service(name=name) for name in wanted)
        pages = [self._pages("/services", "services", [("query", name)], deadline) for name in wanted]
        lists = await bounded((collect(one, deadline, PAGE) for one in pages), AT_ONCE)
        found = {}
        for item in (one for listed in lists for one in listed.rows):
            match = names.resolve(one_line(at(item, "name") or at(item, "summary")))
            policy = at(item, "escalation_policy", "id")
            if policy and (match or at(item, "id") == known):
                found[str(policy)] = match.service if match else question.services[0]
        return found

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
        """The incident; nothing of it where it is gone, None where it could not be read this time."""
        try:
            answer = await self._client.get(f"/incidents/{quote(key, safe='')}", deadline=deadline)
            return at(answer.object(), "incident")
        except RefusedError as error:
            return {} if error.status == HTTPStatus.NOT_FOUND else None
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
        dialect=Dialect(wait=_wait, rate=RATE),
        transport=settings.transport,
    )
    return PagerDuty(client, settings.name)


def _told(entry: Any) -> str | None:
    kind = str(at(entry, "type") or "").removesuffix("_log_entry")
    key = at(entry, "incident", "id")
    return key if kind in _TELLING_ENTRIES and isinstance(key, str) else None


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _wait(answer: Answer, now: float) -> float | None:
    reset = number(answer, "ratelimit-reset")
    return retry_after(answer, now) if reset is None else reset
