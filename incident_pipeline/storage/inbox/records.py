"""What the inbox tells: incidents with their alerts, lists, its own state in numbers.

Belongs here: reading, and remembering what a run found. Does not belong here: changing what is due.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import Field

from incident_pipeline.models import Alert, Incident, IncidentStatus, Model, Severity, Utc
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.base import InboxBase, Row, batches, count, incident_row, note, stamp
from incident_pipeline.storage.inbox.claim_choice import due_now
from incident_pipeline.storage.inbox.due import RESPOND
from incident_pipeline.storage.inbox.measures import Histogram, count_first_update, first_updates, source_errors
from incident_pipeline.storage.inbox.outbox_schema import unsent
from incident_pipeline.storage.inbox.rows import alert_of
from incident_pipeline.storage.inbox.schema import (
    alerts,
    claims,
    counters,
    events,
    heartbeats,
    incidents,
    runs,
)
from kb.redaction import redact


class IncidentRecord(Model):
    """One line of `incidents list`."""

    incident_id: str
    title: str
    severity: Severity
    status: IncidentStatus
    services: tuple[str, ...] = ()
    alerts: int = 0
    started_at: Utc
    received_at: Utc
    diagnosed_at: Utc | None = None
    resolved_at: Utc | None = None
    cause: str | None = None
    confidence: float | None = None
    run_ids: tuple[str, ...] = ()
    environment: str | None = None
    category: str | None = None
    acknowledged_at: Utc | None = None
    merged_into: str | None = None
    muted_until: Utc | None = None
    replayed_from: str | None = None
    failure: str | None = None
    """Why it could not be diagnosed, once that has been given up."""


class Event(Model):
    """One thing that was done, and by whom."""

    at: Utc
    kind: str
    incident_id: str | None = None
    who: str
    details: dict[str, Any] = Field(default_factory=dict)


class InboxState(Model):
    """The inbox in numbers."""

    accepted: int = 0
    pending: int = 0
    oldest_unclaimed_seconds: float = 0.0
    """How long the oldest alert or new incident has waited for its first diagnosis."""
    oldest_postponed_seconds: float = 0.0
    """How long the oldest incident that is to be closed out or diagnosed again has waited: it gives way to new ones."""
    incidents: dict[str, int] = Field(default_factory=dict)
    claims: dict[str, int] = Field(default_factory=dict)
    runs_succeeded: int = 0
    runs_failed: int = 0
    runs_lost: int = 0
    first_updates: Histogram = Histogram()
    source_errors: dict[str, int] = Field(default_factory=dict)
    given_up: int = 0
    heartbeats: dict[str, Utc] = Field(default_factory=dict)
    messages: dict[str, int] = Field(default_factory=dict)
    """What people have not been told: waiting, retrying (refused, or nobody knows), failed."""


class Records(InboxBase):
    """The inbox as those see it who want to know."""

    def incident(self, incident_id: str) -> Incident:
        """One incident with its alerts, each as its newest delivery has it, in the order of their start.

        Raises:
            NotFoundError: there is no such incident.
        """
        with self._database.read() as connection:
            row = incident_row(connection, incident_id)
            members = _newest_deliveries(connection, incident_id)
        return Incident(
            incident_id=incident_id,
            title=row["title"],
            status=row["status"],
            severity=row["severity"],
            services=tuple(dict.fromkeys(alert.service for alert in members if alert.service)),
            environment=row["environment"],
            alerts=tuple(members),
            started_at=row["started_at"],
            detected_at=row["received_at"],
            received_at=row["received_at"],
            acknowledged_at=row["acknowledged_at"],
            mitigated_at=row["mitigated_at"],
            resolved_at=row["resolved_at"],
            diagnosed_at=row["diagnosed_at"],
            merged_into=row["merged_into"],
            slack_channel=row["slack_channel"],
            slack_thread_ts=row["slack_thread_ts"],
            replayed_from=row["replayed_from"],
        )

    def incidents(
        self, limit: int | None = None, status: Iterable[str] | None = None, with_merged: bool = False
    ) -> list[IncidentRecord]:
        """Incidents, newest first; those that were merged into another one only when asked for."""
        query = incidents.select().order_by(incidents.c.received_at.desc(), incidents.c.incident_id.desc())
        if status is not None:
            query = query.where(incidents.c.status.in_([str(word) for word in status]))
        elif not with_merged:
            query = query.where(incidents.c.status != IncidentStatus.MERGED.value)
        with self._database.read() as connection:
            rows = connection.execute(query.limit(limit)).mappings().all()
            names = [row["incident_id"] for row in rows]
            services, counts, run_ids = (
                _services(connection, names),
                _counts(connection, names),
                _runs(connection, names),
            )
        return [
            IncidentRecord.model_validate(
                {
                    **row,
                    "services": services[row["incident_id"]],
                    "alerts": counts.get(row["incident_id"], 0),
                    "run_ids": run_ids[row["incident_id"]],
                }
            )
            for row in rows
        ]

    def record_diagnosis(
        self,
        incident_id: str,
        run_id: str,
        diagnosed_at: datetime,
        status: IncidentStatus | None = None,
        cause: str | None = None,
        confidence: float | None = None,
        category: str | None = None,
    ) -> None:
        """Remember what a run found, once its status update is stored; `diagnosed_at` stays that of the first one.

        A status never takes the incident back from a later stage.
        """
        with self._database.write() as connection:
            row = incident_row(connection, incident_id)
            at = stamp(diagnosed_at)
            values: dict[str, Any] = {
                "diagnosed_at": row["diagnosed_at"] if row["diagnosed_at"] is not None else at,
                "last_diagnosed_at": at,
                "cause": redact(cause) if cause else None,
                "confidence": confidence,
                "category": category,
            }
            if status is not None and row["status"] in (IncidentStatus.INVESTIGATING, IncidentStatus.IDENTIFIED):
                values["status"] = IncidentStatus(status).value
            connection.execute(incidents.update().where(incidents.c.incident_id == incident_id).values(values))
            upsert(connection, runs, [{"run_id": run_id, "incident_id": incident_id, "at": at}])
            if row["diagnosed_at"] is None and row["replayed_from"] is None:
                count_first_update(connection, at - row["received_at"])
            note(connection, at, "diagnosed", incident_id, cause=cause, confidence=confidence)

    def events(self, incident_id: str | None = None) -> list[Event]:
        """What was done, oldest first."""
        query = events.select().order_by(events.c.event_id)
        if incident_id is not None:
            query = query.where(events.c.incident_id == incident_id)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [Event.model_validate({**row, "details": json.loads(row["details"])}) for row in rows]

    def heartbeat(self, name: str, now: datetime) -> None:
        """Say that a part of the application lives."""
        with self._database.write() as connection:
            upsert(connection, heartbeats, [{"name": name, "at": stamp(now)}], ("at",))

    def try_write(self) -> None:
        """Commit something that changes nothing for anybody.

        Raises:
            StoreError: nothing can be stored now.
        """
        with self._database.write() as connection:
            count(connection, "trial_writes")

    def state(self, now: datetime) -> InboxState:
        """The inbox in numbers."""
        with self._database.read() as connection:
            totals = dict(connection.execute(sa.select(counters.c.name, counters.c.value)).all())
            by_status = sa.select(incidents.c.status, sa.func.count()).group_by(incidents.c.status)
            by_state = sa.select(claims.c.state, sa.func.count()).group_by(claims.c.state)
            waiting = sa.select(sa.func.count(), sa.func.min(alerts.c.received_at)).where(
                alerts.c.incident_id.is_(None)
            )
            pending, oldest = connection.execute(waiting).one()
            due = due_now(stamp(now)).subquery()
            # closing out and repeating give way to first diagnoses, for hours where there is much to do
            is_first = sa.and_(due.c.due_job == RESPOND, due.c.responded_at.is_(None))
            first, later = (
                connection.execute(sa.select(sa.func.min(due.c.due_since)).where(which)).scalar()
                for which in (is_first, ~is_first)
            )
            unclaimed = [at for at in (oldest, first) if at is not None]
            failed = sa.select(sa.func.count()).where(incidents.c.failed_at.is_not(None))
            beats = connection.execute(sa.select(heartbeats.c.name, heartbeats.c.at)).all()
            return InboxState(
                accepted=totals.get("alerts_accepted", 0),
                pending=pending,
                oldest_unclaimed_seconds=max(0.0, stamp(now) - min(unclaimed)) if unclaimed else 0.0,
                oldest_postponed_seconds=max(0.0, stamp(now) - later) if later is not None else 0.0,
                incidents=dict(connection.execute(by_status).all()),
                claims=dict(connection.execute(by_state).all()),
                runs_succeeded=totals.get("runs_succeeded", 0),
                runs_failed=totals.get("runs_failed", 0),
                runs_lost=totals.get("runs_lost", 0),
                first_updates=first_updates(totals),
                source_errors=source_errors(totals),
                given_up=connection.execute(failed).scalar_one(),
                heartbeats=dict(beats),
                messages=unsent(connection),
            )


def _newest_deliveries(connection: sa.Connection, incident_id: str) -> list[Alert]:
    """Of the deliveries about one alert the newest; when it was first received stays."""
    query = alerts.select().where(alerts.c.incident_id == incident_id).order_by(alerts.c.alert_id)
    newest: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query).mappings():
        before = newest.get(row["identity"])
        if before is None:
            newest[row["identity"]] = dict(row)
        elif not (before["status"] == "resolved" and row["status"] != "resolved" and not _fires_again(before, row)):
            first = {name: min(before[name], row[name]) for name in ("started_at", "received_at")}
            newest[row["identity"]] = {**row, **first}
    return [alert_of(row) for row in sorted(newest.values(), key=lambda row: (row["started_at"], row["alert_id"]))]


def _fires_again(before: Row, row: Row) -> bool:
    """Whether an event is later than the recovery: a late delivery from before it is not."""
    ended = before["resolved_at"]
    return ended is not None and row["started_at"] > ended


def _services(connection: sa.Connection, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    columns = (alerts.c.incident_id, alerts.c.service, sa.func.min(alerts.c.started_at))
    for some in batches(names):
        query = sa.select(*columns).where(alerts.c.incident_id.in_(some), alerts.c.service.is_not(None))
        rows = connection.execute(query.group_by(alerts.c.incident_id, alerts.c.service))
        for name, service, _ in sorted(rows, key=lambda row: (row[2], row[1])):
            found[name][service] = None
    return defaultdict(tuple, {name: tuple(services) for name, services in found.items()})


def _counts(connection: sa.Connection, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in batches(names):
        query = sa.select(alerts.c.incident_id, sa.func.count(alerts.c.identity.distinct()))
        query = query.where(alerts.c.incident_id.in_(some)).group_by(alerts.c.incident_id)
        found.update(dict(connection.execute(query).all()))
    return found


def _runs(connection: sa.Connection, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for some in batches(names):
        query = runs.select().where(runs.c.incident_id.in_(some)).order_by(runs.c.at)
        for row in connection.execute(query).mappings():
            found[row["incident_id"]].append(row["run_id"])
    return defaultdict(tuple, {name: tuple(run_ids) for name, run_ids in found.items()})
