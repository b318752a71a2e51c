"""Prometheus: range queries through its HTTP API v1, and which of its alerting rules fire.

Endpoints: `GET|POST /api/v1/query_range`, `GET /api/v1/rules?type=alert`
(https://prometheus.io/docs/prometheus/latest/querying/api/). Times and step are numbers of seconds; values are texts,
with NaN, +Inf and -Inf among them; more than 11,000 points are refused with 400; `warnings` come with an answer that is
otherwise good; no data is 200 with no result. Authentication is whatever stands before it: a bearer token or a name and
password.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from incident_pipeline.connectors.answers import Answer, Dialect
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer
from incident_pipeline.connectors.paging import Collected, mapped
from incident_pipeline.connectors.prometheus_rules import firing
from incident_pipeline.connectors.promql import fill
from incident_pipeline.connectors.shapes import at, items, rows_at
from incident_pipeline.errors import PermanentSourceError, SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.models import Envelope, EvidenceKind, MetricSeries, Window

POINTS = 500
"""At most about so many points of each series: 30 s apart in four hours."""
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
MAX_POINTS = 11_000
MAX_SERIES = 200
"""Series of one query that are kept."""
MAX_SERVICES = 12
LONGEST_GET = 1500
SERVICE_LABELS = ("service", "service_name", "app", "app_kubernetes_io_name")

PATH = "/api/v1/query_range"
RULES_PATH = "/api/v1/rules"
# 500 and 422 are a query's own failure here; 503 is a time-out or an abort, and passes
TRANSIENT = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True)
class Asked:
    """One query as it is sent."""

    name: str
    query: str
    service: str | None
    """The service that was filled in."""


class Prometheus:
    """One Prometheus, or whatever speaks its query language."""

    def __init__(self, client: HttpClient, name: str = "prometheus") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.METRICS, EvidenceKind.RELATED_ALERTS})
        self._client = client

    async def fetch(self, question: Question) -> Envelope[Any]:
        """The configured queries over the window, for each service of the incident that they name; or what fires.

        Raises:
            SourceError: no query could be answered.
        """
        if question.kind is EvidenceKind.RELATED_ALERTS:
            return await self._alerts(question)
        if not question.queries:
            raise PermanentSourceError("no queries are configured; write some below context.metrics.queries")
        asked = [one for name, query in question.queries.items() for one in self._asked(name, query, question)]
        deadline = Deadline(question.seconds)
        step = choose_step(question.sampled)
        answers = await asyncio.gather(
            *(self._range(one, question.window, step, deadline) for one in asked), return_exceptions=True
        )
        return _envelope(self.name, question, asked, answers, step)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _alerts(self, question: Question) -> Envelope[Any]:
        answer = await self._client.get(RULES_PATH, {"type": "alert"}, deadline=Deadline(question.seconds))
        rules = [rule for group in rows_at(answer, "data", "groups") for rule in items(at(group, "rules"))]
        read = mapped(Collected(rules), lambda rule: list(firing(rule)), "rules")
        own = {item for item in question.alert_labels.items() if item[0] != "severity"}
        rows = [alert for alerts in read.rows for alert in alerts if not own.issuperset(_identity(alert.labels))]
        rows = [alert for alert in rows if alert.started_at < question.window.end][: question.limit]
        return answered(question.kind, self.name, rows, window=question.window, query="firing rules", **read.about())

    def _asked(self, name: str, query: str, question: Question) -> list[Asked]:
        filled = [
            Asked(name, fill(query, service, question.environment), service)
            for service in question.services[:MAX_SERVICES] or (None,)
        ]
        # a query that does not name the service is the same for all of them
        return filled if len({one.query for one in filled}) > 1 or "$service" in query else [_of_all(filled[0])]

    async def _range(self, asked: Asked, window: Window, step: int, deadline: Deadline) -> dict[str, Any]:
        # counted back from the end, so that the newest value, the one that matters, is a point of the answer
        end = math.ceil(window.end.timestamp())
        start = end - math.ceil((end - window.start.timestamp()) / step) * step
        form = {"query": asked.query, "start": start, "end": end, "step": step}
        form["timeout"] = f"{max(1, math.floor(deadline.left()))}s"
        if len(asked.query) > LONGEST_GET:
            answer = await self._client.request("POST", PATH, form=form, deadline=deadline, retry=True)
        else:
            answer = await self._client.get(PATH, form, deadline=deadline)
        body = answer.object()
        data = body.get("data")
        if body.get("status") != "success" or not isinstance(data, dict) or not isinstance(data.get("result"), list):
            raise PermanentSourceError(f"{self.name} answered something that is not Prometheus' API to {asked.name}")
        return body


def build(settings: SourceSettings) -> Prometheus:
    """Prometheus at `connections.prometheus.url`.

    Raises:
        ConfigurationError: the URL is missing or wrong.
    """
    client = HttpClient(
        settings.name,
        settings.url(),
        settings.connection,
        headers=bearer(settings.token),
        dialect=Dialect(transient=_passes),
        transport=settings.transport,
    )
    return Prometheus(client, settings.name)


def choose_step(span: timedelta) -> int:
    """Seconds between points: at most about 500 of them, never more than the API allows."""
    seconds = max(span.total_seconds(), 1.0)
    step = next((step for step in STEPS if seconds / step <= POINTS), STEPS[-1])
    return max(step, math.ceil(seconds / (MAX_POINTS - 1)))


def series_from(result: Mapping[str, Any], asked: Asked, question: Question, source: str) -> tuple[MetricSeries, int]:
    """One series of a matrix, and how many of its samples were infinite.

    Raises:
        ValueError: it is not a series.
    """
    metric, values = result.get("metric"), result.get("values")
    if not isinstance(metric, Mapping) or not isinstance(values, list):
        raise ValueError("not a series of a matrix")
    points = [(float(at), float(value)) for at, value in values if value is not None]
    infinite = sum(math.isinf(value) for _, value in points)
    labels = {str(key): str(value) for key, value in metric.items() if key != "__name__"}
    service = _service(labels, asked, question)
    series = MetricSeries(
        name=asked.name,
        service=service,
        labels={key: value for key, value in labels.items() if not (key in SERVICE_LABELS and value == service)},
        source=source,
        timestamps=tuple(at for at, _ in points),
        # a ratio over nothing is NaN or infinite: nothing was measured
        values=tuple(math.nan if math.isinf(value) else value for _, value in points),
    )
    return series, infinite


def _service(labels: Mapping[str, str], asked: Asked, question: Question) -> str | None:
    named = next((labels[label] for label in SERVICE_LABELS if labels.get(label)), None)
    only = question.services[0] if question.services else None
    return named or asked.service or labels.get("job") or only


def _envelope(
    source: str, question: Question, asked: list[Asked], answers: list[dict[str, Any] | BaseException], step: int
) -> Envelope[Any]:
    read = _Read(source, question)
    for one, answer in zip(asked, answers, strict=True):
        read.take(one, answer)
    if len(read.failed) == len(asked):
        raise read.failed[0]
    return answered(
        question.kind,
        source,
        list(read.series.values()),
        window=question.window,
        query="; ".join(dict.fromkeys(one.query for one in asked)) + f" (step {step} s)",
        truncated=read.truncated,
        partial=bool(read.failed),
        notes=read.notes,
    )


class _Read:
    """What the answers to all queries gave."""

    def __init__(self, source: str, question: Question) -> None:
        self.series: dict[tuple[str | None, str], MetricSeries] = {}
        self.failed: list[BaseException] = []
        self.truncated = False
        self._source = source
        self._question = question
        self._said: list[str] = []
        self._infinite = 0

    @property
    def notes(self) -> tuple[str, ...]:
        infinite = [f"{self._infinite} infinite samples are read as missing"] if self._infinite else []
        many = [f"of a query with more than {MAX_SERIES} series the first {MAX_SERIES} are kept"]
        return tuple(dict.fromkeys([*self._said, *infinite, *(many if self.truncated else [])]))

    def take(self, asked: Asked, answer: dict[str, Any] | BaseException) -> None:
        """Read one answer; a failure of the source is kept, any other is a mistake of ours."""
        if isinstance(answer, BaseException):
            if not isinstance(answer, SourceError):
                raise answer
            self.failed.append(answer)
            self._said.append(f"{asked.name}: {answer}")
            return
        result = answer["data"]["result"]
        self.truncated = self.truncated or len(result) > MAX_SERIES
        self._said += [f"{asked.name}: {warning}" for warning in answer.get("warnings") or ()]
        for item in result[:MAX_SERIES]:
            self._series(asked, item)

    def _series(self, asked: Asked, item: Any) -> None:
        try:
            series, infinite = series_from(item, asked, self._question, self._source)
        except (ValueError, TypeError, AttributeError):
            self._said.append(f"{asked.name}: a series that could not be read was skipped")
            return
        self._infinite += infinite
        if series.timestamps:
            self.series.setdefault((series.service, series.key), series)


def _identity(labels: Mapping[str, str]) -> set[tuple[str, str]]:
    """What of an alert's labels Alertmanager would have sent as well."""
    return {(name, labels[name]) for name in ("alertname", *SERVICE_LABELS) if name in labels}


def _of_all(asked: Asked) -> Asked:
    return Asked(asked.name, asked.query, None)


def _passes(answer: Answer) -> bool:
    return answer.status in TRANSIENT
