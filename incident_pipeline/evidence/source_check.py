"""Whether each source can be used: reachable, authorised, which scopes it lacks, whether its clock is right, one row.

Belongs here: asking all sources one cheap question, and reading their answers for `doctor`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.base import Source
from incident_pipeline.connectors.observation import Seen, observing
from incident_pipeline.connectors.projects import EVERY_SERVICE, projects_by_service
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.evidence.service_identity import ServiceNames
from incident_pipeline.models import Envelope, EnvelopeStatus, EvidenceKind, Incident, Service

WINDOW = timedelta(hours=1)
CLOCK_TOLERANCE = 60.0
"""Seconds that a source's clock may differ from ours: half a minute is what networks and caches do."""
MOST_UNPLACED = 20

_SECTIONS = ("deployments", "code", "flags", "metrics", "logs", "traces", "related_alerts")
_SCOPES = ("x-accepted-github-permissions", "x-accepted-oauth-scopes")
_TELLING = ("title", "message", "version", "sha", "name", "id")


class Check(NamedTuple):
    """What one source answered to one question."""

    envelope: Envelope[Any]
    kind: EvidenceKind
    reachable: bool | None
    """None for what is no network's: files, the inbox, git."""
    authorised: bool | None
    missing_scopes: str
    """What a refused request would have needed, where the source says so."""
    clock_off: float | None
    """Seconds that the source's clock is ahead of ours, where that is too much."""
    sample: str
    """One row, in a few words."""


def check_sources(
    scenario: Scenario, sources: Mapping[EvidenceKind, Sequence[Source]], catalogue: Sequence[Service], now: datetime
) -> list[Check]:
    """Ask every source about the last hour and one line of logs."""
    asked = {kind: some for kind, some in sources.items() if some}
    services = _a_service(scenario, catalogue)
    incident = Incident(incident_id="doctor", title="doctor", started_at=now, services=services)
    with observing() as seen:
        found = gather_now(asked, asked, incident, _cheap(scenario), now, catalogue=catalogue)
    return [_check(kind, one, seen) for kind, gathered in found.items() for one in gathered.envelopes]


def unplaced_services(checks: Iterable[Check], catalogue: Sequence[Service]) -> list[str]:
    """The services of the rows that the catalogue does not have for sure, each with what it could be."""
    names = ServiceNames(catalogue)
    every = [
        getattr(row, "service", None)
        for check in checks
        if check.kind is not EvidenceKind.SERVICE_GRAPH
        for row in check.envelope.rows
    ]
    found = []
    for name in names.unplaced(every)[:MOST_UNPLACED]:
        match = names.resolve(name)
        found.append(f"{name} (perhaps {match.service}: {match.how}, {match.certainty:.0%} sure)" if match else name)
    return found


def _check(kind: EvidenceKind, envelope: Envelope[Any], seen: Sequence[Seen]) -> Check:
    own = [one for one in seen if one.source == envelope.source]
    refused = [one for one in own if one.status in (401, 403)]
    failed = envelope.status is EnvelopeStatus.UNAVAILABLE
    networked = bool(own) or (failed and "reached" in (envelope.error or ""))
    return Check(
        envelope=envelope,
        kind=kind,
        reachable=bool(own) if networked else None,
        authorised=not (failed and refused) if own else None,
        missing_scopes=next((text for one in refused for key in _SCOPES if (text := one.headers.get(key))), ""),
        clock_off=_clock_off(own),
        sample=_sample(envelope.rows),
    )


def _clock_off(seen: Sequence[Seen]) -> float | None:
    for one in seen:
        try:
            off = parsedate_to_datetime(one.headers.get("date", "")).timestamp() - one.at
        except (ValueError, TypeError):
            continue
        return round(off) if abs(off) > CLOCK_TOLERANCE else None
    return None


def _sample(rows: Sequence[Any]) -> str:
    if not rows:
        return ""
    row = rows[-1]
    told = next((str(text) for name in _TELLING if (text := getattr(row, name, None))), "")
    service = getattr(row, "service", None)
    return " ".join(f"{service}: {told}".split())[:80] if service else " ".join(told.split())[:80]


def _a_service(scenario: Scenario, catalogue: Sequence[Service]) -> tuple[str, ...]:
    """One service that is known by name, for questions that need one."""
    known = [*projects_by_service(scenario), *(service.name for service in catalogue)]
    return tuple(name for name in known if name != EVERY_SERVICE)[:1]


def _cheap(scenario: Scenario) -> Scenario:
    context = scenario.context
    short = {name: getattr(context, name).model_copy(update={"lookback": WINDOW}) for name in _SECTIONS}
    short["logs"] = short["logs"].model_copy(update={"max_entries": 1})
    short["metrics"] = short["metrics"].model_copy(update={"baseline": ()})
    return scenario.model_copy(update={"context": context.model_copy(update=short)})
