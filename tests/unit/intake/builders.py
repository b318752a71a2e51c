"""Short ways to say what an alert is, for tests of intake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident_pipeline.config import Alerts
from incident_pipeline.models import Alert, Service
from incident_pipeline.storage.inbox import Claim, Inbox

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
LEASE = timedelta(seconds=90)
SETTINGS = Alerts()


def at(seconds: float) -> datetime:
    """That long after the first alert."""
    return NOW + timedelta(seconds=seconds)


def alert(name: str, service: str | None = "payments", seconds: float = 0, **other: Any) -> Alert:
    """An alert whose source id and dedup key are its name."""
    fields: dict[str, Any] = {
        "source": "custom",
        "source_id": name,
        "dedup_key": name,
        "title": f"{service or 'something'} is slow",
        "severity": "P2",
        "service": service,
        "environment": "production",
        "started_at": at(seconds),
    }
    return Alert(**{**fields, **other})


def resolved(name: str, service: str | None = "payments", seconds: float = 0, until: float = 60, **other: Any) -> Alert:
    """The end of an alert."""
    return alert(name, service, seconds, status="resolved", resolved_at=at(until), **other)


def catalogue(**calls: str) -> tuple[Service, ...]:
    """`catalogue(checkout="payments,cart")`: who calls whom."""
    return tuple(Service(name=name, depends_on=tuple(called.split(","))) for name, called in calls.items())


class Intake:
    """An inbox with a clock of its own."""

    def __init__(self, path: Path, services: tuple[Service, ...] = ()) -> None:
        self.inbox = Inbox.open(path)
        self.services = services

    def take(self, *alerts: Alert, seconds: float | None = None) -> None:
        """Accept and group, at the time of the last alert."""
        now = at(seconds) if seconds is not None else max(each.resolved_at or each.started_at for each in alerts)
        self.inbox.accept(alerts, now)
        self.inbox.group(now, SETTINGS, self.services)

    def groups(self) -> list[set[str]]:
        """The source ids of each incident."""
        names = [record.incident_id for record in self.inbox.incidents()]
        return sorted(({each.source_id for each in self.inbox.incident(name).alerts} for name in names), key=min)

    def claim(self, seconds: float, limit: int = 10) -> list[Claim]:
        """Claim what is due."""
        return self.inbox.claim(at(seconds), LEASE, limit)

    def run(self, seconds: float, took: float = 1, limit: int = 10) -> list[Claim]:
        """Claim what is due, and have each run succeed."""
        claims = self.claim(seconds, limit)
        for claim in claims:
            assert self.inbox.begin(claim.claim_id, f"run-{claim.claim_id}", at(seconds))
            assert self.inbox.finish(claim.claim_id, at(seconds + took), succeeded=True)
        return claims

    @property
    def only(self) -> str:
        """The id of the one incident there is."""
        (record,) = self.inbox.incidents()
        return record.incident_id
