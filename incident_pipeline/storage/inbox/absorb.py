"""One incident becomes part of another.

Belongs here: the one way in which alerts, keys and services move. Does not belong here: who wants it and why.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from incident_pipeline.models import IncidentStatus
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.base import SYSTEM, incident_row, note
from incident_pipeline.storage.inbox.due import NOTHING_DUE
from incident_pipeline.storage.inbox.schema import (
    IS_LIVE,
    alert_keys,
    alerts,
    claims,
    incidents,
    tracks,
)


def absorb(
    connection: sa.Connection, gone: str, kept: str, now: float, who: str = SYSTEM, why: str = "grouping"
) -> None:
    """Move all that belongs to `gone` to `kept`; what waits or runs for `gone` counts no more."""
    old, new = incident_row(connection, gone), incident_row(connection, kept)
    for table in (alerts, alert_keys):
        connection.execute(table.update().where(table.c.incident_id == gone).values(incident_id=kept))
    _move_tracks(connection, gone, kept)
    live = (claims.c.incident_id == gone) & IS_LIVE
    connection.execute(claims.update().where(live).values(state="superseded", finished_at=now))
    values: dict[str, Any] = {
        "severity": min(old["severity"], new["severity"]),
        "environment": new["environment"] or old["environment"],
        "started_at": min(old["started_at"], new["started_at"]),
        "received_at": min(old["received_at"], new["received_at"]),
        "last_alert_at": max(old["last_alert_at"], new["last_alert_at"]),
        "newest_received_at": max(old["newest_received_at"], new["newest_received_at"]),
    }
    connection.execute(incidents.update().where(incidents.c.incident_id == kept).values(values))
    merged = {"status": IncidentStatus.MERGED.value, "merged_into": kept, **NOTHING_DUE}
    connection.execute(incidents.update().where(incidents.c.incident_id == gone).values(merged))
    # what was merged into the one that is gone is found at its new place at once
    connection.execute(incidents.update().where(incidents.c.merged_into == gone).values(merged_into=kept))
    note(connection, now, "incident_merged", gone, who, into=kept, why=why)
    if values["severity"] != new["severity"]:
        note(connection, now, "severity_escalated", kept, who, before=new["severity"], after=values["severity"])


def _move_tracks(connection: sa.Connection, gone: str, kept: str) -> None:
    mine = {_place(row): row for row in connection.execute(tracks.select().filter_by(incident_id=kept)).mappings()}
    moved = []
    for row in connection.execute(tracks.select().filter_by(incident_id=gone)).mappings():
        twin = mine.get(_place(row))
        both = (row,) if twin is None else (row, twin)
        moved.append(
            {
                **row,
                "incident_id": kept,
                "onset": min(track["onset"] for track in both),
                "last": max(track["last"] for track in both),
                "alerts": sum(track["alerts"] for track in both),
            }
        )
    connection.execute(tracks.delete().where(tracks.c.incident_id == gone))
    upsert(connection, tracks, moved, ("onset", "last", "alerts"))


def _place(row: Any) -> tuple[str, str, str]:
    return row["service"], row["environment"], row["wording"]
