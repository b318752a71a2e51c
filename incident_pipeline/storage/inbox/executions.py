"""Carrying out, exactly once: the intent on record before, the result after, and a fence in between.

    queued -> begin -> executing -> finish -> done | failed
                           |  (its process died, or its lease ran out)
                           v
                        unknown -> recheck -> done | failed, or a person settles it

Belongs here: the transitions, each one transaction. Does not belong here: what is done to the target
(`remediation/carrying_out.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from incident_pipeline.errors import NotFoundError, PolicyError
from incident_pipeline.models import IncidentStatus, RemediationAction
from incident_pipeline.remediation.records import Execution, Planned, Verification
from incident_pipeline.remediation.states import standing_approvals
from incident_pipeline.storage.database import upsert
from incident_pipeline.storage.inbox.action_rows import decision_of, execution_of
from incident_pipeline.storage.inbox.action_schema import action_decisions, executions, rehearsals
from incident_pipeline.storage.inbox.approvals import frozen_by
from incident_pipeline.storage.inbox.base import SYSTEM, InboxBase, note, stamp
from incident_pipeline.storage.inbox.schema import incidents
from kb.redaction import redact

OUTPUT_LIMIT = 20_000
GIST_LINES, GIST_LIMIT = 3, 300
"""Of what a target said, for the timeline."""


class Begun(NamedTuple):
    """Whether an execution may go on: its fencing number, or 0 and why not."""

    fence: int
    why_not: str = ""


class Rehearsal(NamedTuple):
    """What a dry run said about an action of this content."""

    planned: Planned
    output: str
    succeeded: bool


class Executions(InboxBase):
    """The inbox as those see it who carry actions out."""

    def executions(self, incident_id: str | None = None) -> list[Execution]:
        """Every execution, or those of one incident, oldest first."""
        query = executions.select().order_by(executions.c.execution_id)
        if incident_id is not None:
            query = query.where(executions.c.incident_id == incident_id)
        with self._database.read() as connection:
            return [execution_of(row) for row in connection.execute(query).mappings()]

    def executions_due(self, now: datetime) -> list[Execution]:
        """What somebody has to work on: queued, uncertain, or to be verified; nothing that a person does by hand.

        While everything is frozen, what is queued waits; what has been begun is looked after all the same. Incidents
        that were replayed from a folder, or merged into another one, are never acted on.
        """
        at = stamp(now)
        state, due = executions.c.state, executions.c.verification_due
        waits = (state == "queued") & ~executions.c.manual
        uncertain = ((state == "unknown") & (due <= at)) | ((state == "executing") & (executions.c.lease_until <= at))
        unverified = (executions.c.verification == Verification.PENDING.value) & (due <= at)
        with self._database.read() as connection:
            wanted = (uncertain | unverified) if frozen_by(connection) else (waits | uncertain | unverified)
            merged = incidents.c.status == IncidentStatus.MERGED.value
            real = incidents.c.incident_id == executions.c.incident_id, incidents.c.replayed_from.is_(None), ~merged
            query = sa.select(executions).join(incidents, sa.and_(*real)).where(wanted)
            rows = connection.execute(query.order_by(executions.c.execution_id)).mappings().all()
            return [execution_of(row) for row in rows]

    def begin_execution(
        self,
        execution_id: int,
        action: RemediationAction,
        action_hash: str,
        run_id: str,
        planned: Planned,
        now: datetime,
        lease: timedelta,
    ) -> Begun:
        """Put the intent on record, if everything that permits it still holds at this moment.

        Args:
            execution_id: which.
            action: as it is planned now.
            action_hash: the name of that content; an approval of anything else is void.
            run_id: who does it.
            planned: what will be done, and the state before.
            now: the time.
            lease: after this long without a result it is uncertain what happened.
        """
        with self._database.write() as connection:
            row = _row(connection, execution_id)
            if row.state != "queued":
                return Begun(0, f"it is {row.state} already")
            if freeze := frozen_by(connection):
                return Begun(0, f"everything is frozen by {freeze.who}")
            if why := _lapsed(connection, row, action, action_hash, now):
                _set(connection, row, state="cancelled", reason=why, finished_at=stamp(now))
                return Begun(0, why)
            fence = row.fence + 1
            _set(
                connection, row, state="executing", fence=fence, run_id=run_id, intent_at=stamp(now),
                lease_until=stamp(now + lease), planned=planned.model_dump_json(),
            )  # fmt: skip
            note(connection, stamp(now), "action_begun", row.incident_id, action=row.action_id, run=run_id)
            return Begun(fence)

    def cancel_execution(self, execution_id: int, why: str, now: datetime, state: str = "cancelled") -> bool:
        """Give up what has not been begun, as cancelled or as failed; False where it has."""
        with self._database.write() as connection:
            row = _row(connection, execution_id)
            if row.state != "queued":
                return False
            _set(connection, row, state=state, reason=redact(why), finished_at=stamp(now))
            note(connection, stamp(now), f"action_{state}", row.incident_id, action=row.action_id, why=why)
            return True

    def finish_execution(
        self,
        execution_id: int,
        fence: int,
        state: str,
        now: datetime,
        *,
        reason: str = "",
        output: str = "",
        exit_status: int | None = None,
        look_at: datetime | None = None,
    ) -> bool:
        """Put the result on record; False where somebody with a higher number has taken over.

        Args:
            execution_id: which.
            fence: the number that `begin_execution` or `recheck_execution` gave.
            state: done, failed, or unknown where that cannot be told.
            now: the time.
            reason: one sentence.
            output: what the target said; redacted and cut here.
            exit_status: of a command, or an HTTP status.
            look_at: when to look next: whether it helped, or, where that is unknown, whether it happened.
        """
        with self._database.write() as connection:
            row = _row(connection, execution_id)
            if row.fence != fence or row.state not in ("executing", "unknown"):
                return False
            looked = Verification.PENDING if look_at is not None and state == "done" else Verification.NONE
            _set(
                connection, row, state=state, reason=redact(reason), output=redact(output)[:OUTPUT_LIMIT],
                exit_status=exit_status, finished_at=None if state == "unknown" else stamp(now),
                verification=looked.value, verification_due=stamp(look_at) if look_at else None,
            )  # fmt: skip
            said = {"action": row.action_id, "why": reason, "output": _gist(redact(output))}
            note(connection, stamp(now), f"action_{state}", row.incident_id, **said)
            if state == "done" and row.action.undo_of:
                _mark_undone(connection, row, stamp(now))
            return True

    def recheck_execution(self, execution_id: int, run_id: str, now: datetime) -> Begun:
        """Take over what is uncertain, to look at the target, never to repeat; whoever had it before is fenced off."""
        with self._database.write() as connection:
            row = _row(connection, execution_id)
            over = row.lease_until is None or row.lease_until <= now
            if row.state != "unknown" and not (row.state == "executing" and over):
                return Begun(0, f"it is {row.state}")
            fence = row.fence + 1
            _set(connection, row, state="unknown", fence=fence, run_id=run_id)
            return Begun(fence)

    def abandon_executions(self, run_id: str, now: datetime) -> int:
        """The process of a run has died: what it had begun is uncertain from now on. Returns how many."""
        with self._database.write() as connection:
            query = executions.select().where(executions.c.run_id == run_id, executions.c.state == "executing")
            rows = [execution_of(row) for row in connection.execute(query).mappings().all()]
            for row in rows:
                died = "the process died before the result was on record"
                _set(connection, row, state="unknown", reason=died, verification_due=stamp(now))
                note(connection, stamp(now), "action_unknown", row.incident_id, action=row.action_id, run=run_id)
            return len(rows)

    def settle_execution(
        self, incident_id: str, action_id: str, happened: bool, who: str, now: datetime, comment: str = ""
    ) -> Execution:
        """A person says how it ended: what nobody else can tell, and what is done by hand.

        Raises:
            PolicyError: there is nothing to settle.
        """
        with self._database.write() as connection:
            query = executions.select().where(
                executions.c.incident_id == incident_id, executions.c.action_id == action_id
            )
            rows = connection.execute(query.order_by(executions.c.execution_id.desc())).mappings().all()
            row = execution_of(rows[0]) if rows else None
            if row is None or not (row.state == "unknown" or (row.state == "queued" and row.manual)):
                state = f"is {row.state}" if row else "has not been approved"
                raise PolicyError(f"{action_id} {state}; only what is uncertain or done by hand can be settled")
            state = "done" if happened else "failed"
            reason = f"{who} says so" + (f": {comment}" if comment else "")
            _set(
                connection, row, state=state, reason=redact(reason), fence=row.fence + 1,
                intent_at=stamp(row.intent_at or now), finished_at=stamp(now),
            )  # fmt: skip
            note(connection, stamp(now), f"action_{state}", incident_id, who, action=action_id, why=comment)
            if state == "done" and row.action.undo_of:
                _mark_undone(connection, row, stamp(now))
            return _row(connection, row.execution_id)

    def record_verification(self, execution_id: int, outcome: Verification, text: str, now: datetime) -> bool:
        """Whether it helped; False where that is on record already."""
        with self._database.write() as connection:
            row = _row(connection, execution_id)
            if row.verification is not Verification.PENDING:
                return False
            _set(connection, row, verification=outcome.value, verification_text=redact(text))
            kind = f"verification_{outcome.value}"
            note(connection, stamp(now), kind, row.incident_id, action=row.action_id, why=text)
            return True

    def postpone_verification(self, execution_id: int, text: str, until: datetime) -> bool:
        """Whether it helped cannot be told yet, and why; False where that is on record already."""
        with self._database.write() as connection:
            row = _row(connection, execution_id)
            if row.verification is not Verification.PENDING:
                return False
            _set(connection, row, verification_text=redact(text), verification_due=stamp(until))
            return True

    def rehearsal(self, incident_id: str, action_hash: str) -> Rehearsal | None:
        """What the last dry run of this content said."""
        query = rehearsals.select().filter_by(incident_id=incident_id, action_hash=action_hash)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return Rehearsal(Planned.model_validate_json(row["planned"]), row["output"], row["succeeded"])

    def record_rehearsal(
        self, incident_id: str, action_id: str, action_hash: str, found: Rehearsal, now: datetime
    ) -> None:
        """Keep what a dry run said; the newest counts. Whoever tells people hears of it when it says something new."""
        values = {
            "incident_id": incident_id,
            "action_hash": action_hash,
            "planned": found.planned.model_dump_json(),
            "output": redact(found.output)[:OUTPUT_LIMIT],
            "succeeded": found.succeeded,
            "at": stamp(now),
        }
        key = {"incident_id": incident_id, "action_hash": action_hash}
        with self._database.write() as connection:
            before = connection.execute(rehearsals.select().filter_by(**key)).mappings().first()
            upsert(connection, rehearsals, [values], ("planned", "output", "succeeded", "at"))
            if before is None or before["output"] != values["output"]:
                note(connection, stamp(now), "action_rehearsed", incident_id, action=action_id)


def _lapsed(
    connection: sa.Connection, row: Execution, action: RemediationAction, action_hash: str, now: datetime
) -> str:
    """Why an execution that waits may not begin any more; empty where it may."""
    if row.action_hash != action_hash:
        return "the plan changed after the approval"
    if row.valid_until <= now:
        return "the approval expired"
    if row.automatic:
        return ""
    query = action_decisions.select().filter_by(incident_id=row.incident_id, action_id=row.action_id)
    decisions = [
        decision_of(one) for one in connection.execute(query.order_by(action_decisions.c.decision_id)).mappings()
    ]
    before = _others(connection, row)
    people = {decision.who for decision in standing_approvals(decisions, before, action, now)}
    return "" if len(people) >= row.quorum else f"{len(people)} of {row.quorum} approvals stand"


def _others(connection: sa.Connection, row: Execution) -> Sequence[Execution]:
    """The executions of the same action before this one: their approvals are used up."""
    query = executions.select().where(
        executions.c.incident_id == row.incident_id,
        executions.c.action_id == row.action_id,
        executions.c.execution_id < row.execution_id,
    )
    return [execution_of(one) for one in connection.execute(query).mappings()]


def _mark_undone(connection: sa.Connection, row: Execution, at: float) -> None:
    where = (executions.c.incident_id == row.incident_id) & (executions.c.action_id == row.action.undo_of)
    values = {"state": "undone", "reason": f"taken back by {row.action_id}"}
    connection.execute(executions.update().where(where & (executions.c.state == "done")).values(values))
    note(connection, at, "action_undone", row.incident_id, SYSTEM, action=row.action.undo_of)


def _gist(output: str) -> str:
    """What was said, short enough for one line of a timeline."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    gist = " / ".join(lines[:GIST_LINES])
    cut = len(lines) > GIST_LINES or len(gist) > GIST_LIMIT
    return f"{gist[:GIST_LIMIT]} ..." if cut else gist


def _row(connection: sa.Connection, execution_id: int) -> Execution:
    row = connection.execute(executions.select().filter_by(execution_id=execution_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no execution {execution_id}")
    return execution_of(row)


def _set(connection: sa.Connection, row: Execution, **values: Any) -> None:
    connection.execute(executions.update().where(executions.c.execution_id == row.execution_id).values(**values))
