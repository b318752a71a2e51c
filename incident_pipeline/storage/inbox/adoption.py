"""An incident made of exactly the alerts that are given: a folder that is replayed.

Belongs here: writing it down as grouping would have, without asking grouping. Does not belong here: reading folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from incident_pipeline.errors import InputError
from incident_pipeline.intake.identity import incident_id as name_of
from incident_pipeline.models import Alert
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.base import note
from incident_pipeline.storage.inbox.group_store import new_incident
from incident_pipeline.storage.inbox.rows import digest
from incident_pipeline.storage.inbox.schema import alerts, incidents


def adopt_rows(
    connection: sa.Connection,
    received: Sequence[Alert],
    rows: Sequence[Mapping[str, Any]],
    now: float,
    replayed_from: str | None,
) -> str:
    """Store one incident of these alerts and give its name; one that exists gets the alerts that it lacks.

    A folder that has moved is read at its new place from now on.
    Its dedup keys and services are not told to grouping: alerts that really arrive never join a replayed incident.
    """
    if not received:
        raise InputError("there are no alerts; an incident needs at least one")
    first = min(received, key=lambda alert: alert.started_at)
    name = name_of(first)
    found = connection.execute(sa.select(incidents.c.replayed_from).filter_by(incident_id=name)).first()
    if found is not None and found.replayed_from is None and replayed_from is not None:
        raise InputError(f"{name} was received here and is no replay; replay its folder with another --data-dir")
    own = {digest(name, row["delivery"]): row for row in rows}
    upsert(connection, alerts, [{**row, "delivery": key, "incident_id": name} for key, row in own.items()])
    if found is None:
        founder = min(rows, key=lambda row: row["started_at"])
        row = new_incident(
            name,
            founder,
            None,
            severity=min(row["severity"] for row in rows),
            last_alert_at=max(row["started_at"] for row in rows),
            received_at=min(row["received_at"] for row in rows),
            newest_received_at=max(row["received_at"] for row in rows),
            pinned=True,
            replayed_from=replayed_from,
        )
        connection.execute(incidents.insert(), row)
        note(connection, now, "incident_replayed", name, folder=replayed_from or "")
    elif replayed_from is not None:
        here = incidents.c.incident_id == name
        connection.execute(incidents.update().where(here).values(replayed_from=replayed_from))
    return name
