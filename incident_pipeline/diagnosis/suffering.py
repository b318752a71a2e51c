"""Who suffers, and since when: the services that show something bad of their own.

Belongs here: the moment at which each service began to fail, and the blast radius.
Does not belong here: where it starts (`ranking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from incident_pipeline.diagnosis.measurement import Measured
from incident_pipeline.diagnosis.series import Quantity
from incident_pipeline.diagnosis.service_features import earliest
from incident_pipeline.models import Incident, LogPattern


def failing_since(measured: Measured, patterns: Iterable[LogPattern]) -> dict[str, datetime]:
    """When each service first showed something clearly bad.

    A service that only reports on others (an agent, a scheduler) has no failing series and no errors of its own.
    """
    onset = measured.onset.timestamp()
    all_bad = earliest(measured.shifts, onset)
    hurt = earliest((s for s in measured.shifts if s.kind is not Quantity.RESOURCE), onset)
    told: dict[str, datetime] = {}
    for pattern in patterns:
        if pattern.service and pattern.score >= 0.4:
            told[pattern.service] = min(told.get(pattern.service, pattern.first_seen), pattern.first_seen)
    failing = {p.service for p in patterns if p.score >= 0.5 and _is_error(p)}
    since: dict[str, datetime] = {}
    for service in sorted({*all_bad, *told}):
        if service in hurt or service in failing or (service in all_bad and service in told):
            moments = [told[service]] if service in told else []
            moments += [datetime.fromtimestamp(onset + all_bad[service], tz=UTC)] if service in all_bad else []
            since[service] = min(moments)
    return since


def _is_error(pattern: LogPattern) -> bool:
    return (pattern.level or "error").lower() not in {"info", "debug", "trace", "warn", "warning", "notice"}


def blast_radius(first: str | None, since: Mapping[str, datetime], incident: Incident) -> tuple[str, ...]:
    """The services that suffer beside the first: those that show something bad, earliest first."""
    hurt = sorted((at, service) for service, at in since.items() if service != first)
    names = [service for _, service in hurt]
    names += [service for service in incident.services if service not in names and service != first]
    return tuple(names)
