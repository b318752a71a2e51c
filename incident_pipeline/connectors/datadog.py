"""Datadog: metrics, logs, deployments, changes and triggered monitors.

Its alerts' fields and its webhook are in `datadog_alerts.py`, all other rows in `datadog_rows.py`.

Endpoints (https://docs.datadoghq.com/api/latest/): `POST /api/v2/query/timeseries` (times in ms), or where v2 is not
offered `GET /api/v1/query` (in seconds); `POST /api/v2/logs/events/search`; `GET /api/v1/monitor/groups/search`;
`POST /api/v2/events/search` for what monitors told and for change events (of feature flags and configurations);
`POST /api/v2/dora/deployments`; `POST /api/v2/logs/analytics/aggregate` counts. It wants two keys. The host depends on
the site: `connections.datadog.url` is https://api.datadoghq.eu and the like.
Limits: 429 without Retry-After and often without a body; only `X-RateLimit-Reset` (seconds) can be believed.
Pages of logs: a cursor in `meta.page.after`; the last page has no `meta`. Windows are sent as absolute times, for
relative ones move from page to page.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from incident_pipeline.connectors.answers import Answer, Dialect, RefusedError, number
from incident_pipeline.connectors.base import Polled, Question, SourceSettings
from incident_pipeline.connectors.datadog_alerts import alert_from_event, alert_from_group, alerts_of_window
from incident_pipeline.connectors.datadog_rows import (
    configuration_change,
    deployment,
    flag_change,
    log_entry,
    metric_series,
    timeseries_v1,
    timeseries_v2,
)
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.log_plan import LogSearch, log_plan
from incident_pipeline.connectors.paging import (
    Collected,
    collect,
    mapped,
    moved,
    newest,
    together,
    unique,
    with_remarks,
)
from incident_pipeline.connectors.shapes import at, rows_at
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, SourceError, TransientSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.models import Alert, Deployment, Envelope, EvidenceKind, LogEntry, MetricSeries
from incident_pipeline.moments import format_moment, parse_moment

URL = "https://api.datadoghq.com"
COUNT_PATH = "/api/v2/logs/analytics/aggregate"
CHANGE_EVENTS = "@evt.category:change"
"""As the events of Change Tracking are searched for (https://docs.datadoghq.com/ddsql_reference/, `dd.events`)."""
PAGE = 1000
POINTS = 300
MAX_SERIES = 200
OVERLAP = timedelta(minutes=2)

_VARIABLE = re.compile(r"\$(service|environment)(?![A-Za-z0-9])")


class Datadog:
    """One Datadog organisation."""

    def __init__(self, client: HttpClient, name: str = "datadog") -> None:
        self.name = name
        self.kinds = frozenset(
            {
                EvidenceKind.METRICS,
                EvidenceKind.LOGS,
                EvidenceKind.RELATED_ALERTS,
                EvidenceKind.DEPLOYMENTS,
                EvidenceKind.FLAG_CHANGES,
            }
        )
        self._client = client

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Series of the configured queries, log lines of the services, what was changed, or what else is triggered.

        Raises:
            SourceError: nothing could be read.
        """
        deadline = Deadline(question.seconds)
        if question.kind is EvidenceKind.METRICS:
            return await self._metrics(question, deadline)
        if question.kind is EvidenceKind.LOGS:
            return await self._logs(question, deadline)
        if question.kind is EvidenceKind.DEPLOYMENTS:
            return await self._deployments(question, deadline)
        if question.kind is EvidenceKind.FLAG_CHANGES:
            found = mapped(await self._changes(question, deadline), flag_change, "change events")
            return answered(question.kind, self.name, found.rows, window=question.window, **found.about())
        return await self._monitors(question, deadline)

    async def poll(self, cursor: str | None, now: datetime, seconds: float) -> Polled:
        """What is triggered now at first; then the monitors' events since, recoveries too.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(seconds)
        reached = None
        if cursor is None:
            found = mapped(await collect(self._groups(deadline), deadline, 1000), alert_from_group, "monitor groups")
        else:
            what = {
                "query": "source:alert",
                "from": format_moment(parse_moment(cursor) - OVERLAP),
                "to": format_moment(now),
            }
            pages = self._search_pages("/api/v2/events/search", {"filter": what, "sort": "timestamp"}, 1000, deadline)
            listed = await collect(pages, deadline, 5000)
            reached = newest(at(one, "attributes", "timestamp") for one in listed.rows)
            found = mapped(listed, alert_from_event, "events")
        return Polled(alerts=tuple(found.rows), cursor=moved(cursor, found, now, reached), notes=tuple(found.notes))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _metrics(self, question: Question, deadline: Deadline) -> Envelope[Any]:
        if not question.queries:
            raise PermanentSourceError("no queries are configured; write some below context.metrics.queries")
        asked = [
            (name, fill(query, service, question.environment), service if "$service" in query else None)
            for name, query in question.queries.items()
            for service in (question.services if "$service" in query else ()) or (None,)
        ]
        found = await together(
            {
                f"{name} of {service or 'all'}": self._series(name, query, service, question, deadline)
                for name, query, service in asked
            }
        )
        query = "; ".join(dict.fromkeys(query for _, query, _ in asked))
        rows = unique(found.rows, lambda series: (series.service, series.key))
        return answered(question.kind, self.name, rows, window=question.window, query=query, **found.about())

    async def _series(
        self, name: str, query: str, service: str | None, question: Question, deadline: Deadline
    ) -> Collected[MetricSeries]:
        start, end = question.window.start.timestamp(), question.window.end.timestamp()
        interval = max(1, math.ceil(question.sampled.total_seconds() / POINTS)) * 1000
        attributes = {
            "from": int(start * 1000),
            "to": int(end * 1000),
            "interval": interval,
            "queries": [{"data_source": "metrics", "name": "a", "query": query}],
            "formulas": [{"formula": "a"}],
        }
        body = {"data": {"type": "timeseries_request", "attributes": attributes}}
        try:
            answer = await self._client.request(
                "POST", "/api/v2/query/timeseries", json=body, deadline=deadline, retry=True
            )
            series = timeseries_v2(rows_at(answer, "data", "attributes", "series"), answer.object())
        except RefusedError as error:
            if error.status not in (404, 405):
                raise
            params = {"from": int(start), "to": int(end), "query": query}
            series = timeseries_v1(
                rows_at(await self._client.get("/api/v1/query", params, deadline=deadline), "series")
            )
        only = service or (question.services[0] if question.services else None)
        kept = Collected(series[:MAX_SERIES], truncated=len(series) > MAX_SERIES)
        return mapped(kept, lambda item: metric_series(item, name, only, self.name), "series")

    async def _logs(self, question: Question, deadline: Deadline) -> Envelope[Any]:
        found, said = await with_remarks(
            together({s.name: self.search_logs(s, question, deadline) for s in log_plan(question)}),
            self._count(question, deadline),
        )
        found.notes += said
        rows = unique(sorted(found.rows, key=lambda entry: entry.timestamp), lambda e: e.attributes.get("id") or e)
        about = {"window": question.window, "query": log_query(question, complaints=True), **found.about()}
        return answered(question.kind, self.name, rows, **about)

    async def _count(self, question: Question, deadline: Deadline) -> list[str]:
        """How many lines complain, by the server's own count; nothing where it does not say."""
        what = {"query": log_query(question, complaints=True), **_moments(question)}
        body = {"compute": [{"aggregation": "count", "type": "total"}], "filter": what}
        try:
            answer = await self._client.request("POST", COUNT_PATH, json=body, deadline=deadline, retry=False)
            total = float(at(rows_at(answer, "data", "buckets"), 0, "computes", "c0") or 0)
        except (SourceError, ValueError, TypeError):
            return []
        return [f"{total:.0f} lines complain by the server's count"] if total > 0 else []

    async def _deployments(self, question: Question, deadline: Deadline) -> Envelope[Any]:
        """What was reported to DORA Metrics, and change events of configurations."""
        found = await together(
            {
                "deployments": self._dora(question, deadline),
                "configuration changes": self._configuration_changes(question, deadline),
            }
        )
        return answered(question.kind, self.name, found.rows, window=question.window, **found.about())

    async def _dora(self, question: Question, deadline: Deadline) -> Collected[Deployment]:
        limit = min(PAGE, question.limit + 1)
        asked = {"query": where(question), "limit": limit, "sort": "-finished_at", **_moments(question)}
        body = {"data": {"type": "dora_deployments_list_request", "attributes": asked}}
        answer = await self._client.request(
            "POST", "/api/v2/dora/deployments", json=body, deadline=deadline, retry=True
        )
        rows = rows_at(answer, "data")
        return mapped(Collected(rows, truncated=len(rows) >= limit), deployment, "deployments")

    async def _configuration_changes(self, question: Question, deadline: Deadline) -> Collected[Deployment]:
        return mapped(await self._changes(question, deadline), configuration_change, "change events")

    async def _changes(self, question: Question, deadline: Deadline) -> Collected[Any]:
        """All change events; what was changed, and whose it is, their own fields tell, not their tags."""
        what = {"query": CHANGE_EVENTS, **_moments(question)}
        limit = min(PAGE, question.limit + 1)
        pages = self._search_pages("/api/v2/events/search", {"filter": what, "sort": "timestamp"}, limit, deadline)
        return await collect(pages, deadline, question.limit)

    async def search_logs(self, search: LogSearch, question: Question, deadline: Deadline) -> Collected[LogEntry]:
        """One search of the plan.

        Raises:
            SourceError: it was not answered.
        """
        what = {
            "query": log_query(question, search.complaints),
            "from": format_moment(search.start),
            "to": format_moment(search.end),
        }
        sort = "-timestamp" if search.newest_first else "timestamp"
        asked = {"filter": what, "sort": sort}
        pages = self._search_pages("/api/v2/logs/events/search", asked, search.limit + 1, deadline)
        return mapped(await collect(pages, deadline, search.limit), log_entry, "log lines")

    async def _search_pages(
        self, path: str, asked: Mapping[str, Any], limit: int, deadline: Deadline
    ) -> AsyncIterator[list[Any]]:
        cursor = None
        left = limit
        while left > 0:
            page = {"limit": min(PAGE, left), **({"cursor": cursor} if cursor else {})}
            answer = await self._client.request(
                "POST", path, json={**asked, "page": page}, deadline=deadline, retry=True
            )
            data = rows_at(answer, "data")
            yield data
            left -= len(data)
            after = at(answer.object(), "meta", "page", "after")
            if not data or not after or after == cursor:
                return
            cursor = after

    async def _monitors(self, question: Question, deadline: Deadline) -> Envelope[Any]:
        groups, events = await asyncio.gather(
            collect(self._groups(deadline), deadline, question.limit), self._events(question, deadline)
        )
        found = mapped(groups, alert_from_group, "monitor groups")
        found.add(events)
        # what is triggered now is told by its monitor; what has recovered since by the events alone
        rows = unique(found.rows, lambda alert: alert.dedup_key)
        rows = [alert for alert in rows if alert.started_at < question.window.end][: question.limit]
        about = {"window": question.window, "query": "status:alert; events source:alert", **found.about()}
        return answered(question.kind, self.name, rows, **about)

    async def _events(self, question: Question, deadline: Deadline) -> Collected[Alert]:
        """What monitors told in the window; that their events cannot be read costs these alone."""
        what = {"query": "source:alert", **_moments(question)}
        limit = min(PAGE, question.limit + 1)
        asked = {"filter": what, "sort": "timestamp"}
        try:
            pages = self._search_pages("/api/v2/events/search", asked, limit, deadline)
            found = mapped(await collect(pages, deadline, question.limit), alert_from_event, "events")
        except SourceError as error:
            passing = isinstance(error, TransientSourceError)
            return Collected(partial=passing, notes=[f"events of monitors were not read: {error}"])
        found.rows = alerts_of_window(found.rows)
        return found

    async def _groups(self, deadline: Deadline) -> AsyncIterator[list[Any]]:
        page = 0
        while True:
            params = {"query": "status:alert", "page": page, "per_page": 100}
            answer = await self._client.get("/api/v1/monitor/groups/search", params, deadline=deadline)
            groups = rows_at(answer, "groups")
            yield groups
            page += 1
            pages_there = at(answer.object(), "metadata", "page_count")
            if not groups or not isinstance(pages_there, int) or page >= pages_there:
                return


def build(settings: SourceSettings) -> Datadog:
    """Datadog, with the keys of `alerts.sources.datadog`, or those in `connections.datadog.headers`.

    Raises:
        ConfigurationError: a key is missing.
    """
    headers = dict(settings.connection.headers)
    keys = {"DD-API-KEY": settings.token, "DD-APPLICATION-KEY": settings.keys.app_key}
    headers |= {name: key for name, key in keys.items() if key is not None and name not in headers}
    missing = [
        key for name, key in (("DD-API-KEY", "api_key"), ("DD-APPLICATION-KEY", "app_key")) if name not in headers
    ]
    if missing:
        names = " and ".join(f"alerts.sources.{settings.name}.{key}" for key in missing)
        raise ConfigurationError(f"{names} not set; Datadog needs an API key and an application key")
    client = HttpClient(
        settings.name,
        settings.url(URL),
        settings.connection,
        headers=headers,
        dialect=Dialect(wait=_wait),
        transport=settings.transport,
    )
    return Datadog(client, settings.name)


def fill(query: str, service: str | None, environment: str | None) -> str:
    """The query with its variables as tag values, spelt as Datadog spells them; what is not known is `*`."""
    values = {"service": service, "environment": environment}
    return _VARIABLE.sub(lambda found: tag_value(values[found[1]]), query)


def tag_value(value: str | None) -> str:
    """Datadog's own form of a tag's value: lower case, and nothing but letters, digits and `_-:./`."""
    return "*" if value is None else re.sub(r"[^\w\-:./]", "_", value.lower())[:200] or "*"


def log_query(question: Question, complaints: bool) -> str:
    """The search: the incident's services and environment; for complaints the error levels or a focus pattern."""
    if not complaints:
        return where(question)
    patterns = "".join(f" OR {_quoted(pattern)}" for pattern in question.focus_patterns)
    return f"{where(question)} (status:(error OR critical OR alert OR emergency){patterns})".removeprefix("* ")


def where(question: Question) -> str:
    """The part of a search that names the incident's services and environment."""
    services = " OR ".join(f"service:{_quoted(service)}" for service in question.services)
    parts = [f"({services})"] if services else []
    if question.environment:
        parts.append(f"env:{_quoted(question.environment)}")
    return " ".join(parts) or "*"


def _moments(question: Question) -> dict[str, str]:
    return {"from": format_moment(question.window.start), "to": format_moment(question.window.end)}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _wait(answer: Answer, _now: float) -> float | None:
    return number(answer, "x-ratelimit-reset") or number(answer, "x-ratelimit-period")
