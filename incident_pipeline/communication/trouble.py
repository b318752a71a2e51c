"""What is said when the responder itself is in trouble: a run that failed, a part that fell silent.

Belongs here: the sentences, and when each is due. Does not belong here: noticing that a run failed (Dagster's sensor).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from incident_pipeline.communication.audience import to_team
from incident_pipeline.communication.slack_message import reply
from incident_pipeline.config import RemediationSettings
from incident_pipeline.documents.escape import markdown
from incident_pipeline.documents.wording import humanise
from incident_pipeline.models import Incident
from incident_pipeline.storage.inbox.outbox import Draft

SILENCE = timedelta(seconds=60)
"""The daemon's sensors speak every 5 s, a loaded machine's every 20 s; the receiver speaks every 10 s."""
FORGET = timedelta(hours=12)
"""A part that has been silent for so long was switched off."""
_WITHOUT = {
    "daemon": "Alerts are taken and diagnosed at once; polling, retries and closing out wait for it. See daemon.log.",
    "receiver": "No alert can be received by webhook, and senders have to try again. See receiver.log.",
}


def run_failed(settings: RemediationSettings, incident: Incident, attempt: int, error: str) -> list[Draft]:
    """The responder itself failed on an incident; said once for each incident, with the newest reason."""
    text = (
        f"🛑 **The incident responder itself failed** on {markdown(incident.title, 150)} "
        f"({incident.severity.value}, {markdown(incident.incident_id, 140)}).\n\n"
        f"Attempt {attempt}: {markdown(error, 400) or 'no reason was recorded'}\n\n"
        "Nobody has diagnosed it yet; do not wait for it. It is tried again, and given up after five failures."
    )
    if incident.diagnosed_at is not None:
        text = text.replace("Nobody has diagnosed it yet; do not wait for it.", "What was told last still stands.")
    about = {"incident_id": incident.incident_id, "urgency": incident.severity.value}
    return to_team(settings, f"{incident.incident_id}:failed", reply(text, "the responder failed"), **about)


def part_silent(
    settings: RemediationSettings, part: str, spoke: datetime | None, now: datetime, since: datetime
) -> list[Draft]:
    """A message where a part of the responder gives no sign of life; one for each silence.

    Args:
        settings: the team's channel.
        part: daemon or receiver.
        spoke: when it last gave a sign; None: never.
        now: the time.
        since: from when on somebody has listened.
    """
    if spoke is None or now - spoke > FORGET or now - max(spoke, since) <= SILENCE:
        return []
    text = (
        f"🛑 **The incident responder's {part} is silent** since {spoke:%H:%M:%S} UTC.\n\n"
        f"{_WITHOUT[part]} `incident-pipeline up` starts it again by itself; if this stays, look at the machine."
    )
    return to_team(settings, silence_key(part, spoke), reply(text, f"{part} silent"), urgency="P1")


def part_back(settings: RemediationSettings, part: str, spoke: datetime, now: datetime) -> list[Draft]:
    """The same message, once the part speaks again."""
    text = f"✅ The incident responder's {part} is back after {humanise(now - spoke)} of silence."
    return to_team(settings, silence_key(part, spoke), reply(text, f"{part} back"), urgency="P1")


def silence_key(part: str, spoke: datetime) -> str:
    """The key of the message about one silence."""
    return f"silent:{part}:{spoke:%Y%m%dT%H%M%S}"
