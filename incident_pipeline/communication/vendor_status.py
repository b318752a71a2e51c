"""Acknowledged here, acknowledged there: the vendor's own incident or alert follows what people do with ours.

Belongs here: which alerts follow, and the medium that sets their status. Does not belong here: how a vendor is told
(`connectors/pagerduty.py`, `connectors/opsgenie.py`).

Only what a person did here is passed on, and only forward: a vendor that is as far already is left alone, so nothing is
told back to where it came from, and nothing that is resolved is opened again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from incident_pipeline.communication.vendor_notes import alerts_of
from incident_pipeline.config import RemediationSettings
from incident_pipeline.models import AlertStatus, Incident
from incident_pipeline.storage.inbox.outbox import Draft, Message

SUFFIX = " status"
"""After the vendor's name, the name of the medium."""
_FURTHER = {
    AlertStatus.TRIGGERED: frozenset(AlertStatus),
    AlertStatus.ACKNOWLEDGED: frozenset({AlertStatus.ACKNOWLEDGED, AlertStatus.RESOLVED}),
    AlertStatus.RESOLVED: frozenset({AlertStatus.RESOLVED}),
}


class TakesStatus(Protocol):
    """A vendor whose alerts can be acknowledged and resolved."""

    async def status_of(self, alert_id: str, /) -> AlertStatus:
        """How far the vendor is."""
        ...

    async def set_status(self, alert_id: str, status: AlertStatus, /) -> None:
        """Acknowledge or resolve it, once."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class StatusMedium:
    """The status at one vendor; the target is the vendor's id of the alert."""

    def __init__(self, client: TakesStatus) -> None:
        self._client = client

    async def look_up(self, message: Message) -> dict[str, str] | None:
        """By the status that the vendor tells."""
        wanted = AlertStatus(message.content["status"])
        return _where(message) if await self._client.status_of(message.target) in _FURTHER[wanted] else None

    async def send(self, message: Message) -> dict[str, str]:
        """Set it, unless the vendor is there or further already."""
        found = await self.look_up(message)
        if found is None:
            await self._client.set_status(message.target, AlertStatus(message.content["status"]))
        return _where(message)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()


def vendor_status(
    settings: RemediationSettings, incident: Incident, acknowledged_by: str, resolved_by: str
) -> list[Draft]:
    """What vendors are told of an incident that a person acknowledged or resolved here; none where no vendor is named.

    Args:
        settings: who is told.
        incident: its alerts are read.
        acknowledged_by: the person; empty where nobody did, or the vendor itself.
        resolved_by: likewise.
    """
    about: dict[str, Any] = {
        "incident_id": incident.incident_id,
        "urgency": incident.severity.value,
        "withheld": settings.shadow,
    }
    return [
        Draft(
            key=f"{incident.incident_id}:{vendor}:{alert_id}:{status}"[:240],
            medium=vendor + SUFFIX,
            target=alert_id,
            content={"text": status.value, "status": status.value, "about": f"{status} by {who}"},
            **about,
        )
        for status, who in _done(incident, acknowledged_by, resolved_by)
        for vendor in settings.communication.follow
        for alert_id in alerts_of(vendor, incident)
    ]


def _done(incident: Incident, acknowledged_by: str, resolved_by: str) -> Iterator[tuple[AlertStatus, str]]:
    if acknowledged_by and incident.acknowledged_at is not None:
        yield AlertStatus.ACKNOWLEDGED, acknowledged_by
    if resolved_by and incident.resolved_at is not None:
        yield AlertStatus.RESOLVED, resolved_by


def _where(message: Message) -> dict[str, str]:
    return {"alert": message.target}
