"""How times, spans and names read in every document.

Belongs here: small, pure wording shared by the status update, the timeline and the postmortem.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from incident_pipeline.models import Deployment, EvidenceKind, FlagChange

_SOURCE_NAMES = {
    "alertmanager": "Alertmanager",
    "cloudwatch": "CloudWatch",
    "custom": "custom webhook",
    "datadog": "Datadog",
    "grafana": "Grafana",
    "manual": "by hand",
    "opsgenie": "Opsgenie",
    "pagerduty": "PagerDuty",
    "prometheus": "Prometheus",
    "slack": "Slack",
}
_KIND_NAMES = {
    EvidenceKind.CODE_CHANGES: "code changes",
    EvidenceKind.FLAG_CHANGES: "feature flags",
    EvidenceKind.RELATED_ALERTS: "related alerts",
    EvidenceKind.SERVICE_GRAPH: "service catalogue",
    EvidenceKind.KUBERNETES_STATE: "state of the cluster",
    EvidenceKind.ON_CALL: "on-call rota",
}


def source_name(source: str) -> str:
    """How people call a source: `pagerduty` is PagerDuty."""
    return _SOURCE_NAMES.get(source.strip().lower(), source)


def kind_name(kind: str) -> str:
    """How people call a kind of evidence."""
    return _KIND_NAMES.get(EvidenceKind(kind), kind) if kind in set(EvidenceKind) else kind


def humanise(span: timedelta) -> str:
    """A span in at most two units: "less than a minute", "23 minutes", "1 hour 5 minutes", "2 days 3 hours"."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return count(minutes, "minute")
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return count(hours, "hour") + (f" {count(minutes, 'minute')}" if minutes else "")
    days, hours = divmod(hours, 24)
    return count(days, "day") + (f" {count(hours, 'hour')}" if hours else "")


def count(number: int, noun: str) -> str:
    """`1 minute`, `2 minutes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def clock(at: datetime, near: datetime) -> str:
    """`14:32`; with its date where that is not the day of `near`."""
    return f"{at:%H:%M}" if at.date() == near.date() else f"{at:%Y-%m-%d %H:%M}"


def percent(probability: float) -> str:
    """A probability as a whole percentage; never 0 % or 100 %, for nothing here is certain."""
    return f"{min(99, max(1, round(probability * 100)))}%"


def deployment_text(deployment: Deployment, own_services: frozenset[str]) -> str:
    """`Deployment deploy-abc123 completed`; with its service where that is not one of the incident's."""
    status = (deployment.status or "").lower()
    if status in {"failed", "failure", "error"}:
        outcome = "failed"
    elif "rolled" in status:
        outcome = "rolled back"
    else:
        outcome = "completed" if deployment.finished_at else "started"
    foreign = deployment.service and deployment.service not in own_services
    return f"Deployment {deployment.id}{f' of {deployment.service}' if foreign else ''} {outcome}"


def flag_text(flag: FlagChange) -> str:
    """`Feature flag new_checkout changed from off to on`."""
    before = f" from {flag.previous_value}" if flag.previous_value is not None else ""
    after = f" to {flag.value}" if flag.value is not None else ""
    return f"Feature flag {flag.name} changed{before}{after}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; each once."""
    distinct = list(dict.fromkeys(names))
    return " and ".join([", ".join(distinct[:-1]), distinct[-1]] if len(distinct) > 1 else distinct)


def elapsed(start: datetime, end: datetime) -> str:
    """The span between two times as they are shown, to the minute: from 14:32 to 14:55 are 23 minutes."""
    return humanise(end.replace(second=0, microsecond=0) - start.replace(second=0, microsecond=0))
