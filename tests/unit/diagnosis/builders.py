"""Small evidence, built in one line each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_pipeline.models import (
    Alert,
    CodeChange,
    Deployment,
    Envelope,
    Evidence,
    EvidenceKind,
    FlagChange,
    Gathered,
    Incident,
    LogEntry,
    MetricSeries,
    Service,
    Span,
)

NOW = datetime(2026, 3, 4, 14, 35, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """That many minutes after the alert."""
    return NOW + timedelta(minutes=minutes)


def incident(service: str = "payments", title: str = "Payment errors", summary: str = "") -> Incident:
    alert = Alert(
        source="custom", source_id="1", dedup_key="1", title=title, summary=summary, service=service, started_at=NOW
    )
    return Incident(
        incident_id="INC-20260304-143500-payments-4f2a",
        title=title,
        services=(service,),
        alerts=(alert,),
        started_at=NOW,
    )


def series(service: str, name: str, values: Sequence[float], start: float = -30, step: float = 1, **labels: str) -> Any:
    times = tuple((at(start) + timedelta(minutes=step * i)).timestamp() for i in range(len(values)))
    return MetricSeries(service=service, name=name, labels=labels, timestamps=times, values=tuple(values))


def log(minutes: float, message: str, service: str = "payments", level: str = "error", **attributes: Any) -> LogEntry:
    return LogEntry(timestamp=at(minutes), service=service, level=level, message=message, attributes=attributes)


def deployment(name: str, minutes: float, service: str = "payments", **about: Any) -> Deployment:
    return Deployment(id=name, service=service, finished_at=at(minutes), status="succeeded", **about)


def evidence(
    deployments: Sequence[Deployment] | None = None,
    changes: Sequence[CodeChange] | None = None,
    flags: Sequence[FlagChange] | None = None,
    metrics: Sequence[MetricSeries] | None = None,
    logs: Sequence[LogEntry] | None = None,
    traces: Sequence[Span] | None = None,
    alerts: Sequence[Alert] | None = None,
    services: Sequence[Service] | None = None,
) -> Evidence:
    """Evidence whose unnamed kinds no source answered for."""
    rows: dict[EvidenceKind, Sequence[Any] | None] = {
        EvidenceKind.DEPLOYMENTS: deployments,
        EvidenceKind.CODE_CHANGES: changes,
        EvidenceKind.FLAG_CHANGES: flags,
        EvidenceKind.METRICS: metrics,
        EvidenceKind.LOGS: logs,
        EvidenceKind.TRACES: traces,
        EvidenceKind.RELATED_ALERTS: alerts,
        EvidenceKind.SERVICE_GRAPH: services,
    }
    gathered = {
        kind.value: Gathered(kind=kind, envelopes=() if found is None else (Envelope.of("test", found),))
        for kind, found in rows.items()
    }
    return Evidence(**gathered)
