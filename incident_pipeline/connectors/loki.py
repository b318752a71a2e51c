"""Grafana Loki: log lines by LogQL.

Endpoint: `GET /loki/api/v1/query_range` (https://grafana.com/docs/loki/latest/reference/loki-http-api/): start
included, end excluded, both in nanoseconds; without `limit` 100 lines, and the server has a cap of its own (often
5,000). Values are `[nanoseconds as text, line, metadata?]`. Not run against a real Loki here: there is none to
install. Options: `label` (service_name), the stream label that names the service; `environment_label` (none);
`tenant`, sent as `X-Scope-OrgID`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer
from incident_pipeline.connectors.log_plan import LogSearch, log_plan
from incident_pipeline.connectors.paging import Collected, mapped, together, unique, with_remarks
from incident_pipeline.connectors.promql import quote
from incident_pipeline.connectors.shapes import at, items, mapping, rows_at
from incident_pipeline.errors import SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.incident_folder.rows import LEVELS, level_of
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.json_text import clean
from incident_pipeline.models import Envelope, EvidenceKind, LogEntry
from incident_pipeline.moments import parse_moment

PATH = "/loki/api/v1/query_range"
COUNT_PATH = "/loki/api/v1/query"
_COMPLAINTS = ("error", "exception", "fatal", "critical", "panic")
_LEVEL_IN_LINE = re.compile(r"\b(?:level|severity|lvl)[\"']?\s*[=:]\s*[\"']?([A-Za-z]+)|\b([A-Z]{4,8})\b")
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


class Loki:
    """One Loki tenant."""

    def __init__(self, client: HttpClient, label: str, environment_label: str | None, name: str = "loki") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.LOGS})
        self._client = client
        self._label = label
        self._environment_label = environment_label

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Log lines of the services.

        Raises:
            SourceError: no query was answered.
        """
        deadline = Deadline(question.seconds)
        found, said = await with_remarks(
            together({part.name: self._query(part, question, deadline) for part in log_plan(question)}),
            self._count(question, deadline),
        )
        found.notes += said
        rows = unique(sorted(found.rows, key=lambda entry: entry.timestamp), lambda entry: entry.attributes["id"])
        about = {"window": question.window, "query": self._logql(question, complaints=True), **found.about()}
        return answered(question.kind, self.name, rows, **about)

    async def _count(self, question: Question, deadline: Deadline) -> list[str]:
        """How many lines complain, by the server's own count; nothing where it does not say."""
        seconds = max(1, round((question.window.end - question.window.start).total_seconds()))
        query = f"sum(count_over_time({self._logql(question, complaints=True)} [{seconds}s]))"
        params = {"query": query, "time": int(question.window.end.timestamp() * 1e6) * 1000}
        try:
            answer = await self._client.request("GET", COUNT_PATH, params=params, deadline=deadline, retry=False)
            total = float(at(rows_at(answer, "data", "result"), 0, "value", 1) or 0)
        except (SourceError, ValueError, TypeError):
            return []
        return [f"{total:.0f} lines complain by the server's count"] if total > 0 else []

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _query(self, part: LogSearch, question: Question, deadline: Deadline) -> Collected[LogEntry]:
        params = {
            "query": self._logql(question, part.complaints),
            "start": int(part.start.timestamp() * 1e6) * 1000,
            "end": int(part.end.timestamp() * 1e6) * 1000,
            "limit": part.limit,
            "direction": "backward" if part.newest_first else "forward",
        }
        answer = await self._client.get(PATH, params, deadline=deadline)
        streams = rows_at(answer, "data", "result")
        lines = [(mapping(at(stream, "stream")), value) for stream in streams for value in items(at(stream, "values"))]
        found = Collected(lines, truncated=len(lines) >= part.limit)
        return mapped(found, lambda line: log_entry(line[0], line[1], self._label), "log lines")

    def _logql(self, question: Question, complaints: bool) -> str:
        services = "|".join(_SPECIAL.sub(r"\\\1", service) for service in question.services)
        matchers = [f"{self._label}=~{quote(services or '.+')}"]
        if question.environment and self._environment_label:
            matchers.append(f"{self._environment_label}={quote(question.environment)}")
        selector = "{" + ", ".join(matchers) + "}"
        if not complaints:
            return selector
        texts = dict.fromkeys(text.lower() for text in (*_COMPLAINTS, *question.focus_patterns))
        pattern = "(?i)(" + "|".join(_SPECIAL.sub(r"\\\1", text) for text in texts) + ")"
        return f"{selector} |~ {quote(pattern)}"


def build(settings: SourceSettings) -> Loki:
    """Loki at `connections.loki.url`.

    Raises:
        ConfigurationError: the URL is missing or wrong.
    """
    options = settings.connection.options
    headers: dict[str, Any] = {**bearer(settings.token)}
    if options.get("tenant"):
        headers["X-Scope-OrgID"] = options["tenant"]
    client = HttpClient(
        settings.name, settings.url(), settings.connection, headers=headers, transport=settings.transport
    )
    label = options.get("label", "service_name")
    return Loki(client, label, options.get("environment_label"), settings.name)


def log_entry(labels: Mapping[str, Any], value: list[Any], service_label: str) -> LogEntry:
    """One line of a stream."""
    nanoseconds, line = str(value[0]), clean(str(value[1]))
    metadata = mapping(value[2]) if len(value) > 2 else {}
    stream = {str(name): str(text) for name, text in labels.items()}
    word = stream.get("level") or stream.get("detected_level") or metadata.get("detected_level") or _level_in(line)
    key = hashlib.sha256(f"{sorted(stream.items())}{nanoseconds}{line}".encode("utf-8", "replace")).hexdigest()[:24]
    return LogEntry(
        timestamp=parse_moment(int(nanoseconds)),
        service=one_line(stream.get(service_label)) or one_line(stream.get("app") or stream.get("job")),
        level=level_of(word),
        message=line,
        attributes={"id": key, **stream, **metadata},
    )


def _level_in(line: str) -> str | None:
    for match in _LEVEL_IN_LINE.finditer(line[:300]):
        word = match[1] or match[2]
        if word.lower() in LEVELS:
            return word
    return None
