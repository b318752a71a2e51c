"""Amazon CloudWatch: metrics, by name and dimensions or by expressions, and log lines of log groups.

Actions: `GetMetricData` (JSON 1.0; newest first unless told otherwise; a result can be `PartialData`; periods grow
with age) and `FilterLogEvents` (JSON 1.1; times in ms; a page can be empty and still have a `nextToken`). Requests
are signed (`aws_signature.py`). Limits come as 400 with `ThrottlingException`. Keys:
`connections.cloudwatch.username` (access key), `password` (secret key) and `token` (of temporary ones), else the
usual variables AWS_ACCESS_KEY_ID and so on. A machine's role is not asked for. Options: `region` (else AWS_REGION),
`log_groups`: names with commas, in which `$service` is filled in; `logs_by`: `filter` or `insights`
(`cloudwatch_insights.py`); `logs_url` and `metrics_url` where they are not the
region's own.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from incident_pipeline.connectors import cloudwatch_insights
from incident_pipeline.connectors.answers import Answer, Dialect
from incident_pipeline.connectors.aws_signature import AwsKeys, signed_headers
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.cloudwatch_rows import escaped, is_transient, log_entry, message, metric_series
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.connectors.log_plan import LogSearch, log_plan
from incident_pipeline.connectors.paging import Collected, collect, mapped, together, unique
from incident_pipeline.connectors.shapes import at, items, rows_at
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.models import Envelope, EvidenceKind, LogEntry, MetricSeries

METRICS_TARGET = "GraniteServiceVersion20100801"
LOGS_TARGET = "Logs_20140328"
POINTS = 300
MAX_SERIES = 200
COMPLAINTS = ("ERROR", "Error", "error", "FATAL", "Exception", "exception", "CRITICAL", "panic")

_VARIABLE = re.compile(r"\$(service|environment)(?![A-Za-z0-9])")
_PLAIN = re.compile(
    r"(?P<namespace>[\w/.#-]+):(?P<name>[\w.%/-]+)(\{(?P<dimensions>[^{}]*)\})?(:(?P<statistic>[A-Za-z]+[\d.]*))?"
)
_NAME = re.compile(r"[\w.:/#+@ -]+")


class CloudWatch:
    """CloudWatch of one region."""

    def __init__(
        self,
        metrics: HttpClient,
        logs: HttpClient,
        keys: AwsKeys,
        region: str,
        log_groups: tuple[str, ...],
        name: str = "cloudwatch",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        insights: bool = False,
    ) -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.METRICS, EvidenceKind.LOGS})
        self._metrics_client = metrics
        self._logs_client = logs
        self._keys = keys
        self._region = region
        self._log_groups = log_groups
        self._now = now
        self._insights = insights

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Series of the configured expressions, or lines of the log groups.

        Raises:
            SourceError: nothing could be read.
        """
        deadline = Deadline(question.seconds)
        if question.kind is EvidenceKind.METRICS:
            return await self._metrics(question, deadline)
        return await self._logs(question, deadline)

    async def close(self) -> None:
        """Let go of connections."""
        await asyncio.gather(self._metrics_client.close(), self._logs_client.close())

    async def _metrics(self, question: Question, deadline: Deadline) -> Envelope[Any]:
        if not question.queries:
            raise PermanentSourceError("no queries are configured; write some below context.metrics.queries")
        asked = [
            (name, fill(query, service, question.environment), service if "$service" in query else None)
            for name, query in question.queries.items()
            for service in (question.services if "$service" in query else ()) or (None,)
        ]
        found = await together(
            {f"{name} of {s or 'all'}": self._series(name, q, s, question, deadline) for name, q, s in asked}
        )
        rows = unique(found.rows, lambda series: (series.service, series.key))
        query = "; ".join(dict.fromkeys(query for _, query, _ in asked))
        return answered(question.kind, self.name, rows, window=question.window, query=query, **found.about())

    async def _series(
        self, name: str, query: str, service: str | None, question: Question, deadline: Deadline
    ) -> Collected[MetricSeries]:
        period = max(60, math.ceil(question.sampled.total_seconds() / POINTS / 60) * 60)
        body = {
            "MetricDataQueries": [metric_query(query, period)],
            "StartTime": int(question.window.start.timestamp()),
            "EndTime": int(question.window.end.timestamp()),
            "ScanBy": "TimestampAscending",
        }

        async def pages() -> AsyncIterator[list[Any]]:
            token = None
            while True:
                sent = {**body, **({"NextToken": token} if token else {})}
                answer = await self._call(
                    self._metrics_client, "monitoring", "1.0", METRICS_TARGET, "GetMetricData", sent, deadline
                )
                yield rows_at(answer, "MetricDataResults")
                after = answer.object().get("NextToken")
                if not after or after == token:
                    return
                token = after

        found = await collect(pages(), deadline, MAX_SERIES)
        for result in found.rows:
            if at(result, "StatusCode") not in ("Complete", None):
                found.partial = True
                found.notes.append(f"{name}: the result is {at(result, 'StatusCode')}")
        only = service or (question.services[0] if question.services else None)
        found.rows = _merged(found.rows)
        return mapped(found, lambda result: metric_series(result, name, only, self.name), "series")

    async def _logs(self, question: Question, deadline: Deadline) -> Envelope[Any]:
        groups = self._groups(question)
        if self._insights:
            found = await together(
                {part.name: self._ask(part, groups, question, deadline) for part in log_plan(question)}
            )
        else:
            found = await together(
                {
                    f"{part.name} in {group}": self._search(part, group, question, deadline, len(groups))
                    for group, _ in groups
                    for part in log_plan(question)
                }
            )
        owners = dict(groups)
        rows = [
            row if row.service else row.model_copy(update={"service": owners.get(row.attributes["log_group"])})
            for row in unique(sorted(found.rows, key=lambda row: row.timestamp), lambda row: row.attributes["id"])
        ]
        about = {"window": question.window, "query": ", ".join(owners), **found.about()}
        return answered(question.kind, self.name, rows[: question.limit], **about)

    async def _ask(
        self, part: LogSearch, groups: list[tuple[str, str | None]], question: Question, deadline: Deadline
    ) -> Collected[LogEntry]:
        """One search of the plan by Logs Insights."""

        async def call(action: str, body: Mapping[str, Any]) -> Answer:
            return await self._call(self._logs_client, "logs", "1.1", LOGS_TARGET, action, body, deadline)

        names = [group for group, _ in groups]
        found = await cloudwatch_insights.search(call, part, names, _wanted(part, question), deadline)
        return mapped(found, lambda event: log_entry(event, event["group"] or names[0]), "log events")

    async def _search(
        self, part: LogSearch, group: str, question: Question, deadline: Deadline, groups: int
    ) -> Collected[LogEntry]:
        limit = max(1, part.limit // groups)
        texts = _wanted(part, question)
        body: dict[str, Any] = {
            "logGroupName": group,
            "startTime": int(part.start.timestamp() * 1000),
            "endTime": int(part.end.timestamp() * 1000) - 1,
            "limit": min(10_000, limit),
        }
        body |= {"filterPattern": " ".join(f'?"{escaped(text)}"' for text in texts)} if texts else {}
        wanted = [text.lower() for text in texts]

        async def pages() -> AsyncIterator[list[Any]]:
            token = None
            while True:
                sent = {**body, **({"nextToken": token} if token else {})}
                answer = await self._call(
                    self._logs_client, "logs", "1.1", LOGS_TARGET, "FilterLogEvents", sent, deadline
                )
                events = rows_at(answer, "events")
                # some servers take the pattern for none: what they send beside is left out here
                yield [e for e in events if not wanted or any(w in str(at(e, "message")).lower() for w in wanted)]
                after = answer.object().get("nextToken")
                if not after or after == token:
                    return
                token = after

        return mapped(await collect(pages(), deadline, limit), lambda event: log_entry(event, group), "log events")

    def _groups(self, question: Question) -> list[tuple[str, str | None]]:
        """The log groups and whose each is."""
        found: dict[str, str | None] = {}
        for template in self._log_groups:
            if "$service" not in template:
                found.setdefault(template, None)
            for service in question.services if "$service" in template else ():
                found.setdefault(fill(template, service, question.environment), service)
        if not found:
            raise PermanentSourceError(
                f"connections.{self.name}.options.log_groups names no log group for this incident; write some, "
                "such as /ecs/$service"
            )
        return list(found.items())

    async def _call(
        self, client: HttpClient, service: str, version: str, target: str, action: str, body: Any, deadline: Deadline
    ) -> Answer:
        content = json.dumps(body).encode()
        headers = {"content-type": f"application/x-amz-json-{version}", "x-amz-target": f"{target}.{action}"}
        url = client.base_url + "/"
        signed = signed_headers("POST", url, headers, content, self._keys, self._region, service, self._now())
        return await client.request("POST", url, content=content, headers=signed, deadline=deadline, retry=True)


def build(settings: SourceSettings, environ: Mapping[str, str] = os.environ) -> CloudWatch:
    """CloudWatch of the configured region.

    Raises:
        ConfigurationError: the region or the keys are missing, or `logs_by` is neither way.
    """
    connection, options = settings.connection, settings.connection.options
    region = options.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not region or not re.fullmatch(r"[a-z0-9-]+", region):
        raise ConfigurationError(
            f"connections.{settings.name}.options.region is not set; write eu-central-1 or the like"
        )
    password = connection.password.get_secret_value() if connection.password else None
    access, secret = (
        connection.username or environ.get("AWS_ACCESS_KEY_ID"),
        password or environ.get("AWS_SECRET_ACCESS_KEY"),
    )
    if not access or not secret:
        raise ConfigurationError(
            f"connections.{settings.name}.username and password are not set; give an access key and its secret key, "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    token = connection.token.get_secret_value() if connection.token else environ.get("AWS_SESSION_TOKEN")
    plain = connection.model_copy(update={"username": None, "password": None})

    def client(option: str, host: str) -> HttpClient:
        url = options.get(option) or connection.url or f"https://{host}.{region}.amazonaws.com"
        dialect = Dialect(transient=is_transient, message=message)
        return HttpClient(settings.name, url, plain, dialect=dialect, transport=settings.transport)

    groups = tuple(group.strip() for group in options.get("log_groups", "").split(",") if group.strip())
    clients = client("metrics_url", "monitoring"), client("logs_url", "logs")
    way = options.get("logs_by", "filter")
    if way not in ("filter", "insights"):
        raise ConfigurationError(f"connections.{settings.name}.options.logs_by is {way!r}; write filter or insights")
    keys = AwsKeys(access, secret, token)
    return CloudWatch(*clients, keys, region, groups, settings.name, insights=way == "insights")


def metric_query(query: str, period: int) -> dict[str, Any]:
    """One query: `AWS/ECS:CPUUtilization{ServiceName=payments}:Average`, or any expression of CloudWatch."""
    plain = _PLAIN.fullmatch(query.strip())
    if plain is None:
        return {"Id": "a", "Expression": query, "Period": period, "ReturnData": True}
    pairs = [pair.partition("=") for pair in (plain["dimensions"] or "").split(",") if pair.strip()]
    metric = {
        "Namespace": plain["namespace"],
        "MetricName": plain["name"],
        "Dimensions": [{"Name": name.strip(), "Value": value.strip()} for name, _, value in pairs],
    }
    statistic = {"Metric": metric, "Period": period, "Stat": plain["statistic"] or "Average"}
    return {"Id": "a", "MetricStat": statistic, "ReturnData": True}


def fill(query: str, service: str | None, environment: str | None) -> str:
    """The query with its variables filled in.

    Raises:
        PermanentSourceError: a value is not known, or could change what the query means.
    """
    values = {"service": service, "environment": environment}

    def value(match: re.Match[str]) -> str:
        text = values[match[1]]
        if text is None or not _NAME.fullmatch(text):
            shown = "is not known" if text is None else f"{text!r} cannot be written into it"
            raise PermanentSourceError(f"a query uses ${match[1]}, and {shown}")
        return text

    return _VARIABLE.sub(value, query)


def _merged(results: list[Any]) -> list[Any]:
    """A series that came in several pages is one series."""
    merged: dict[Any, Any] = {}
    for result in results:
        if not isinstance(result, Mapping):
            continue
        key = (str(at(result, "Id")), str(at(result, "Label")))
        if key not in merged:
            merged[key] = result
            continue
        for name in ("Timestamps", "Values"):
            joined = [*items(at(merged[key], name)), *items(at(result, name))]
            merged[key] = {**merged[key], name: joined}
    return list(merged.values())


def _wanted(part: LogSearch, question: Question) -> list[str]:
    """What one of has to be in a line."""
    return list(dict.fromkeys((*COMPLAINTS, *question.focus_patterns))) if part.complaints else []
