"""Some alerts of an incident become an incident of their own.

Belongs here: taking alerts, keys and services apart again. Does not belong here: who wants it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from incident_pipeline.errors import InputError
from incident_pipeline.intake.grouping_values import wording
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.base import ENDED, Row, batches, incident_row, note
from incident_pipeline.storage.inbox.due import RESPOND, begin, change, due, over
from incident_pipeline.storage.inbox.group_store import new_incident
from incident_pipeline.storage.inbox.naming import free_name
from incident_pipeline.storage.inbox.rows import alert_of
from incident_pipeline.storage.inbox.schema import alert_keys, alerts, incidents, tracks


def split_rows(connection: sa.Connection, row: Row, wanted: Iterable[str], who: str, now: float) -> str:
    """Move the alerts with these source ids or dedup keys to a new incident and give its name.

    All alerts of one dedup key go together, so that what comes later under it has one place to go. Neither of the
    two is joined with another incident by grouping from now on.

    Raises:
        InputError: an alert is not in the incident, or none would stay.
    """
    name = row["incident_id"]
    members = (
        connection.execute(alerts.select().filter_by(incident_id=name).order_by(alerts.c.alert_id)).mappings().all()
    )
    moving = _moving(name, members, list(wanted))
    keys = {(m["source"], m["dedup_key"]) for m in moving}
    staying = [m for m in members if (m["source"], m["dedup_key"]) not in keys]
    if not staying:
        raise InputError(f"these are all alerts of {name}; at least one has to stay")
    first = min(moving, key=lambda m: (m["started_at"], m["alert_id"]))
    new = free_name(connection, alert_of(first), set())
    also = {name: row[name] for name in ("status", "resolved_at")} if row["status"] in ENDED else {}
    mine = new_incident(
        new,
        first,
        None,
        severity=min(m["severity"] for m in moving),
        environment=first["environment"] or row["environment"],
        last_alert_at=max(m["started_at"] for m in moving),
        received_at=min(m["received_at"] for m in moving),
        newest_received_at=max(m["received_at"] for m in moving),
        pinned=True,
        replayed_from=row["replayed_from"],
        **also,
    )
    connection.execute(incidents.insert(), mine)
    for some in batches(m["alert_id"] for m in moving):
        connection.execute(alerts.update().where(alerts.c.alert_id.in_(some)).values(incident_id=new))
    for source, dedup_key in sorted(keys):
        this = (alert_keys.c.source == source) & (alert_keys.c.dedup_key == dedup_key)
        connection.execute(alert_keys.update().where(this).values(incident_id=new))
    old_tracks = connection.execute(tracks.select().filter_by(incident_id=name)).mappings().all()
    connection.execute(tracks.delete().where(tracks.c.incident_id == name))
    names = {(t["service"], t["environment"]) for t in old_tracks}
    upsert(connection, tracks, [*_tracks(name, staying, names), *_tracks(new, moving, names)])
    connection.execute(incidents.update().where(incidents.c.incident_id == name).values(pinned=True))
    note(connection, now, "incident_split", name, who, new=new, alerts=[m["source_id"] for m in moving])
    fresh = incident_row(connection, new)
    change(connection, fresh, over(fresh, now) if fresh["status"] in ENDED else begin(now))
    if row["status"] not in ENDED:
        change(connection, row, due(row, now, RESPOND, "alerts were split off"))
    return new


def _moving(name: str, members: Sequence[Row], wanted: Sequence[str]) -> list[Row]:
    if not wanted:
        raise InputError("say which alerts to split off, by source id or dedup key")
    missing = [word for word in wanted if not any(word in (m["source_id"], m["dedup_key"]) for m in members)]
    if missing:
        raise InputError(f"incident {name} has no alert {missing[0]!r}; `incident-pipeline incidents show` lists them")
    keys = {(m["source"], m["dedup_key"]) for m in members if {m["source_id"], m["dedup_key"]} & set(wanted)}
    return [m for m in members if (m["source"], m["dedup_key"]) in keys]


def _tracks(name: str, members: Sequence[Row], known: set[tuple[str, str]]) -> list[dict[str, Any]]:
    places: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for m in members:
        service, environment = (m["service"] or "").casefold(), (m["environment"] or "").casefold()
        exact = next((s for s, e in known if s.casefold() == service and e == environment), service)
        places[exact, environment, "" if service else wording(m["title"])].append(m["started_at"])
    return [
        {
            "incident_id": name,
            "service": service,
            "environment": environment,
            "wording": words,
            "onset": min(moments),
            "last": max(moments),
            "alerts": len(moments),
        }
        for (service, environment, words), moments in places.items()
    ]
