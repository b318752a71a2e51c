"""Who diagnoses which incident now: the one claim for every way in.

Belongs here: claims with a lease and an attempt number, and when an incident waits for its next run.
Does not belong here: starting runs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from incident_pipeline.durations import format_duration
from incident_pipeline.errors import NotFoundError
from incident_pipeline.models import IncidentStatus, Severity
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.base import ENDED, InboxBase, Row, count, incident_row, moment_of, note, stamp
from incident_pipeline.storage.inbox.claim_choice import due_now, most_urgent
from incident_pipeline.storage.inbox.due import CLOSE_OUT, NOTHING_DUE, RESPOND, change, due, is_first, over
from incident_pipeline.storage.inbox.schema import IS_LIVE, LIVE_CLAIM_STATES, claims, runs

MAX_FAILURES = 5
"""Failed runs in a row after which an incident is given up, visibly."""
MAX_LOSSES = 20
"""Runs in a row whose process died: the machine's fault more often than the incident's, so more patience."""


class Claim(NamedTuple):
    """The right to run one job for one incident until the lease ends."""

    claim_id: str
    incident_id: str
    attempt: int
    job: str
    reason: str
    severity: Severity
    run_id: str | None = None
    lease_until: datetime | None = None


class Claims(InboxBase):
    """The inbox as the dispatcher and the runs see it."""

    def claim(self, now: datetime, lease: timedelta, limit: int) -> list[Claim]:
        """Claim incidents that wait, most urgent first, so that at most `limit` leases live over all processes."""
        at = stamp(now)
        with self._database.read() as connection:
            if connection.execute(due_now(at).limit(1)).first() is None:
                return []
        with self._database.write() as connection:
            live = IS_LIVE & (claims.c.lease_until > at)
            free = limit - connection.execute(sa.select(sa.func.count()).select_from(claims).where(live)).scalar_one()
            chosen = most_urgent(connection, at, free) if free > 0 else []
            return [_take(connection, row, at, lease) for row in chosen]

    def launched(self, claim_id: str, run_id: str, now: datetime) -> None:
        """Remember the run that was started for a claim."""
        with self._database.write() as connection:
            row = _claim_row(connection, claim_id)
            if row["state"] == "claimed":
                _set(connection, claim_id, state="launched", run_id=run_id)
            _remember_run(connection, run_id, row["incident_id"], now)

    def begin(self, claim_id: str, run_id: str, now: datetime) -> bool:
        """Ask, as the first thing in a run, whether it may go on: False when another run or attempt took over."""
        with self._database.write() as connection:
            row = _claim_row(connection, claim_id)
            if row["state"] not in LIVE_CLAIM_STATES or row["run_id"] not in (None, run_id):
                return False
            _set(connection, claim_id, state="running", run_id=run_id)
            _remember_run(connection, run_id, row["incident_id"], now)
            return True

    def renew(self, claim_id: str, now: datetime, lease: timedelta) -> bool:
        """Extend a lease; False when the claim is no longer this run's."""
        with self._database.write() as connection:
            row = _claim_row(connection, claim_id)
            if row["state"] not in LIVE_CLAIM_STATES:
                return False
            _set(connection, claim_id, lease_until=max(row["lease_until"], stamp(now + lease)))
            return True

    def finish(self, claim_id: str, now: datetime, succeeded: bool, error: str | None = None) -> bool:
        """End a claim and let the incident wait for what comes next; False when it had been taken over."""
        with self._database.write() as connection:
            claim = _claim_row(connection, claim_id)
            if claim["state"] not in LIVE_CLAIM_STATES:
                return False
            state = "succeeded" if succeeded else "failed"
            _set(connection, claim_id, state=state, finished_at=stamp(now), error=error)
            incident = incident_row(connection, claim["incident_id"])
            if succeeded:
                count(connection, "runs_succeeded")
                self._after_success(connection, claim, incident, stamp(now))
            else:
                count(connection, "runs_failed")
                _after_failure(connection, claim, incident, stamp(now), error or "the run failed", "failures")
            return True

    def expired(self, now: datetime) -> list[Claim]:
        """Claims whose lease ran out; each blocks its incident until it is finished or released."""
        query = claims.select().where(IS_LIVE, claims.c.lease_until <= stamp(now))
        with self._database.read() as connection:
            return [_claim(row) for row in connection.execute(query.order_by(claims.c.claimed_at)).mappings()]

    def live_claims(self) -> list[Claim]:
        """Claims that are neither finished nor released, whatever their lease says."""
        query = claims.select().where(IS_LIVE).order_by(claims.c.claimed_at)
        with self._database.read() as connection:
            return [_claim(row) for row in connection.execute(query).mappings()]

    def release(self, claim_id: str, now: datetime, error: str | None = None) -> bool:
        """Take a claim away from a run that is dead; its incident waits again. False when it had ended already."""
        with self._database.write() as connection:
            claim = _claim_row(connection, claim_id)
            if claim["state"] not in LIVE_CLAIM_STATES:
                return False
            why = error or "the run died"
            _set(connection, claim_id, state="lost", finished_at=stamp(now), error=why)
            count(connection, "runs_lost")
            incident = incident_row(connection, claim["incident_id"])
            _after_failure(connection, claim, incident, stamp(now), why, "losses")
            return True

    def put_back(self, claim_id: str, now: datetime) -> bool:
        """Undo a claim whose run could not be launched: nobody's fault but the launcher's, so it counts for nothing."""
        with self._database.write() as connection:
            claim = _claim_row(connection, claim_id)
            if claim["state"] not in LIVE_CLAIM_STATES:
                return False
            _set(connection, claim_id, state="put_back", finished_at=stamp(now), again=False)
            incident = incident_row(connection, claim["incident_id"])
            if incident["status"] != IncidentStatus.MERGED.value:
                change(connection, incident, due(incident, claim["claimed_at"], claim["job"], claim["reason"]))
            return True

    def _after_success(self, connection: sa.Connection, claim: Row, incident: Row, now: float) -> None:
        values: dict[str, Any] = {"failures": 0, "losses": 0, "failed_at": None, "failure": None}
        values["closed_out_at" if claim["job"] == CLOSE_OUT else "responded_at"] = now
        incident = change(connection, incident, values)
        if incident["status"] == IncidentStatus.MERGED.value:
            return
        if incident["status"] in ENDED:
            if claim["job"] == RESPOND and incident["closed_out_at"] is None:
                change(connection, incident, over(incident, now))
            return
        for update in self._updates:
            if incident["received_at"] + update > claim["claimed_at"] and update > 0:
                reason = f"update after {format_duration(timedelta(seconds=update))}"
                change(connection, incident, due(incident, incident["received_at"] + update, RESPOND, reason))
                return


def _take(connection: sa.Connection, row: Row, at: float, lease: timedelta) -> Claim:
    attempt = row["attempts"] + 1
    repeats = row["due_job"] == RESPOND and not is_first(row)
    values = {
        "claim_id": f"{row['incident_id']}:{attempt}",
        "incident_id": row["incident_id"],
        "attempt": attempt,
        "job": row["due_job"],
        "reason": row["due_reason"],
        "severity": row["severity"],
        "again": repeats,
        "state": "claimed",
        "claimed_at": at,
        "lease_until": at + lease.total_seconds(),
    }
    connection.execute(claims.insert().values(values))
    change(
        connection,
        row,
        {"attempts": attempt, "repeats": row["repeats"] + int(repeats), "last_claimed_at": at, **NOTHING_DUE},
    )
    return _claim({**values, "run_id": None})


def _after_failure(connection: sa.Connection, claim: Row, incident: Row, now: float, why: str, tally: str) -> None:
    tries = incident[tally] + 1
    if incident["status"] == IncidentStatus.MERGED.value:
        return
    if tries >= (MAX_FAILURES if tally == "failures" else MAX_LOSSES):
        given_up = {tally: tries, "failed_at": now, "failure": why, **NOTHING_DUE}
        change(connection, incident, given_up)
        note(connection, now, "diagnosis_given_up", incident["incident_id"], after=tries, error=why)
        return
    wait = 5.0 * 3 ** (tries - 1) if tally == "failures" else 0.0
    retry = {
        "due_at": now + wait,
        "due_since": now + wait,
        "due_job": claim["job"],
        "due_reason": f"attempt {claim['attempt']} did not end well",
    }
    change(connection, incident, {tally: tries, **retry})


def _claim_row(connection: sa.Connection, claim_id: str) -> Row:
    row = connection.execute(claims.select().where(claims.c.claim_id == claim_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no claim {claim_id!r}")
    return row


def _set(connection: sa.Connection, claim_id: str, **values: Any) -> None:
    connection.execute(claims.update().where(claims.c.claim_id == claim_id).values(**values))


def _remember_run(connection: sa.Connection, run_id: str, incident_id: str, now: datetime) -> None:
    upsert(connection, runs, [{"run_id": run_id, "incident_id": incident_id, "at": stamp(now)}])


def _claim(row: Row) -> Claim:
    return Claim(
        row["claim_id"],
        row["incident_id"],
        row["attempt"],
        row["job"],
        row["reason"],
        Severity(row["severity"]),
        row["run_id"],
        moment_of(row["lease_until"]),
    )
