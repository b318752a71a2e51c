"""Alertmanager: its webhook (version 4) and the alerts of its API v2.

Endpoints: `GET /api/v2/alerts`, `/api/v2/silences` (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml).
Alerts carry `endsAt` of year 1 while they fire (webhook) or an expiry in the future (API); only the status tells. The
webhook writes nanoseconds, the API milliseconds: the deduplication key is cut to milliseconds, so that the same alert
is one alert whichever way it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.connectors.base import Polled, Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer
from incident_pipeline.connectors.promql import quote
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import InputError, SourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.intake.alert_fields import MAX_LABEL, MAX_SUMMARY, digest, one_line, severity_of, text_of
from incident_pipeline.models import Alert, AlertStatus, Envelope, EvidenceKind, Severity
from incident_pipeline.moments import format_moment, parse_moment

SERVICE_LABELS = ("service", "service_name", "app", "app_kubernetes_io_name", "application", "job")
ENVIRONMENT_LABELS = ("environment", "env", "stage")
MOST_SILENCES = 10


class Alertmanager:
    """The alerts that one Alertmanager holds."""

    def __init__(self, client: HttpClient, name: str = "alertmanager") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.RELATED_ALERTS})
        self._client = client

    async def fetch(self, question: Question) -> Envelope[Any]:
        """What fires now and began before the window's end; Alertmanager keeps no alert that is over.

        Raises:
            SourceError: it did not answer.
        """
        matchers = environment_matchers(question.alert_labels)
        deadline = Deadline(question.seconds)
        (rows, notes), silences = await asyncio.gather(self._active(matchers, deadline), self._silences(deadline))
        notes += silences
        rows = [alert for alert in rows if alert.started_at < question.window.end]
        rows.sort(key=lambda alert: abs(alert.started_at - question.around))
        return answered(
            question.kind,
            self.name,
            rows[: question.limit],
            window=question.window,
            query="active alerts" + "".join(f", {matcher}" for matcher in matchers),
            truncated=len(rows) > question.limit,
            notes=tuple(notes),
        )

    async def poll(self, cursor: str | None, now: datetime, seconds: float) -> Polled:  # noqa: ARG002
        """All that fires; Alertmanager tells of the end of an alert by its webhook alone.

        Raises:
            SourceError: it did not answer.
        """
        rows, notes = await self._active([], Deadline(seconds))
        return Polled(alerts=tuple(rows), cursor=format_moment(now), notes=tuple(notes))

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _silences(self, deadline: Deadline) -> list[str]:
        """What is kept quiet now, in sentences: what is silent may be down all the same."""
        try:
            listed = (await self._client.get("/api/v2/silences", deadline=deadline)).list()
        except SourceError as error:
            return [f"silences were not read: {error}"]
        active = [text for one in listed if at(one, "status", "state") == "active" and (text := silence_text(one))]
        more = [f"{len(active) - MOST_SILENCES} more silences are active"] if len(active) > MOST_SILENCES else []
        return [*active[:MOST_SILENCES], *more]

    async def _active(self, matchers: list[str], deadline: Deadline) -> tuple[list[Alert], list[str]]:
        params = [("active", "true"), ("silenced", "false"), ("inhibited", "false")]
        params += [("filter", matcher) for matcher in matchers]
        answer = await self._client.get("/api/v2/alerts", params, deadline=deadline)
        rows, notes = [], []
        for number, item in enumerate(answer.list(), start=1):
            try:
                rows.append(alert_from(item if isinstance(item, Mapping) else {}))
            except ValueError as error:
                notes.append(f"alert {number} was skipped: {error}")
        return rows, notes


def build(settings: SourceSettings) -> Alertmanager:
    """Alertmanager at `connections.alertmanager.url`.

    Raises:
        ConfigurationError: the URL is missing or wrong.
    """
    headers = bearer(settings.token)
    client = HttpClient(
        settings.name, settings.url(), settings.connection, headers=headers, transport=settings.transport
    )
    return Alertmanager(client, settings.name)


def silence_text(item: Any) -> str | None:
    """One silence as a sentence; None where it matches nothing."""
    operators = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
    parts = [
        f"{one_line(at(m, 'name'))}"
        f"{operators[at(m, 'isEqual') is not False, at(m, 'isRegex') is True]}{quote(str(at(m, 'value') or ''))}"
        for m in items(at(item, "matchers"))
        if one_line(at(m, "name"))
    ]
    if not parts:
        return None
    until, who, why = (one_line(at(item, key), 120) for key in ("endsAt", "createdBy", "comment"))
    about = [*([f"until {until}"] if until else []), *([f"by {who.partition('@')[0]}"] if who else [])]
    return f"silenced: {', '.join([*parts, *about])}" + (f" ({why})" if why else "")


def environment_matchers(labels: Mapping[str, str]) -> list[str]:
    """Matchers for the environment that the incident's own alert names, by the label that it uses."""
    return [f"{label}={quote(labels[label])}" for label in ENVIRONMENT_LABELS if labels.get(label)][:1]


def alerts_from_webhook(body: Any, *, received_at: datetime | None = None) -> list[Alert]:
    """Read the alerts of a webhook body; each by its own status, for a firing group can hold resolved ones.

    Raises:
        InputError: one sentence that names the field.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("alerts"), list):
        raise InputError("alerts: expected an Alertmanager webhook body with a list of alerts")
    return [_numbered(item, number, received_at) for number, item in enumerate(body["alerts"], start=1)]


def truncated_alerts(body: Mapping[str, Any]) -> int:
    """How many alerts of the group Alertmanager left out of this body (`max_alerts` of its configuration)."""
    count = body.get("truncatedAlerts")
    return count if isinstance(count, int) and count > 0 else 0


def alert_from(item: Mapping[str, Any], received_at: datetime | None = None) -> Alert:
    """Read one alert, from the webhook or from API v2.

    Raises:
        ValueError: a sentence that names the field.
    """
    labels, annotations = _texts(item, "labels"), _texts(item, "annotations")
    started_at = _moment(item, "startsAt")
    if started_at is None:
        raise ValueError("startsAt: missing")
    name = labels.get("alertname") or "alert without a name"
    fingerprint = one_line(item.get("fingerprint")) or digest(*sorted(labels.items()))[:16]
    status = _status(item)
    ended = _moment(item, "endsAt") if status is AlertStatus.RESOLVED else None
    word = labels.get("severity")
    return Alert(
        source="alertmanager",
        source_id=fingerprint,
        dedup_key=f"{fingerprint}:{started_at:%Y%m%dT%H%M%S}.{started_at.microsecond // 1000:03d}",
        title=one_line(annotations.get("summary")) or one_line(name) or name,
        summary=text_of(annotations.get("description") or annotations.get("message"), MAX_SUMMARY) or "",
        severity=(severity_of(word) if word else None) or Severity.P3,
        status=status,
        service=next((labels[label] for label in SERVICE_LABELS if labels.get(label)), None),
        environment=next((labels[label] for label in ENVIRONMENT_LABELS if labels.get(label)), None),
        labels={**{k: v for k, v in annotations.items() if k not in ("summary", "description")}, **labels},
        started_at=started_at,
        received_at=received_at,
        resolved_at=ended if ended and ended >= started_at else None,
        url=_url(item.get("generatorURL")),
        raw=dict(item),
    )


def _numbered(item: Any, number: int, received_at: datetime | None) -> Alert:
    if not isinstance(item, Mapping):
        raise InputError(f"alerts[{number}]: expected a JSON object")
    try:
        return alert_from(item, received_at)
    except ValueError as error:
        raise InputError(f"alerts[{number}].{error}") from error


def _status(item: Mapping[str, Any]) -> AlertStatus:
    status = item.get("status")  # of API v2 an object, and resolved alerts are not in it
    return AlertStatus.RESOLVED if status == "resolved" else AlertStatus.TRIGGERED


def _texts(item: Mapping[str, Any], field: str) -> dict[str, str]:
    found = item.get(field) or {}
    if not isinstance(found, Mapping):
        raise ValueError(f"{field}: expected an object of texts")
    texts = {str(key): text_of(value) for key, value in found.items()}
    return {key: text for key, text in texts.items() if text is not None}


def _moment(item: Mapping[str, Any], field: str) -> datetime | None:
    value = item.get(field)
    if value is None or value == "" or str(value).startswith("0001-"):
        return None
    try:
        return parse_moment(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def _url(value: Any) -> str | None:
    url = one_line(value, MAX_LABEL)
    return url if url and url.startswith(("http://", "https://")) else None
