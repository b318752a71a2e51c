"""Who is told what, by which channel, and when they next hear: the communication plan of an incident.

Belongs here: the plan as a part of the remediation; pure. Does not belong here: telling them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from incident_pipeline.communication.audience import is_withheld, team_channel
from incident_pipeline.communication.notices import concerned
from incident_pipeline.communication.status_page import PageDraft
from incident_pipeline.config import RemediationSettings
from incident_pipeline.models import CommunicationStep, Incident, IncidentStatus

_OVER = {IncidentStatus.RESOLVED, IncidentStatus.CLOSED, IncidentStatus.MERGED}


def communication_plan(
    incident: Incident, settings: RemediationSettings, page: PageDraft | None, told_at: datetime
) -> tuple[CommunicationStep, ...]:
    """The plan, the team first.

    Args:
        incident: whose news it is.
        settings: who is told.
        page: the draft for the public page; None: there is no page.
        told_at: when people were last told, from which the next update is counted.
    """
    return tuple(_steps(incident, settings, page, next_update_due(incident, settings, told_at)))


def next_update_due(incident: Incident, settings: RemediationSettings, told_at: datetime) -> datetime | None:
    """When people next hear of an incident, counted from when they were last told; None once it is over."""
    every: timedelta = getattr(settings.communication.updates, incident.severity.value)
    return None if incident.status in _OVER else told_at + every


def _steps(
    incident: Incident, settings: RemediationSettings, page: PageDraft | None, due: datetime | None
) -> Iterator[CommunicationStep]:
    stored = " (stored, not sent: shadow)" if is_withheld(settings) else ""
    channel = team_channel(settings)
    if channel is not None:
        message = f"status update in the incident's thread{stored}"
        yield CommunicationStep(audience="team", channel=f"Slack {channel}", message=message, next_update_due=due)
    stored = " (stored, not sent: shadow)" if settings.shadow else ""
    for vendor in settings.communication.notes:
        message = f"status update as a note on the alert{stored}"
        yield CommunicationStep(audience="responders", channel=vendor, message=message, next_update_due=due)
    for vendor in settings.communication.follow:
        message = f"acknowledged and resolved there when a person does so here{stored}"
        yield CommunicationStep(audience="responders", channel=vendor, message=message)
    for who in concerned(settings.communication, incident):
        ways = [f"Slack {who.slack_channel}" if who.slack_channel else "", "e-mail" if who.emails else ""]
        ways.append(f"webhook {who.webhook}" if who.webhook else "")
        yield CommunicationStep(
            audience=who.name,
            channel=", ".join(filter(None, ways)) or "none configured",
            message=f"notice in plain words when severity or status changes{stored}",
            next_update_due=due,
        )
    if page is not None:
        yield CommunicationStep(
            audience="public", channel="status page, once a person approves it", message=page.body, next_update_due=due
        )
