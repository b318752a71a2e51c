"""What grouping reads and what it decides, as values.

Belongs here: their shapes. Does not belong here: any decision; `grouping.py` and `grouping_edges.py` make them.
Moments are seconds since 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta

from incident_pipeline.models import Alert, AlertStatus, IncidentStatus, Severity

CLOSED = frozenset({IncidentStatus.RESOLVED, IncidentStatus.CLOSED})

Key = tuple[str, str]
"""A source, and a dedup key or a source id of it."""


@dataclass(frozen=True)
class Rules:
    """The times that grouping uses, in seconds."""

    window: float
    flap_window: float

    @classmethod
    def of(cls, window: timedelta, flap_window: timedelta) -> Rules:
        """The rules of a configuration."""
        return cls(window.total_seconds(), flap_window.total_seconds())

    @property
    def together(self) -> float:
        """Onsets this close are the same moment: detection is rarely more exact."""
        return self.window / 5

    @property
    def cascade(self) -> float:
        """Trouble reaches the next service within this time."""
        return self.window / 2


@dataclass(frozen=True)
class Track:
    """The alerts of one service in one environment within one incident; or of one wording, without a service."""

    service: str | None
    environment: str | None
    wording: str
    onset: float
    last: float
    alerts: int


@dataclass
class OpenIncident:
    """What grouping needs to know of an incident."""

    incident_id: str
    order: float
    """Older incidents have smaller numbers; the older one stays when two become one."""
    status: IncidentStatus
    severity: Severity
    environment: str | None
    resolved_at: float | None = None
    pinned: bool = False
    active: int = 0
    """Dedup keys that still fire."""
    tracks: list[Track] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it is neither resolved nor closed."""
        return self.status not in CLOSED


@dataclass(frozen=True)
class KeyState:
    """What the newest delivery under a dedup key said."""

    incident_id: str
    source_id: str
    active: bool
    at: float


@dataclass(frozen=True)
class Arrival:
    """An alert that waits for its incident."""

    alert_id: int
    source: str
    source_id: str
    dedup_key: str
    title: str
    severity: Severity
    status: AlertStatus
    service: str | None
    environment: str | None
    started_at: float
    resolved_at: float | None = None

    @classmethod
    def of(cls, alert_id: int, alert: Alert) -> Arrival:
        """What grouping reads of an alert."""
        return cls(
            alert_id,
            alert.source,
            alert.source_id,
            alert.dedup_key,
            alert.title,
            alert.severity,
            alert.status,
            alert.service,
            alert.environment,
            alert.started_at.timestamp(),
            alert.resolved_at.timestamp() if alert.resolved_at else None,
        )

    @property
    def key(self) -> Key:
        """What deliveries about the same problem of one source share."""
        return self.source, self.dedup_key

    @property
    def same_alert(self) -> Key:
        """What the times that one alert of one source fires share; some sources make a new dedup key each time."""
        return self.source, self.source_id

    @property
    def fires(self) -> bool:
        """Whether it says that something is wrong now."""
        return self.status is not AlertStatus.RESOLVED

    @property
    def said_at(self) -> float:
        """The moment it speaks of."""
        return self.started_at if self.fires else max(self.started_at, self.resolved_at or self.started_at)


@dataclass
class Grouping:
    """What was decided; incidents that were already there are changed in place."""

    assigned: dict[int, str] = field(default_factory=dict)
    created: dict[str, OpenIncident] = field(default_factory=dict)
    founders: dict[str, Arrival] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    """Only incidents that were there before; each with the one it became part of."""
    touched: dict[str, OpenIncident] = field(default_factory=dict)
    news: dict[str, str] = field(default_factory=dict)
    """Incidents that should be diagnosed again, and why."""
    reopened: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    escalated: dict[str, tuple[Severity, Severity]] = field(default_factory=dict)
    keys: dict[Key, KeyState] = field(default_factory=dict)


def wording(title: str) -> str:
    """A title without what changes from one alert to the next: numbers and hexadecimal names."""
    return re.sub(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b", "#", " ".join(title.split()).casefold())[:200]
