"""What every part of the inbox stands on: its database, moments, and the record of what people did.

Belongs here: shared by intake, claims, decisions and lists. Does not belong here: any one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa

from incident_pipeline.config import DiagnosisSettings
from incident_pipeline.errors import NotFoundError
from incident_pipeline.models import IncidentStatus
from incident_pipeline.storage.database import Database, upsert
from incident_pipeline.storage.inbox.schema import counters, events, incidents
from kb.redaction import redact_value

Item = TypeVar("Item")

Row = Mapping[Any, Any]
"""One row of a table, by the names of its columns."""

SYSTEM = "incident-pipeline"
"""Who did it, where nobody did."""

ENDED = (IncidentStatus.RESOLVED.value, IncidentStatus.CLOSED.value)


class InboxBase:
    """The database of the inbox and the settings that decide when an incident is diagnosed again."""

    def __init__(self, database: Database, diagnosis: DiagnosisSettings) -> None:
        self._database = database
        self._updates = tuple(sorted(update.total_seconds() for update in diagnosis.updates))

    def close(self) -> None:
        """Let go of all connections."""
        self._database.close()


def stamp(moment: datetime) -> float:
    """A moment as it is stored."""
    return moment.timestamp()


def moment_of(value: float | None) -> datetime | None:
    """A stored moment."""
    return None if value is None else datetime.fromtimestamp(value, tz=UTC)


def batches(items: Iterable[Item], size: int = 500) -> Iterator[list[Item]]:
    """The items in lists that a statement's parameters can hold."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def note(
    connection: sa.Connection, now: float, kind: str, incident_id: str | None, who: str = SYSTEM, **details: Any
) -> None:
    """Append to the record of what was done; nothing there is ever changed."""
    text = json.dumps(redact_value(details), ensure_ascii=False, default=str)
    connection.execute(events.insert().values(at=now, kind=kind, incident_id=incident_id, who=who, details=text))


def count(connection: sa.Connection, name: str, by: int = 1) -> None:
    """Add to a counter that only grows."""
    if by:
        upsert(connection, counters, [{"name": name, "value": by}], add=("value",))


def incident_row(connection: sa.Connection, incident_id: str) -> Row:
    """One row of `incidents`.

    Raises:
        NotFoundError: there is no such incident.
    """
    row = connection.execute(incidents.select().where(incidents.c.incident_id == incident_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no incident {incident_id!r}; `incident-pipeline incidents list` shows them")
    return row
