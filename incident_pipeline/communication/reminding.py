"""Reminds the team that the next update is due: people were promised one, and nothing has been said since.

Belongs here: when that is so, and the sentence; once for each time that people were told. Does not belong here: the
plan that promises it (`plan.py`), and sending.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from incident_pipeline.application import Application
from incident_pipeline.communication.audience import team_channel, to_team
from incident_pipeline.communication.plan import next_update_due
from incident_pipeline.communication.slack_message import reply

FORGET = timedelta(hours=24)
"""What has been due for longer is nothing that a reminder helps with, such as after a long pause of the responder."""


def remind(application: Application, now: datetime) -> None:
    """Queue a reminder for each incident whose next update is due."""
    settings, inbox = application.scenario.remediation, application.inbox
    if team_channel(settings) is None:
        return
    every = settings.communication.updates
    intervals = [getattr(every, name) for name in type(every).model_fields]
    for incident_id, told_at in inbox.quiet_incidents(now - max(intervals) - FORGET, now - min(intervals)):
        incident = inbox.incident(incident_id)
        due = next_update_due(incident, settings, told_at)
        if due is None or not due <= now < due + FORGET:
            continue
        text = (
            f"⏰ **The next update is due** since {due:%H:%M} UTC: nothing that matters has changed since "
            f"{told_at:%H:%M} UTC. Whoever leads says where it stands."
        )
        key = f"{incident_id}:due:{told_at:%Y%m%dT%H%M%S}"
        about = {"incident_id": incident_id, "urgency": incident.severity.value}
        thread = f"{incident_id}:slack:header"
        inbox.queue_once(to_team(settings, key, reply(text, "an update is due"), thread=thread, **about), now)
