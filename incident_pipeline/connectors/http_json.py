"""Any system that answers JSON over HTTP, described in the configuration instead of in code.

Options of the connection: `kind` (deployments, code_changes, flag_changes, metrics, logs or related_alerts), `path`
with `$service`, `$environment`, `$start` and `$end` (ISO 8601), `$start_s`, `$end_s`, `$start_ms`, `$end_ms`, each
encoded for a URL; `rows`, a JMESPath expression that finds the list; and `field.<name>`, a JMESPath expression on
each row for each field, by the names that incident folders use. A metric's row has timestamp, metric, value and
perhaps service. Where the path names `$service`, each service of the incident is asked about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from jmespath.exceptions import JMESPathError

from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer
from incident_pipeline.connectors.paging import Collected, mapped, together
from incident_pipeline.connectors.shapes import compiled
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.focus_areas import with_focus_areas
from incident_pipeline.incident_folder import rows as folder_rows
from incident_pipeline.incident_folder.cut import rows_until
from incident_pipeline.incident_folder.metric_csv import split_labels
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.models import Envelope, EvidenceKind, MetricSeries
from incident_pipeline.moments import format_moment, parse_moment

ROW_READERS: dict[EvidenceKind, Callable[[Mapping[str, Any]], Any]] = {
    EvidenceKind.DEPLOYMENTS: folder_rows.deployment,
    EvidenceKind.CODE_CHANGES: folder_rows.code_change,
    EvidenceKind.FLAG_CHANGES: folder_rows.flag_change,
    EvidenceKind.LOGS: folder_rows.log_entry,
    EvidenceKind.RELATED_ALERTS: folder_rows.alert,
}
KINDS = frozenset({*ROW_READERS, EvidenceKind.METRICS})

_VARIABLE = re.compile(r"\$(service|environment|start_ms|end_ms|start_s|end_s|start|end)(?![A-Za-z0-9_])")
_FIELD = "field."


class HttpJson:
    """One address that answers rows of one kind."""

    def __init__(
        self, client: HttpClient, name: str, kind: EvidenceKind, path: str, rows: Any, fields: Mapping[str, Any]
    ) -> None:
        self.name = name
        self.kinds = frozenset({kind})
        self._client = client
        self._path = path
        self._rows = rows
        self._fields = dict(fields)

    async def fetch(self, question: Question) -> Envelope[Any]:
        """The rows, until the window's end.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(question.seconds)
        services = question.services if "$service" in self._path else ()
        asked = {service or self.name: self._ask(service, question, deadline) for service in services or (None,)}
        found = await together(asked)
        rows: Any = found.rows
        if question.kind is EvidenceKind.METRICS:
            rows = _series(rows, self.name)
        elif question.kind is EvidenceKind.CODE_CHANGES:
            rows = with_focus_areas(rows, question.focus_areas)
        rows = rows_until(question.kind, rows, question.window.end)[: max(question.limit, 1)]
        about = {"window": question.window, "query": self._path, **found.about()}
        return answered(question.kind, self.name, rows, **about)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _ask(self, service: str | None, question: Question, deadline: Deadline) -> Collected[Any]:
        answer = await self._client.get(_filled(self._path, service, question), deadline=deadline)
        items = _searched(self._rows, answer.json(), self.name, "rows")
        if not isinstance(items, list):
            where = f"connections.{self.name}.options.rows"
            raise PermanentSourceError(
                f"{self.name} answered without a list at {self._rows.expression!r}; check {where}"
            )
        read = _metric_row if question.kind is EvidenceKind.METRICS else ROW_READERS[question.kind]
        return mapped(Collected(items), lambda item: read(self._row(item, service)), "rows")

    def _row(self, item: Any, service: str | None) -> dict[str, Any]:
        fields = {name: _searched(found, item, self.name, name) for name, found in self._fields.items()}
        return {"service": service, **{name: value for name, value in fields.items() if value is not None}}


def build(settings: SourceSettings) -> HttpJson:
    """The source that `connections.<name>.options` describes.

    Raises:
        ConfigurationError: something of it is missing or wrong.
    """
    options = settings.connection.options
    key = f"connections.{settings.name}.options"
    expressions = {
        name: compiled(text, f"{key}.{name}")
        for name, text in options.items()
        if name == "rows" or name.startswith(_FIELD)
    }
    rows = expressions.pop("rows", None)
    if rows is None or not expressions:
        raise ConfigurationError(f"{key}: write rows (where the list is) and field.<name> (where each field is)")
    client = HttpClient(
        settings.name,
        settings.url(),
        settings.connection,
        headers=bearer(settings.token),
        transport=settings.transport,
    )
    fields = {name.removeprefix(_FIELD): found for name, found in expressions.items()}
    return HttpJson(client, settings.name, kind_of(settings.name, options), options.get("path", ""), rows, fields)


def kind_of(name: str, options: Mapping[str, str]) -> EvidenceKind:
    """The kind of evidence that the options name.

    Raises:
        ConfigurationError: none, or one that such a source cannot have.
    """
    kind = next((kind for kind in KINDS if kind.value == options.get("kind")), None)
    if kind is None:
        known = ", ".join(sorted(KINDS))
        raise ConfigurationError(f"connections.{name}.options.kind: write one of {known}")
    return kind


def _filled(path: str, service: str | None, question: Question) -> str:
    start, end = question.window.start, question.window.end
    values = {
        "service": service or "",
        "environment": question.environment or "",
        "start": format_moment(start),
        "end": format_moment(end),
        "start_s": str(int(start.timestamp())),
        "end_s": str(int(end.timestamp())),
        "start_ms": str(int(start.timestamp() * 1000)),
        "end_ms": str(int(end.timestamp() * 1000)),
    }
    return _VARIABLE.sub(lambda found: quote(values[found[1]], safe=""), path)


def _searched(expression: Any, value: Any, name: str, field: str) -> Any:
    try:
        return expression.search(value)
    except (JMESPathError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise PermanentSourceError(f"{name}: {expression.expression!r} for {field} failed ({reason})") from error


def _metric_row(row: Mapping[str, Any]) -> tuple[str | None, str, float, float]:
    metric = one_line(row["metric"])
    if metric is None:
        raise ValueError("metric: missing")
    return one_line(row.get("service")), metric, parse_moment(row["timestamp"]).timestamp(), float(row["value"])


def _series(rows: list[tuple[str | None, str, float, float]], source: str) -> list[MetricSeries]:
    points: dict[tuple[str | None, str], dict[float, float]] = {}
    for service, metric, moment, value in rows:
        points.setdefault((service, metric), {})[moment] = value
    found = []
    for (service, metric), samples in points.items():
        name, labels = split_labels(metric)
        moments = sorted(samples)
        found.append(
            MetricSeries(
                name=name,
                service=service,
                labels=labels,
                source=source,
                timestamps=tuple(moments),
                values=tuple(samples[moment] for moment in moments),
            )
        )
    return found
