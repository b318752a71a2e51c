"""What grouping has to know, loaded from the inbox within the transaction that will store its decisions.

Belongs here: from tables to the values of `intake/grouping.py`. The way back is in `group_store.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from incident_pipeline.intake.grouping import Known
from incident_pipeline.intake.grouping_values import Arrival, Key, KeyState, OpenIncident, Rules, Track
from incident_pipeline.models import AlertStatus, IncidentStatus, Severity
from incident_pipeline.storage.inbox.base import Row, batches
from incident_pipeline.storage.inbox.schema import alert_keys, incidents, tracks


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


def arrival_of(row: Row) -> Arrival:
    """What grouping reads of a row of `alerts`."""
    return Arrival(
        alert_id=row["alert_id"],
        source=row["source"],
        source_id=row["source_id"],
        dedup_key=row["dedup_key"],
        title=row["title"],
        severity=Severity(row["severity"]),
        status=AlertStatus(row["status"]),
        service=row["service"],
        environment=row["environment"],
        started_at=row["started_at"],
        resolved_at=row["resolved_at"],
    )


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
