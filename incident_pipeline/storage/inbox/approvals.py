"""What people decided on actions, and the switch that stops everything.

Belongs here: decisions, appended and never changed; the execution that a complete approval queues, in the same
transaction; the freeze switch. Does not belong here: who may decide (`remediation/policy.py`), and executing
(`executions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from incident_pipeline.errors import PolicyError
from incident_pipeline.models import RemediationAction, Utc
from incident_pipeline.remediation.records import Choice, Decision, Execution, action_hash
from incident_pipeline.remediation.states import standing_approvals
from incident_pipeline.storage.inbox.action_rows import decision_of, execution_of
from incident_pipeline.storage.inbox.action_schema import action_decisions, executions, freezes
from incident_pipeline.storage.inbox.base import InboxBase, incident_row, moment_of, note, stamp
from kb.redaction import redact

_NOT_AGAIN = {
    "queued": "is approved already",
    "executing": "is being carried out",
    "unknown": "may have been carried out; say with `settle` whether it was",
    "done": "has been carried out",
}


class Terms(NamedTuple):
    """What the policy asks of an approval."""

    rule: str
    quorum: int = 1
    valid_for: timedelta = timedelta(hours=1)
    manual: bool = False
    """A person carries it out by hand."""
    automatic: bool = False
    per_day: int = 0
    """For `automatic`: how often within 24 hours."""


class Freeze(NamedTuple):
    """Who stopped everything, when and why."""

    who: str
    why: str
    at: Utc | None


class Approvals(InboxBase):
    """The inbox as those see it who decide on actions."""

    def decide(
        self,
        incident_id: str,
        action: RemediationAction,
        choice: Choice,
        who: str,
        via: str,
        terms: Terms,
        now: datetime,
        *,
        origin: str = "",
        comment: str = "",
        dry_run: str = "",
        again: bool = False,
    ) -> Execution | None:
        """Append a decision; when it completes what the policy asks for, the execution is queued with it.

        Returns:
            The execution that was queued or, by a rejection, cancelled; None where nothing follows yet.

        Raises:
            NotFoundError: there is no such incident.
            PolicyError: the action is on its way or done, the person has approved already, or it was rejected and
                `again` does not say that this is known.
        """
        with self._database.write() as connection:
            incident_row(connection, incident_id)
            latest = _latest(connection, incident_id, action.action_id)
            earlier = _decisions(connection, incident_id, action.action_id)
            if choice is Choice.REJECTED:
                cancelled = _cancel_queued(connection, latest, f"rejected by {who}", now)
            else:
                cancelled = None
                latest = _make_way(connection, latest, action, now)
                _refuse_repetition(action, latest, earlier, again)
                _refuse_second_voice(action, earlier, latest, who, now)
            row = _decision_values(incident_id, action, choice, who, via, terms, now)
            row |= {"origin": redact(origin), "comment": redact(comment), "dry_run": redact(dry_run)}
            number = _append(connection, row)
            note(
                connection, stamp(now), f"action_{choice}", incident_id, who,
                action=action.action_id, via=via, comment=comment,
            )  # fmt: skip
            if choice is Choice.REJECTED:
                return cancelled
            standing = standing_approvals(
                _decisions(connection, incident_id, action.action_id), [latest] if latest else [], action, now
            )
            if len({decision.who for decision in standing}) < terms.quorum:
                return None
            return _queue(connection, incident_id, action, terms._replace(automatic=False), now, number, standing)

    def permit(self, incident_id: str, action: RemediationAction, terms: Terms, now: datetime) -> Execution | None:
        """Queue what the policy lets run by itself; None where it ran already, or too often within 24 hours.

        Raises:
            NotFoundError: there is no such incident.
        """
        with self._database.write() as connection:
            incident_row(connection, incident_id)
            # once in the life of an incident: what comes after that, a person decides
            if _latest(connection, incident_id, action.action_id) is not None:
                return None
            if _decisions(connection, incident_id, action.action_id):
                return None
            if _automatic_runs(connection, terms.rule, now) >= terms.per_day:
                return None
            row = _decision_values(incident_id, action, Choice.APPROVED, "policy", "policy", terms, now)
            number = _append(connection, {**row, "origin": "", "comment": "", "dry_run": ""})
            note(connection, stamp(now), "action_permitted", incident_id, action=action.action_id, rule=terms.rule)
            return _queue(connection, incident_id, action, terms, now, number, ())

    def action_decisions(self, incident_id: str) -> list[Decision]:
        """What was decided on the actions of an incident, oldest first."""
        with self._database.read() as connection:
            return _decisions(connection, incident_id)

    def automatic_runs(self, rule: str, now: datetime) -> int:
        """How often a rule has let something run by itself within 24 hours."""
        with self._database.read() as connection:
            return _automatic_runs(connection, rule, now)

    def freeze(self, who: str, why: str, now: datetime) -> None:
        """Stop all execution everywhere, from this moment."""
        self._switch(True, who, why, now)

    def unfreeze(self, who: str, why: str, now: datetime) -> None:
        """Let executions go on."""
        self._switch(False, who, why, now)

    def frozen(self) -> Freeze | None:
        """Who stopped everything, if somebody did."""
        with self._database.read() as connection:
            return frozen_by(connection)

    def _switch(self, frozen: bool, who: str, why: str, now: datetime) -> None:
        with self._database.write() as connection:
            values = {"frozen": frozen, "who": who, "why": redact(why), "at": stamp(now)}
            connection.execute(freezes.insert().values(values))
            note(connection, stamp(now), "frozen" if frozen else "unfrozen", None, who, why=why)


def frozen_by(connection: sa.Connection) -> Freeze | None:
    """Who stopped everything, if somebody did."""
    row = connection.execute(freezes.select().order_by(freezes.c.freeze_id.desc()).limit(1)).mappings().first()
    return Freeze(row["who"], row["why"], moment_of(row["at"])) if row is not None and row["frozen"] else None


def _decision_values(
    incident_id: str, action: RemediationAction, choice: Choice, who: str, via: str, terms: Terms, now: datetime
) -> dict[str, object]:
    return {
        "incident_id": incident_id,
        "action_id": action.action_id,
        "action_hash": action_hash(action),
        "decision": choice.value,
        "who": who,
        "via": via,
        "rule": terms.rule,
        "action": action.model_dump_json(),
        "at": stamp(now),
        "valid_until": stamp(now + terms.valid_for) if choice is Choice.APPROVED else None,
    }


def _refuse_repetition(
    action: RemediationAction, latest: Execution | None, earlier: Sequence[Decision], again: bool
) -> None:
    if latest is not None and (why := _NOT_AGAIN.get(latest.state)):
        raise PolicyError(f"{action.action_id} {why}; an action is carried out once")
    said = earlier[-1] if earlier else None
    if said is not None and said.decision is Choice.REJECTED and not again:
        raise PolicyError(
            f"{action.action_id} was rejected by {said.who} at {said.at:%H:%M} UTC; --again approves it all the same"
        )


def _refuse_second_voice(
    action: RemediationAction, earlier: Sequence[Decision], latest: Execution | None, who: str, now: datetime
) -> None:
    if any(one.who == who for one in standing_approvals(earlier, [latest] if latest else [], action, now)):
        raise PolicyError(f"{who} has approved {action.action_id} already; another person has to agree, too")


def _append(connection: sa.Connection, row: dict[str, object]) -> int:
    statement = action_decisions.insert().values(row).returning(action_decisions.c.decision_id)
    return int(connection.execute(statement).scalar_one())


def _make_way(
    connection: sa.Connection, latest: Execution | None, action: RemediationAction, now: datetime
) -> Execution | None:
    """An execution that waits and can never begin again is cancelled before another decision is taken."""
    if latest is None or latest.state != "queued":
        return latest
    if latest.action_hash != action_hash(action):
        return _cancel_queued(connection, latest, "the plan changed after the approval", now)
    if latest.valid_until <= now:
        return _cancel_queued(connection, latest, "the approval expired", now)
    return latest


def _cancel_queued(connection: sa.Connection, latest: Execution | None, why: str, now: datetime) -> Execution | None:
    if latest is None or latest.state != "queued":
        return None
    cancelled = {"state": "cancelled", "reason": why, "finished_at": stamp(now)}
    where = (executions.c.execution_id == latest.execution_id) & (executions.c.state == "queued")
    connection.execute(executions.update().where(where).values(cancelled))
    return latest.model_copy(update={"state": "cancelled", "reason": why})


def _queue(
    connection: sa.Connection,
    incident_id: str,
    action: RemediationAction,
    terms: Terms,
    now: datetime,
    decision_id: int,
    standing: Sequence[Decision],
) -> Execution:
    ends = [decision.valid_until for decision in standing if decision.valid_until is not None]
    values = {
        "incident_id": incident_id,
        "action_id": action.action_id,
        "action_hash": action_hash(action),
        "decision_id": decision_id,
        "action": action.model_dump_json(),
        "state": "queued",
        "reason": "",
        "manual": terms.manual,
        "automatic": terms.automatic,
        "rule": terms.rule,
        "quorum": terms.quorum,
        "queued_at": stamp(now),
        # as long as all of those are good that were needed
        "valid_until": stamp(min(ends)) if ends else stamp(now + terms.valid_for),
        "fence": 0,
        "planned": "{}",
        "output": "",
        "verification": "none",
        "verification_text": "",
    }
    result = connection.execute(executions.insert().values(values).returning(executions.c.execution_id))
    return execution_of({**_NOTHING, **values, "execution_id": result.scalar_one()})


_NOTHING = dict.fromkeys(("run_id", "intent_at", "lease_until", "finished_at", "exit_status", "verification_due"), None)


def _decisions(connection: sa.Connection, incident_id: str, action_id: str | None = None) -> list[Decision]:
    query = action_decisions.select().where(action_decisions.c.incident_id == incident_id)
    if action_id is not None:
        query = query.where(action_decisions.c.action_id == action_id)
    rows = connection.execute(query.order_by(action_decisions.c.decision_id)).mappings()
    return [decision_of(row) for row in rows]


def _latest(connection: sa.Connection, incident_id: str, action_id: str) -> Execution | None:
    query = executions.select().where(executions.c.incident_id == incident_id, executions.c.action_id == action_id)
    row = connection.execute(query.order_by(executions.c.execution_id.desc()).limit(1)).mappings().first()
    return execution_of(row) if row is not None else None


def _automatic_runs(connection: sa.Connection, rule: str, now: datetime) -> int:
    since = stamp(now - timedelta(hours=24))
    query = sa.select(sa.func.count()).select_from(executions)
    query = query.where(executions.c.automatic, executions.c.rule == rule, executions.c.queued_at > since)
    return int(connection.execute(query).scalar_one())
