"""Notes on the vendor's own incident or alert: the status update where the one who was paged looks first.

Belongs here: which alerts get a note, how it reads, and the medium that writes it.
Does not belong here: how a vendor takes notes (`connectors/pagerduty.py`, `connectors/opsgenie.py`).

Each note ends with a mark of its own, by which one that may have arrived is found before it is written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Protocol

from incident_pipeline.communication.rich_text import readable
from incident_pipeline.config import RemediationSettings
from incident_pipeline.models import Incident
from incident_pipeline.storage.inbox.outbox import Draft, Message

MOST_ALERTS = 5
"""Notes of one update at one vendor: a storm of alerts is not answered by a storm of notes."""
LONGEST = 20_000
CUT = "\n(cut)"


class TakesNotes(Protocol):
    """A vendor whose alerts can have notes."""

    async def note(self, alert_id: str, text: str, /) -> None:
        """Write a note, once."""
        ...

    async def has_note(self, alert_id: str, mark: str, /) -> bool:
        """Whether there is a note with these words."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class NoteMedium:
    """Notes at one vendor; the target is the vendor's id of the alert."""

    def __init__(self, client: TakesNotes) -> None:
        self._client = client

    async def look_up(self, message: Message) -> dict[str, str] | None:
        """By the mark that the note ends with."""
        found = await self._client.has_note(message.target, mark_of(message.key))
        return _where(message) if found else None

    async def send(self, message: Message) -> dict[str, str]:
        """Write it; a note that is there is never changed."""
        if message.reference is None:
            await self._client.note(message.target, f"{message.content['text']}\n{mark_of(message.key)}")
        return _where(message)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()


def vendor_notes(settings: RemediationSettings, incident: Incident, text: str, sequence: int) -> list[Draft]:
    """The notes that one status update calls for; none where no vendor is named.

    Args:
        settings: who is told.
        incident: its alerts are read: each of a named vendor gets a note, the first few of each.
        text: the update as Markdown.
        sequence: counts what was told of this incident.
    """
    read = readable(text)
    content = {"text": read if len(read) <= LONGEST else read[:LONGEST] + CUT, "about": "note with the status update"}
    about: dict[str, Any] = {
        "incident_id": incident.incident_id,
        "urgency": incident.severity.value,
        "withheld": settings.shadow,
    }
    return [
        Draft(
            key=f"{incident.incident_id}:{vendor}:{alert_id}:{sequence}"[:240],
            medium=vendor,
            target=alert_id,
            content=content,
            **about,
        )
        for vendor in settings.communication.notes
        for alert_id in alerts_of(vendor, incident)
    ]


def mark_of(key: str) -> str:
    """The words by which a note is known as this message."""
    return f"[incident-pipeline {hashlib.sha256(key.encode()).hexdigest()[:12]}]"


def alerts_of(vendor: str, incident: Incident) -> Iterator[str]:
    """The vendor's ids of an incident's alerts, the first few."""
    found = dict.fromkeys(alert.source_id for alert in incident.alerts if alert.source == vendor)
    yield from list(found)[:MOST_ALERTS]


def _where(message: Message) -> dict[str, str]:
    return {"alert": message.target}
