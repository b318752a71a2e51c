"""Who outside the team is told what, and when.

Belongs here: which stakeholders an incident concerns, what of its news they hear, and whom the hour spares; pure.
Does not belong here: how a notice reads (`stakeholders.py`), and sending it.

Stakeholders hear that it began, that its severity or status changed, and that it is over; never of causes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from incident_pipeline.communication.news import News
from incident_pipeline.communication.slack_message import reply
from incident_pipeline.config import Communication, RemediationSettings, Stakeholder
from incident_pipeline.documents.escape import clean
from incident_pipeline.hours import end_of_span
from incident_pipeline.models import Incident
from incident_pipeline.storage.inbox.outbox import Draft

CONCERNS_STAKEHOLDERS = frozenset({"new", "status", "severity"})


def concerned(settings: Communication, incident: Incident) -> list[Stakeholder]:
    """Those who hear of incidents of this severity and these services."""
    if not settings.stakeholder_notify:
        return []
    own = {service.casefold() for service in incident.services}
    return [
        who
        for who in settings.stakeholders
        if incident.severity in who.severities and (not who.services or own & {s.casefold() for s in who.services})
    ]


def notices(
    settings: RemediationSettings,
    incident: Incident,
    text: str,
    changed: Sequence[News],
    sequence: int,
    now: datetime,
) -> list[Draft]:
    """The notices that news of an incident calls for; none where it does not concern stakeholders.

    Args:
        settings: who they are, and whether anybody is told at all.
        incident: as it is now.
        text: the notice as Markdown.
        changed: what is new.
        sequence: counts what was told of this incident.
        now: for quiet hours.
    """
    if not CONCERNS_STAKEHOLDERS & {line.kind for line in changed}:
        return []
    drafts = []
    for who in concerned(settings.communication, incident):
        about = {
            "incident_id": incident.incident_id,
            "urgency": incident.severity.value,
            "due_at": _not_before(who, incident, now),
            "withheld": settings.shadow,
        }
        for medium, target, content in _ways(who, incident, text):
            key = f"{incident.incident_id}:{who.name}:{medium}:{target}:{sequence}"[:240]
            drafts.append(Draft(key=key, medium=medium, target=target, content=content, **about))
    return drafts


def _ways(who: Stakeholder, incident: Incident, text: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    about = f"notice to {clean(who.name, 60)}"
    if who.slack_channel:
        yield "slack", who.slack_channel, reply(text, about)
    subject = f"[{incident.severity.value}] {clean(incident.title, 120)}: {incident.status.value}"
    if who.emails:
        # the addresses stay in the configuration
        yield "email", who.name, {"subject": subject, "markdown": text, "thread": incident.incident_id, "about": about}
    if who.webhook:
        yield "webhook", who.webhook, {**_facts(incident), "markdown": text, "about": about}


def _facts(incident: Incident) -> dict[str, Any]:
    return {
        "incident_id": incident.incident_id,
        "title": clean(incident.title, 200),
        "status": incident.status.value,
        "severity": incident.severity.value,
        "services": list(incident.services),
        "started_at": incident.started_at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
    }


def _not_before(who: Stakeholder, incident: Incident, now: datetime) -> datetime | None:
    quiet = who.quiet_hours
    if quiet is None or incident.severity in quiet.unless:
        return None
    return end_of_span(quiet.start, quiet.end, quiet.timezone, now)
