"""Elasticsearch and OpenSearch: log lines, by one search for each part of the plan.

Endpoint: `POST /{index}/_search` (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search), the
same in both. A part is at most a thousand lines, within one page, so that no cursor is needed. `track_total_hits` one
above the limit tells whether there was more. 200 can be half an answer: `timed_out`, `_shards.failed`. 429 has no
Retry-After. Without `allow_no_indices=false` a pattern that names no index would look like silence. Options: `index`
(logs-*), and the names of the fields, by default those of the Elastic Common Schema: `timestamp_field` (@timestamp),
`level_field` (log.level), `service_field` (service.name), `message_field` (message), `environment_field` (none).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.log_plan import LogSearch, counted, log_plan
from incident_pipeline.connectors.paging import Collected, mapped, together, unique
from incident_pipeline.connectors.shapes import at, mapping, rows_at
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.incident_folder.rows import level_of
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.json_text import clean
from incident_pipeline.models import Envelope, EvidenceKind, LogEntry
from incident_pipeline.moments import format_moment, parse_moment

LEVELS = ("error", "ERROR", "Error", "err", "fatal", "FATAL", "Fatal", "critical", "CRITICAL", "Critical", "severe")
MOST_COUNTED = 100_000
"""Up to so many lines the server counts."""
LONGEST_MESSAGE = 20_000


@dataclass(frozen=True)
class Fields:
    """Where the index has what."""

    timestamp: str = "@timestamp"
    level: str = "log.level"
    service: str = "service.name"
    message: str = "message"
    environment: str = ""


class Elasticsearch:
    """One cluster's log index."""

    def __init__(self, client: HttpClient, index: str, fields: Fields, name: str = "elasticsearch") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.LOGS})
        self._client = client
        self._index = index
        self._fields = fields

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Log lines of the services.

        Raises:
            SourceError: no search was answered.
        """
        deadline = Deadline(question.seconds)
        found = await together({part.name: self._search(part, question, deadline) for part in log_plan(question)})
        rows = unique(sorted(found.rows, key=lambda entry: entry.timestamp), lambda entry: entry.attributes["id"])
        services = " or ".join(question.services) or "any"
        about = {
            "window": question.window,
            "query": f"{self._index}: {self._fields.service} {services}",
            **found.about(),
        }
        return answered(question.kind, self.name, rows, **about)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _search(self, part: LogSearch, question: Question, deadline: Deadline) -> Collected[LogEntry]:
        body = search_body(part, question, self._fields)
        path = f"/{quote(self._index, safe='*,-')}/_search?allow_no_indices=false"
        answer = await self._client.request("POST", path, json=body, deadline=deadline, retry=True)
        hits = rows_at(answer, "hits", "hits")
        content = answer.object()
        total = at(content, "hits", "total", "value")
        found = Collected(hits, truncated=isinstance(total, int) and total > part.limit)
        if isinstance(total, int):
            found.notes += counted(part.name, total, len(hits))
        failed = at(content, "_shards", "failed")
        if content.get("timed_out") is True or (isinstance(failed, int) and failed > 0):
            found.partial = True
            found.notes.append(f"{part.name}: not every shard answered")
        return mapped(found, lambda hit: log_entry(hit, self._fields), "log lines")


def build(settings: SourceSettings) -> Elasticsearch:
    """The cluster at `connections.elasticsearch.url`, with an API key as token, or a name and password.

    Raises:
        ConfigurationError: the URL is missing or wrong.
    """
    headers: dict[str, SecretStr] = {}
    if settings.token is not None:
        headers["Authorization"] = SecretStr(f"ApiKey {settings.token.get_secret_value()}")
    options = settings.connection.options
    names = ("timestamp", "level", "service", "message", "environment")
    fields = Fields(**{name: options[f"{name}_field"] for name in names if f"{name}_field" in options})
    client = HttpClient(
        settings.name, settings.url(), settings.connection, headers=headers, transport=settings.transport
    )
    return Elasticsearch(client, options.get("index", "logs-*"), fields, settings.name)


def search_body(part: LogSearch, question: Question, fields: Fields) -> dict[str, Any]:
    """The search of one part of the plan."""
    window = {"gte": format_moment(part.start), "lt": format_moment(part.end), "format": "strict_date_optional_time"}
    must: list[dict[str, Any]] = [{"range": {fields.timestamp: window}}]
    if question.services:
        must.append({"terms": {fields.service: list(question.services)}})
    if question.environment and fields.environment:
        must.append({"term": {fields.environment: {"value": question.environment}}})
    query: dict[str, Any] = {"bool": {"filter": must}}
    if part.complaints:
        patterns = [{"match_phrase": {fields.message: {"query": text}}} for text in question.focus_patterns]
        query["bool"]["should"] = [{"terms": {fields.level: list(LEVELS)}}, *patterns]
        query["bool"]["minimum_should_match"] = 1
    order = "desc" if part.newest_first else "asc"
    return {
        "query": query,
        "size": part.limit,
        "sort": [{fields.timestamp: {"order": order}}],
        "track_total_hits": max(MOST_COUNTED, part.limit + 1),
    }


def log_entry(hit: Mapping[str, Any], fields: Fields) -> LogEntry:
    """One hit; what is no field of ours stays as attributes."""
    source = mapping(hit["_source"])
    known = {fields.timestamp, fields.message}
    message = _field(source, fields.message)
    return LogEntry(
        timestamp=parse_moment(_field(source, fields.timestamp)),
        service=one_line(_field(source, fields.service)),
        level=level_of(_field(source, fields.level)),
        message=clean(str("" if message is None else message))[:LONGEST_MESSAGE],
        attributes={
            "id": f"{hit.get('_index')}/{hit.get('_id')}",
            **{name: value for name, value in source.items() if name not in known},
        },
    )


def _field(source: Mapping[str, Any], name: str) -> Any:
    """A field by its dotted name, whether the document nests or spells it out."""
    value = source[name] if name in source else at(source, *name.split("."))
    return value[0] if isinstance(value, list) and value else value
