"""One small incident in memory, for tests of what is said and proposed about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from incident_pipeline.models import (
    Alert,
    Category,
    CausedBy,
    CodeChange,
    Deployment,
    Diagnosis,
    Envelope,
    Evidence,
    EvidenceKind,
    FlagChange,
    Gathered,
    Hypothesis,
    Incident,
    LogPattern,
    SeriesAnomaly,
    Service,
    Severity,
    Symptoms,
)

SHA = "0123456789abcdef0123456789abcdef01234567"


def at(hour: int, minute: int, day: int = 17) -> datetime:
    """A time of the incident's day."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def alert(**more: Any) -> Alert:
    """The alert that started it."""
    fields: dict[str, Any] = {
        "source": "pagerduty",
        "source_id": "Q1",
        "dedup_key": "payments-5xx",
        "title": "Payment Processing Errors",
        "summary": "Payment API returning 500 errors for ~15% of requests",
        "severity": Severity.P1,
        "service": "payments",
        "environment": "production",
        "started_at": at(14, 35),
    }
    return Alert.model_validate(fields | more)


def incident(alerts: Sequence[Alert] | None = None, **more: Any) -> Incident:
    """The incident of that alert."""
    alerts = (alert(),) if alerts is None else tuple(alerts)
    fields: dict[str, Any] = {
        "incident_id": "INC-20260317-143500-payments-4f2a",
        "title": alerts[0].title if alerts else "Payment Processing Errors",
        "severity": Severity.P1,
        "services": ("payments",),
        "environment": "production",
        "alerts": alerts,
        "started_at": at(14, 35),
    }
    return Incident.model_validate(fields | more)


def deployment(**more: Any) -> Deployment:
    """The deployment to blame."""
    fields: dict[str, Any] = {
        "id": "deploy-abc123",
        "service": "payments",
        "version": "v2.3.5",
        "previous_version": "v2.3.4",
        "commit_sha": SHA,
        "status": "success",
        "finished_at": at(14, 28),
    }
    return Deployment.model_validate(fields | more)


def evidence(**rows: Sequence[Any]) -> Evidence:
    """Evidence with these rows; a kind that is given no rows is empty, one that is not given is a gap."""
    given = {
        kind: Gathered(kind=EvidenceKind(kind), envelopes=(Envelope.of("test", tuple(values)),))
        for kind, values in rows.items()
    }
    return Evidence.model_validate(given)


def full_evidence() -> Evidence:
    """The deployment, its commit, the catalogue."""
    return evidence(
        deployments=[deployment()],
        code_changes=[
            CodeChange(sha=SHA, service="payments", files=("tests/test_validation.py", "payments/validation.py"))
        ],
        flag_changes=[
            FlagChange(name="new_checkout", service="payments", value="on", previous_value="off", changed_at=at(14, 20))
        ],
        service_graph=[Service(name="payments", owner="payment-team")],
    )


def hypothesis(**more: Any) -> Hypothesis:
    """The deployment is to blame."""
    fields: dict[str, Any] = {
        "category": Category.DEPLOYMENT_ISSUE,
        "service": "payments",
        "description": "Recent deployment (deploy-abc123 at 14:28 UTC)",
        "confidence": 0.75,
        "evidence": (
            "Error spike began 4 minutes after deployment",
            "Errors concentrated in new payment validation code",
            "No infrastructure anomalies detected",
        ),
        "caused_by": CausedBy(kind="deployment", id="deploy-abc123"),
        "approach": "change_correlation",
    }
    return Hypothesis.model_validate(fields | more)


def diagnosis(*hypotheses: Hypothesis, **more: Any) -> Diagnosis:
    """A diagnosis of these hypotheses, of the deployment's where none is given."""
    fields: dict[str, Any] = {
        "summary": "Payment Processing Errors",
        "hypotheses": hypotheses or (hypothesis(),),
        "onset": at(14, 32),
        "first_failing_service": "payments",
        "blast_radius": ("payments", "checkout"),
    }
    return Diagnosis.model_validate(fields | more)


def symptoms(**more: Any) -> Symptoms:
    """Errors since 14:32."""
    fields: dict[str, Any] = {
        "onset": at(14, 32),
        "first_failing_service": "payments",
        "anomalies": (
            SeriesAnomaly(
                service="payments", series="error_ratio", onset=at(14, 32), before=0.002, after=0.15, score=80.0
            ),
        ),
        "log_patterns": (
            LogPattern(
                pattern_id="p1",
                template="POST /v1/charges 500: <*>",
                service="payments",
                level="error",
                count=180,
                first_seen=at(14, 32),
                last_seen=at(14, 55),
                example="POST /v1/charges 500: AttributeError",
                score=0.9,
            ),
        ),
    }
    return Symptoms.model_validate(fields | more)
