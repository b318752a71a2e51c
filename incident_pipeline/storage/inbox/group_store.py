"""What grouping decided, written to the inbox.

Belongs here: from the values of `intake/grouping.py` to tables. Does not belong here: decisions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from incident_pipeline.intake.grouping_values import Grouping, KeyState, OpenIncident, Track
from incident_pipeline.models import IncidentStatus
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.absorb import absorb
from incident_pipeline.storage.inbox.base import ENDED, Row, batches, note
from incident_pipeline.storage.inbox.due import again, begin, over
from incident_pipeline.storage.inbox.quiet import Quiet
from incident_pipeline.storage.inbox.schema import alert_keys, alerts, incidents, mutes, tracks

_CHANGES = (
    *("severity", "environment", "status", "resolved_at", "acknowledged_at", "started_at", "last_alert_at"),
    *("received_at", "newest_received_at", "muted_until", "closed_out_at", "repeats", "failures", "losses"),
    *("failed_at", "failure", "due_at", "due_since", "due_job", "due_reason"),
)
"""The columns of an incident that grouping may change."""
_ASSIGN = alerts.update().where(alerts.c.alert_id == sa.bindparam("this")).values(incident_id=sa.bindparam("incident"))
_CHANGE = (
    incidents.update()
    .where(incidents.c.incident_id == sa.bindparam("this"))
    .values({name: sa.bindparam(f"new_{name}") for name in _CHANGES})
)


def store(connection: sa.Connection, decided: Grouping, received: Mapping[int, Row], now: float, quiet: Quiet) -> None:
    """Write down what grouping decided about these rows of `alerts`."""
    connection.execute(_ASSIGN, [{"this": alert, "incident": name} for alert, name in decided.assigned.items()])
    members: dict[str, list[Row]] = defaultdict(list)
    for alert, name in decided.assigned.items():
        members[name].append(received[alert])
    for name, incident in decided.created.items():
        founder = received[decided.founders[name].alert_id]
        connection.execute(incidents.insert(), new_incident(name, founder, now))
        note(connection, now, "incident_created", name, title=founder["title"], severity=incident.severity.value)
    for gone, kept in decided.merged.items():
        absorb(connection, gone, kept, now)
    silences = quiet.and_mutes(connection.execute(mutes.select().where(mutes.c.until > now)).mappings())
    changes = []
    for before in _rows(connection, list(decided.touched)):
        name = before["incident_id"]
        after = _changed(before, decided.touched[name], members[name], decided, now, silences)
        changes.append({"this": name, **{f"new_{column}": after[column] for column in _CHANGES}})
        _note(connection, name, decided, now)
    if changes:
        connection.execute(_CHANGE, changes)
    places = [_track_row(name, track) for name, incident in decided.touched.items() for track in incident.tracks]
    upsert(connection, tracks, places, ("onset", "last", "alerts"))
    keys = [_key_row(source, key, state) for (source, key), state in decided.keys.items()]
    upsert(connection, alert_keys, keys, ("source_id", "incident_id", "active", "at"))


def new_incident(name: str, founder: Row, now: float | None, **other: Any) -> dict[str, Any]:
    """The row of an incident that begins with one row of `alerts`; a run is due at `now`, none without it."""
    return {
        "incident_id": name,
        "title": founder["title"],
        "status": IncidentStatus.INVESTIGATING.value,
        "severity": founder["severity"],
        "environment": founder["environment"],
        "pinned": False,
        "started_at": founder["started_at"],
        "last_alert_at": founder["started_at"],
        "received_at": founder["received_at"],
        "newest_received_at": founder["received_at"],
        "attempts": 0,
        "failures": 0,
        "losses": 0,
        "repeats": 0,
        **(begin(now) if now is not None else {}),
        **other,
    }


def _rows(connection: sa.Connection, names: Sequence[str]) -> list[Row]:
    found: list[Row] = []
    for some in batches(names):
        found += connection.execute(incidents.select().where(incidents.c.incident_id.in_(some))).mappings()
    return found


def _changed(
    before: Row, incident: OpenIncident, rows: Sequence[Row], decided: Grouping, now: float, quiet: Quiet
) -> Row:
    name = incident.incident_id
    after = {**before, **_facts(incident, before, rows)}
    if quiet.silences or before["muted_until"] is not None:
        places = [(track.service, track.environment, before["title"]) for track in incident.tracks]
        after["muted_until"] = quiet.until(places, now)
    if name in decided.reopened:
        after |= {"closed_out_at": None, "repeats": 0}
    if name in decided.resolved:
        after |= over(after, now)
    elif name in decided.news and name not in decided.created and after["status"] not in ENDED:
        after |= again(after, now, decided.news[name])
    return after


def _facts(incident: OpenIncident, before: Row, rows: Sequence[Row]) -> dict[str, Any]:
    acknowledged = [row["received_at"] for row in rows if row["status"] == "acknowledged"]
    is_over = incident.status.value in ENDED
    both = (before, *rows)
    return {
        "severity": incident.severity.value,
        "environment": before["environment"] or incident.environment,
        "status": incident.status.value,
        "resolved_at": incident.resolved_at if is_over else None,
        "acknowledged_at": before["acknowledged_at"] or min(acknowledged, default=None),
        "started_at": min(row["started_at"] for row in both),
        "last_alert_at": max(before["last_alert_at"], *(row["started_at"] for row in both)),
        "received_at": min(row["received_at"] for row in both),
        "newest_received_at": max(before["newest_received_at"], *(row["received_at"] for row in both)),
    }


def _note(connection: sa.Connection, name: str, decided: Grouping, now: float) -> None:
    if name in decided.escalated:
        before, after = decided.escalated[name]
        note(connection, now, "severity_escalated", name, before=before.value, after=after.value)
    if name in decided.reopened:
        note(connection, now, "incident_reopened", name, why="an alert fired again")
    if name in decided.resolved:
        note(connection, now, "incident_resolved", name, why="every alert is resolved")


def _track_row(name: str, track: Track) -> dict[str, Any]:
    return {
        "incident_id": name,
        "service": track.service or "",
        "environment": track.environment or "",
        "wording": track.wording,
        "onset": track.onset,
        "last": track.last,
        "alerts": track.alerts,
    }


def _key_row(source: str, dedup_key: str, state: KeyState) -> dict[str, Any]:
    return {
        "source": source,
        "dedup_key": dedup_key,
        "source_id": state.source_id,
        "incident_id": state.incident_id,
        "active": state.active,
        "at": state.at,
    }
