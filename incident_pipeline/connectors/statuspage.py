"""Statuspage: what the public page says, and saying it.

Endpoints (https://developer.statuspage.io/): `/pages/{page}/components`, `/pages/{page}/incidents/unresolved`, `POST
/pages/{page}/incidents`, `PATCH /pages/{page}/incidents/{id}` (each with a body adds an update). Key: `Authorization:
OAuth KEY`. One request a second for each key; more are answered 420 or 429. Creating has no protection against doing
it twice: an incident carries our key in its metadata, by which `find` sees whether a creation that timed out has
happened. The specification lets an empty incident through: name and status are checked here. Component ids alone
change no component's status; `components` does. Subscribers are told only where asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from incident_pipeline.connectors.answers import RATE_LIMITED, TRANSIENT, Answer, Dialect, Rate, retry_after
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.paging import Collected, mapped
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import ConfigurationError, InputError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.intake.alert_fields import one_line, text_of
from incident_pipeline.models import Alert, Envelope, EvidenceKind, Model, Severity
from incident_pipeline.moments import parse_moment

URL = "https://api.statuspage.io/v1"
STATUSES = ("investigating", "identified", "monitoring", "resolved")
COMPONENT_STATUSES = ("operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance")
IMPACTS = ("none", "minor", "major", "critical")
LONGEST_NAME = 255
PAGE = 100
RATE = Rate(60, 60)
MARK = "incident_pipeline"


_IMPACTS = {"critical": Severity.P1, "major": Severity.P2, "minor": Severity.P3, "none": Severity.P5}
_COMPONENTS = {
    "major_outage": Severity.P1,
    "partial_outage": Severity.P2,
    "degraded_performance": Severity.P3,
}


class PageComponent(Model):
    """A part of the page, with its status."""

    id: str
    name: str
    status: str


class PageIncident(Model):
    """An incident of the page."""

    id: str
    name: str
    status: str
    impact: str | None = None
    url: str | None = None
    key: str | None = None
    """Ours, where it is one of ours."""


class Statuspage:
    """One page: ours, or that of somebody we depend on."""

    def __init__(self, client: HttpClient, page: str, name: str = "statuspage") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.RELATED_ALERTS})
        self._client = client
        self._page = f"/pages/{quote(page, safe='')}"

    async def fetch(self, question: Question) -> Envelope[Any]:
        """What the page shows as going on: unresolved incidents, and components that do not work.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(question.seconds)
        paths = [f"{self._page}/incidents/unresolved", f"{self._page}/components"]
        incidents, components = await asyncio.gather(*(self._rows(path, deadline) for path in paths))
        found = mapped(incidents, alert_from_incident, "incidents")
        found.add(mapped(components, alert_from_component, "components"))
        rows = [alert for alert in found.rows if alert.started_at < question.window.end][: question.limit]
        about = {"window": question.window, "query": "unresolved incidents, components", **found.about()}
        return answered(question.kind, self.name, rows, **about)

    async def _rows(self, path: str, deadline: Deadline) -> Collected[Any]:
        answer = await self._client.get(path, {"per_page": 100}, deadline=deadline)
        rows = answer.list()
        return Collected(rows, truncated=len(rows) >= PAGE)

    async def components(self, seconds: float = 8.0) -> list[PageComponent]:
        """The parts of the page.

        Raises:
            SourceError: it did not answer.
        """
        answer = await self._client.get(f"{self._page}/components", {"per_page": 100}, deadline=Deadline(seconds))
        return [
            PageComponent(id=str(one["id"]), name=str(one.get("name")), status=str(one.get("status")))
            for one in answer.list()
            if at(one, "id")
        ]

    async def unresolved(self, seconds: float = 8.0) -> list[PageIncident]:
        """The incidents that the page shows as going on.

        Raises:
            SourceError: it did not answer.
        """
        path = f"{self._page}/incidents/unresolved"
        answer = await self._client.get(path, {"per_page": 100}, deadline=Deadline(seconds))
        return [incident_from(one) for one in answer.list() if at(one, "id")]

    async def find(self, key: str, seconds: float = 8.0) -> PageIncident | None:
        """Our unresolved incident with this key; None where there is none.

        Raises:
            SourceError: it did not answer.
        """
        return next((one for one in await self.unresolved(seconds) if one.key == key), None)

    async def create(
        self,
        key: str,
        name: str,
        body: str,
        *,
        status: str = "investigating",
        impact: str | None = None,
        components: Mapping[str, str] | None = None,
        notify: bool = False,
        seconds: float = 8.0,
    ) -> PageIncident:
        """Open an incident on the page, once: one that may have been opened is not repeated; ask `find` first.

        Args:
            key: ours, to find it again.
            name: the headline, at most 255 characters.
            body: the first update.
            status: investigating, identified, monitoring or resolved.
            impact: none, minor, major or critical; None lets the page decide by its components.
            components: id -> status.
            notify: whether subscribers are told.
            seconds: how long it may take.

        Raises:
            InputError: a word that the page does not know.
            SourceError: it was refused, or nobody knows whether it was opened.
        """
        title = one_line(name, LONGEST_NAME)
        if title is None:
            raise InputError("name: missing; an incident on the status page needs a headline")
        about = _incident(status, body, components, notify)
        about |= {"name": title, "metadata": {MARK: {"key": key}}}
        if impact is not None:
            about["impact_override"] = _known(impact, IMPACTS, "impact")
        answer = await self._client.request(
            "POST", f"{self._page}/incidents", json={"incident": about}, deadline=Deadline(seconds)
        )
        return incident_from(answer.object())

    async def update(
        self,
        incident_id: str,
        body: str,
        *,
        status: str,
        components: Mapping[str, str] | None = None,
        notify: bool = False,
        seconds: float = 8.0,
    ) -> PageIncident:
        """Add an update to an incident, once.

        Raises:
            InputError: a word that the page does not know.
            SourceError: it was refused, or nobody knows whether it was added.
        """
        path = f"{self._page}/incidents/{quote(incident_id, safe='')}"
        about = {"incident": _incident(status, body, components, notify)}
        answer = await self._client.request("PATCH", path, json=about, deadline=Deadline(seconds))
        return incident_from(answer.object())

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()


def build(settings: SourceSettings) -> Statuspage:
    """The page of `connections.statuspage.options.page`, with a key as token.

    Raises:
        ConfigurationError: the page or the key is missing.
    """
    page = settings.connection.options.get("page")
    if not page:
        raise ConfigurationError(f"connections.{settings.name}.options.page is not set; write the page's id")
    headers = {"Authorization": SecretStr(f"OAuth {settings.secret().get_secret_value()}")}
    client = HttpClient(
        settings.name,
        settings.url(URL),
        settings.connection,
        headers=headers,
        dialect=Dialect(transient=_is_transient, wait=_wait, rate=RATE),
        transport=settings.transport,
    )
    return Statuspage(client, page, settings.name)


def incident_from(item: Mapping[str, Any]) -> PageIncident:
    """An incident as the page has it."""
    return PageIncident(
        id=str(item["id"]),
        name=str(item.get("name") or ""),
        status=str(item.get("status") or ""),
        impact=one_line(item.get("impact")),
        url=one_line(item.get("shortlink"), 2000),
        key=one_line(at(item, "metadata", MARK, "key")),
    )


def alert_from_incident(item: Mapping[str, Any]) -> Alert | None:
    """An incident of the page that is not over; None for one of ours, which tells nothing new."""
    if at(item, "metadata", MARK, "key") or item.get("status") in ("resolved", "postmortem", "completed", "scheduled"):
        return None
    names = [name for one in items(item.get("components")) if (name := one_line(at(one, "name")))]
    key, impact = f"incident:{item['id']}", one_line(item.get("impact"))
    return Alert(
        source="statuspage",
        source_id=key,
        dedup_key=key,
        title=one_line(item.get("name")) or key,
        summary=text_of(at(item, "incident_updates", 0, "body"), 10_000) or "",
        severity=_IMPACTS.get(impact or "", Severity.P3),
        service=names[0] if len(names) == 1 else None,
        labels={"impact": impact or "", "status": one_line(item.get("status")) or "", "components": ", ".join(names)},
        started_at=parse_moment(item.get("started_at") or item["created_at"]),
        url=one_line(item.get("shortlink"), 2000),
        raw=dict(item),
    )


def alert_from_component(item: Mapping[str, Any]) -> Alert | None:
    """A component that does not work as it should; None for one that does."""
    status = one_line(item.get("status")) or ""
    if status not in _COMPONENTS or item.get("group") is True:
        return None
    key = f"component:{item['id']}"
    return Alert(
        source="statuspage",
        source_id=key,
        dedup_key=key,
        title=f"{one_line(item.get('name')) or key}: {status.replace('_', ' ')}",
        severity=_COMPONENTS[status],
        service=one_line(item.get("name")),
        labels={"status": status},
        started_at=parse_moment(item.get("updated_at") or item["created_at"]),
        raw=dict(item),
    )


def _incident(status: str, body: str, components: Mapping[str, str] | None, notify: bool) -> dict[str, Any]:
    about: dict[str, Any] = {
        "status": _known(status, STATUSES, "status"),
        "body": body,
        "deliver_notifications": notify,
    }
    if components:
        about["components"] = {key: _known(word, COMPONENT_STATUSES, "components") for key, word in components.items()}
        about["component_ids"] = list(components)
    return about


def _known(word: str, words: tuple[str, ...], field: str) -> str:
    if word not in words:
        raise InputError(f"{field}: {word!r} is not one of {', '.join(words)}")
    return word


def _is_transient(answer: Answer) -> bool:
    return answer.status in TRANSIENT | RATE_LIMITED


def _wait(answer: Answer, now: float) -> float | None:
    if answer.status not in RATE_LIMITED:
        return None
    return retry_after(answer, now) or 1.0
