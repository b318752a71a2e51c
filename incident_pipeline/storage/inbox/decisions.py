"""What people do with incidents: acknowledge, resolve, reopen, merge, split, mute.

Belongs here: the change and its record, in one transaction. Does not belong here: who may do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from incident_pipeline.durations import format_duration
from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.models import IncidentStatus
from incident_pipeline.storage.inbox.absorb import absorb
from incident_pipeline.storage.inbox.action_schema import executions
from incident_pipeline.storage.inbox.base import ENDED, SYSTEM, InboxBase, Row, incident_row, note, stamp
from incident_pipeline.storage.inbox.due import RESPOND, change, due, over
from incident_pipeline.storage.inbox.quiet import Silence, silence_of
from incident_pipeline.storage.inbox.schema import alert_keys, alerts, incidents, mutes, tracks
from incident_pipeline.storage.inbox.split import split_rows


class Decisions(InboxBase):
    """The inbox as people use it; every call says who and is recorded."""

    def acknowledge(self, incident_id: str, who: str, now: datetime) -> None:
        """Somebody is on it."""
        with self._database.write() as connection:
            row = _open_row(connection, incident_id)
            if row["acknowledged_at"] is None:
                _change(connection, incident_id, acknowledged_at=stamp(now))
            note(connection, stamp(now), "incident_acknowledged", incident_id, who)

    def mitigate(self, incident_id: str, who: str, now: datetime) -> None:
        """Users no longer feel it; the cause may still be there."""
        with self._database.write() as connection:
            row = _open_row(connection, incident_id)
            _change(
                connection,
                incident_id,
                mitigated_at=row["mitigated_at"] or stamp(now),
                status=IncidentStatus.MONITORING.value,
            )
            note(connection, stamp(now), "incident_mitigated", incident_id, who)

    def resolve(self, incident_id: str, who: str, now: datetime, note_text: str = "") -> None:
        """It is over, whatever its alerts say; the closing documents come next. Resolving again changes nothing.

        That alerts were still firing is on record; one that fires again opens the incident again.
        """
        with self._database.write() as connection:
            row = _row(connection, incident_id)
            if row["status"] not in ENDED:
                _end(connection, row, who, stamp(now), note_text)

    def record(self, kind: str, incident_id: str, who: str, now: datetime, **details: Any) -> None:
        """Append what somebody did to the incident's record, where nothing else follows from it."""
        with self._database.write() as connection:
            note(connection, stamp(now), kind, incident_id, who, **details)

    def firing(self, incident_id: str) -> list[str]:
        """The titles of its alerts that still fire, each once."""
        with self._database.read() as connection:
            return _firing(connection, incident_id)

    def resolve_mitigated(self, now: datetime, after: timedelta) -> list[str]:
        """Resolve the incidents that are mitigated for so long, and none of whose alerts fires; returns which."""
        at = stamp(now)
        self._mitigate_verified(at)
        held = (incidents.c.status == IncidentStatus.MONITORING.value) & (
            incidents.c.mitigated_at <= at - after.total_seconds()
        )
        with self._database.read() as connection:
            if connection.execute(incidents.select().where(held).limit(1)).first() is None:
                return []
        with self._database.write() as connection:
            names = connection.execute(sa.select(incidents.c.incident_id).where(held)).scalars().all()
            quiet = [name for name in names if not _firing(connection, name)]
            for name in quiet:
                why = f"mitigated for {format_duration(after)}, and none of its alerts fires"
                _end(connection, _row(connection, name), SYSTEM, at, why)
            return quiet

    def _mitigate_verified(self, at: float) -> None:
        """An incident is mitigated once an action on it has been seen to help."""
        helped = sa.select(executions.c.incident_id).where(executions.c.verification == "passed")
        open_still = incidents.c.status.not_in((*ENDED, IncidentStatus.MERGED.value, IncidentStatus.MONITORING.value))
        query = sa.select(incidents.c.incident_id).where(
            incidents.c.incident_id.in_(helped), open_still, incidents.c.mitigated_at.is_(None)
        )
        with self._database.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return
        with self._database.write() as connection:
            for name in connection.execute(query).scalars().all():
                values = {"mitigated_at": at, "status": IncidentStatus.MONITORING.value}
                _change(connection, name, **values)
                note(connection, at, "incident_mitigated", name, why="an action helped, as its series shows")

    def reopen(self, incident_id: str, who: str, now: datetime, reason: str = "") -> None:
        """It is not over."""
        with self._database.write() as connection:
            row = _row(connection, incident_id)
            if row["status"] not in ENDED:
                raise InputError(f"incident {incident_id} is {row['status']}; only an ended one can be reopened")
            note(connection, stamp(now), "incident_reopened", incident_id, who, why=reason)
            _open_again(connection, row, stamp(now), "it was opened again")

    def merge(self, incident_id: str, into: str, who: str, now: datetime) -> None:
        """Two incidents are one; `into` keeps its name and is diagnosed again."""
        with self._database.write() as connection:
            gone, kept = _row(connection, incident_id), _row(connection, into)
            if gone["incident_id"] == kept["incident_id"]:
                raise InputError(f"incident {incident_id} cannot be merged into itself")
            absorb(connection, incident_id, into, stamp(now), who, "somebody said so")
            kept = _row(connection, into)
            why = f"{incident_id} was merged into it"
            if kept["status"] not in ENDED:
                change(connection, kept, due(kept, stamp(now), RESPOND, why))
            elif gone["status"] not in ENDED:
                note(connection, stamp(now), "incident_reopened", into, who, why=why)
                _open_again(connection, kept, stamp(now), why)

    def split(self, incident_id: str, alert_ids: Sequence[str], who: str, now: datetime) -> str:
        """Some alerts of an incident are about something else; they become an incident of their own.

        Alerts are named by source id or dedup key; the answer is the new incident's id.
        """
        with self._database.write() as connection:
            return split_rows(connection, _row(connection, incident_id), alert_ids, who, stamp(now))

    def mute(
        self,
        until: datetime,
        reason: str,
        who: str,
        now: datetime,
        service: str | None = None,
        pattern: str | None = None,
    ) -> int:
        """Start no run for alerts of a service, or with a title like a pattern, until a moment; incidents still form.

        Returns:
            The mute's number.
        """
        if not reason.strip():
            raise InputError("a mute needs a reason; say why with --reason")
        if until <= now:
            raise InputError(f"a mute has to end in the future, not at {until.isoformat()}")
        if not service and not pattern:
            raise InputError("a mute needs a service or a pattern; muting everything is not possible")
        with self._database.write() as connection:
            values = {"service": service, "pattern": pattern, "reason": reason, "who": who}
            statement = mutes.insert().values(**values, created_at=stamp(now), until=stamp(until))
            number = int(connection.execute(statement.returning(mutes.c.mute_id)).scalar_one())
            row = connection.execute(mutes.select().where(mutes.c.mute_id == number)).mappings().one()
            _silence_open(connection, silence_of(row), stamp(now))
            note(
                connection, stamp(now), "muted", None, who, mute=number, service=service, pattern=pattern, reason=reason
            )
            return number

    def unmute(self, number: int, who: str, now: datetime) -> None:
        """End a mute now."""
        with self._database.write() as connection:
            row = connection.execute(mutes.select().where(mutes.c.mute_id == number)).mappings().first()
            if row is None:
                raise NotFoundError(f"there is no mute {number}")
            connection.execute(mutes.update().where(mutes.c.mute_id == number).values(until=stamp(now)))
            silent = incidents.c.muted_until == row["until"]
            connection.execute(incidents.update().where(silent).values(muted_until=None))
            note(connection, stamp(now), "unmuted", None, who, mute=number)


def _end(connection: sa.Connection, row: Row, who: str, at: float, why: str) -> None:
    name = row["incident_id"]
    firing = len(_firing(connection, name))
    row = change(connection, row, {"status": IncidentStatus.RESOLVED.value, "resolved_at": at})
    active = (alert_keys.c.incident_id == name) & alert_keys.c.active
    connection.execute(alert_keys.update().where(active).values({"active": False, "at": at}))
    note(connection, at, "incident_resolved", name, who, why=why, **({"alerts_firing": firing} if firing else {}))
    change(connection, row, over(row, at))


def _firing(connection: sa.Connection, incident_id: str) -> list[str]:
    active = sa.select(alert_keys.c.source, alert_keys.c.dedup_key).where(
        alert_keys.c.incident_id == incident_id, alert_keys.c.active
    )
    query = sa.select(alerts.c.title).where(
        alerts.c.incident_id == incident_id, sa.tuple_(alerts.c.source, alerts.c.dedup_key).in_(active)
    )
    return list(dict.fromkeys(connection.execute(query.order_by(alerts.c.alert_id)).scalars()))


def _open_again(connection: sa.Connection, row: Row, now: float, why: str) -> None:
    values = {"status": IncidentStatus.INVESTIGATING.value, "resolved_at": None, "closed_out_at": None}
    row = change(connection, row, {**values, "repeats": 0})
    change(connection, row, due(row, now, RESPOND, why))


def _silence_open(connection: sa.Connection, silence: Silence, now: float) -> None:
    """What is open already falls silent too, where the mute covers all of it."""
    query = incidents.select().where(incidents.c.status.not_in((*ENDED, IncidentStatus.MERGED.value)))
    for row in connection.execute(query).mappings().all():
        places = connection.execute(tracks.select().filter_by(incident_id=row["incident_id"])).mappings().all()
        if places and all(silence.covers(p["service"], p["environment"], row["title"], now) for p in places):
            _change(connection, row["incident_id"], muted_until=max(silence.end, row["muted_until"] or 0.0))


def _row(connection: sa.Connection, incident_id: str) -> Row:
    """An incident that was not merged into another one."""
    row = incident_row(connection, incident_id)
    if row["merged_into"]:
        raise InputError(f"incident {incident_id} was merged into {row['merged_into']}; use that one")
    return row


def _open_row(connection: sa.Connection, incident_id: str) -> Row:
    row = _row(connection, incident_id)
    if row["status"] in ENDED:
        raise InputError(f"incident {incident_id} is {row['status']}; reopen it first")
    return row


def _change(connection: sa.Connection, incident_id: str, **values: Any) -> None:
    connection.execute(incidents.update().where(incidents.c.incident_id == incident_id).values(**values))
