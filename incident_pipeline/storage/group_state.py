"""What grouping has to know, loaded; what grouping decided, stored.

Belongs here: the way between the inbox's tables and the values of `grouping.py`, within one transaction.
Does not belong here: decisions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from incident_pipeline.grouping import Known
from incident_pipeline.grouping_values import Arrival, Grouping, Key, KeyState, OpenIncident, Rules, Track
from incident_pipeline.models import IncidentStatus, Severity
from incident_pipeline.storage.absorb import absorb
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox_base import CLOSE_OUT, ENDED, NOTHING_DUE, RESPOND, Row, batches, make_due, note
from incident_pipeline.storage.inbox_schema import alert_keys, alerts, incidents, mutes, tracks
from incident_pipeline.storage.quiet import Quiet

SPACING = 10.0
"""Seconds between a diagnosis and the next one because an alert joined; doubles each time."""


def load(connection: sa.Connection, arrivals: Sequence[Arrival], rules: Rules) -> Known:
    """What these alerts may join: by a name they share, or because it was active near one of them."""
    dedup_keys, source_ids = _keys(connection, arrivals)
    names = {state.incident_id for state in (*dedup_keys.values(), *source_ids.values())}
    for start, end in _spans((arrival.started_at for arrival in arrivals), max(rules.window, rules.flap_window)):
        near = (incidents.c.started_at <= end) & (incidents.c.last_alert_at >= start)
        query = sa.select(incidents.c.incident_id).where(near, incidents.c.status != IncidentStatus.MERGED.value)
        names.update(connection.execute(query).scalars())
    loaded = [incident for some in batches(sorted(names)) for incident in _incidents(connection, some)]
    return Known(loaded, dedup_keys, source_ids)


def _keys(connection: sa.Connection, arrivals: Sequence[Arrival]) -> tuple[dict[Key, KeyState], dict[Key, KeyState]]:
    """What was said last under the dedup keys and under the source ids of these alerts."""
    wanted, same = {arrival.key for arrival in arrivals}, {arrival.same_alert for arrival in arrivals}
    dedup_keys: dict[Key, KeyState] = {}
    source_ids: dict[Key, KeyState] = {}
    for column, values in ((alert_keys.c.dedup_key, wanted), (alert_keys.c.source_id, same)):
        for some in batches(sorted({value for _, value in values})):
            for row in connection.execute(alert_keys.select().where(column.in_(some))).mappings():
                state = KeyState(row["incident_id"], row["source_id"], row["active"], row["at"])
                dedup_keys[row["source"], row["dedup_key"]] = state
                alert = (row["source"], row["source_id"])
                if alert not in source_ids or source_ids[alert].at < state.at:
                    source_ids[alert] = state
    return dedup_keys, source_ids


def _spans(moments: Iterable[float], margin: float) -> list[tuple[float, float]]:
    """The moments as few spans, each widened by the margin."""
    spans: list[tuple[float, float]] = []
    for moment in sorted(moments):
        if spans and moment - margin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], moment + margin)
        else:
            spans.append((moment - margin, moment + margin))
    return spans


def _incidents(connection: sa.Connection, names: Sequence[str]) -> list[OpenIncident]:
    found = {
        row["incident_id"]: OpenIncident(
            incident_id=row["incident_id"],
            order=row["received_at"],
            status=IncidentStatus(row["status"]),
            severity=Severity(row["severity"]),
            environment=row["environment"],
            resolved_at=row["resolved_at"],
            pinned=row["pinned"],
        )
        for row in connection.execute(incidents.select().where(incidents.c.incident_id.in_(names))).mappings()
    }
    for row in connection.execute(tracks.select().where(tracks.c.incident_id.in_(found))).mappings():
        track = Track(
            row["service"] or None, row["environment"] or None, row["wording"], row["onset"], row["last"], row["alerts"]
        )
        found[row["incident_id"]].tracks.append(track)
    firing = (
        sa.select(alert_keys.c.incident_id, sa.func.count())
        .where(alert_keys.c.incident_id.in_(found), alert_keys.c.active)
        .group_by(alert_keys.c.incident_id)
    )
    for name, active in connection.execute(firing):
        found[name].active = active
    return list(found.values())


def store(connection: sa.Connection, decided: Grouping, received: Mapping[int, Row], now: float, quiet: Quiet) -> None:
    """Write down what grouping decided about these rows of `alerts`."""
    assign = alerts.update().where(alerts.c.alert_id == sa.bindparam("alert"))
    connection.execute(
        assign.values(incident_id=sa.bindparam("incident")),
        [{"alert": alert_id, "incident": name} for alert_id, name in decided.assigned.items()],
    )
    members: dict[str, list[Row]] = defaultdict(list)
    for alert_id, name in decided.assigned.items():
        members[name].append(received[alert_id])
    for name, incident in decided.created.items():
        founder = received[decided.founders[name].alert_id]
        connection.execute(incidents.insert().values(**_new_row(incident, founder, now)))
        note(connection, now, "incident_created", name, title=founder["title"], severity=incident.severity.value)
    for gone, kept in decided.merged.items():
        absorb(connection, gone, kept, now)
    silences = quiet.and_mutes(connection.execute(mutes.select().where(mutes.c.until > now)).mappings())
    for incident in decided.touched.values():
        _store_incident(connection, incident, members[incident.incident_id], decided, now, silences)
    upsert(
        connection,
        alert_keys,
        [
            {
                "source": source,
                "dedup_key": dedup_key,
                "source_id": state.source_id,
                "incident_id": state.incident_id,
                "active": state.active,
                "at": state.at,
            }
            for (source, dedup_key), state in decided.keys.items()
        ],
        ("source_id", "incident_id", "active", "at"),
    )


def _new_row(incident: OpenIncident, founder: Row, now: float) -> dict[str, Any]:
    return {
        "incident_id": incident.incident_id,
        "title": founder["title"],
        "status": IncidentStatus.INVESTIGATING.value,
        "severity": incident.severity.value,
        "environment": founder["environment"],
        "pinned": incident.pinned,
        "started_at": founder["started_at"],
        "last_alert_at": founder["started_at"],
        "received_at": founder["received_at"],
        "newest_received_at": founder["received_at"],
        "attempts": 0,
        "failures": 0,
        "losses": 0,
        "joined_updates": 0,
        "due_at": now,
        "due_since": now,
        "due_job": RESPOND,
        "due_reason": "new incident",
    }


def _store_incident(
    connection: sa.Connection, incident: OpenIncident, rows: Sequence[Row], decided: Grouping, now: float, quiet: Quiet
) -> None:
    name = incident.incident_id
    this = incidents.c.incident_id == name
    before = connection.execute(incidents.select().where(this)).mappings().one()
    upsert(connection, tracks, [_track_row(name, track) for track in incident.tracks], ("onset", "last", "alerts"))
    values = _facts(incident, before, rows) | _silence(incident, before, now, quiet)
    connection.execute(incidents.update().where(this).values(values))
    row = {**before, **values}
    if name in decided.escalated:
        was, became = decided.escalated[name]
        note(connection, now, "severity_escalated", name, before=was.value, after=became.value)
    if name in decided.reopened:
        note(connection, now, "incident_reopened", name, why="an alert fired again")
        connection.execute(incidents.update().where(this).values(closed_out_at=None, joined_updates=0))
    if name in decided.resolved:
        note(connection, now, "incident_resolved", name, why="every alert is resolved")
        ended(connection, row, now)
    elif name in decided.news and name not in decided.created and row["status"] not in ENDED:
        _diagnose_again(connection, row, now, decided.news[name])


def _facts(incident: OpenIncident, before: Row, rows: Sequence[Row]) -> dict[str, Any]:
    acknowledged = [r["received_at"] for r in rows if r["status"] == "acknowledged"]
    is_over = incident.status.value in ENDED
    return {
        "severity": incident.severity.value,
        "environment": before["environment"] or incident.environment,
        "status": incident.status.value,
        "resolved_at": incident.resolved_at if is_over else None,
        "acknowledged_at": before["acknowledged_at"] or min(acknowledged, default=None),
        "started_at": min((before["started_at"], *(r["started_at"] for r in rows))),
        "last_alert_at": max((before["last_alert_at"], *(r["started_at"] for r in rows))),
        "received_at": min((before["received_at"], *(r["received_at"] for r in rows))),
        "newest_received_at": max((before["newest_received_at"], *(r["received_at"] for r in rows))),
    }


def _silence(incident: OpenIncident, before: Row, now: float, quiet: Quiet) -> dict[str, Any]:
    if not quiet.silences and before["muted_until"] is None:
        return {}
    places = [(track.service, track.environment, before["title"]) for track in incident.tracks]
    return {"muted_until": quiet.until(places, now)}


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


def ended(connection: sa.Connection, row: Row, now: float) -> None:
    """An incident is over: close it out after its first diagnosis; one that is muted starts no run at all."""
    if row["muted_until"] is not None and row["muted_until"] > now:
        connection.execute(
            incidents.update().where(incidents.c.incident_id == row["incident_id"]).values(**NOTHING_DUE)
        )
    elif row["responded_at"] is not None:
        make_due(connection, row, now, CLOSE_OUT, "every alert is resolved")
    elif row["due_at"] is None and row["last_claimed_at"] is None:
        make_due(connection, row, now, RESPOND, "new incident")


def _diagnose_again(connection: sa.Connection, row: Row, now: float, why: str) -> None:
    at = now
    if row["last_claimed_at"] is not None:
        at = max(now, row["last_claimed_at"] + SPACING * 2 ** min(row["joined_updates"], 6))
    more = 0 if row["due_at"] is not None and row["due_job"] == RESPOND else 1
    also = {"joined_updates": row["joined_updates"] + more, "failed_at": None}
    if row["failed_at"] is not None:
        also |= {"failures": 0, "losses": 0, "failure": None}
    make_due(connection, row, at, RESPOND, why, **also)
