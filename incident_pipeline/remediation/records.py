"""What is on record about an action: who decided what, and what was carried out with which result.

Belongs here: the records as frozen values, and the name of an action's content. Does not belong here: storing them
(`storage/approvals.py`, `storage/executions.py`), or what follows from them (`states.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from incident_pipeline.models import ActionCall, Model, RemediationAction, Utc


class Choice(StrEnum):
    """What a person says about an action."""

    APPROVED = "approved"
    REJECTED = "rejected"


class Decision(Model):
    """One yes or no; nothing of it is ever changed."""

    decision_id: int
    incident_id: str
    action_id: str
    action_hash: str
    """What exactly was decided on."""
    decision: Choice
    who: str
    via: str
    """cli, http, slack or policy."""
    origin: str = ""
    """From where: an address, a host, a workspace."""
    comment: str = ""
    dry_run: str = ""
    """What would be done, as the target had said to whoever decided: the steps, then its answer."""
    rule: str = ""
    """The rule of the policy that asked for it."""
    at: Utc
    valid_until: Utc | None = None


class ExecutionState(StrEnum):
    """Where an execution is on its way."""

    QUEUED = "queued"
    EXECUTING = "executing"
    """The intent is on record; whether the target was reached is known only with the result."""
    UNKNOWN = "unknown"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"
    CANCELLED = "cancelled"
    """Never begun: rejected, expired, or the plan changed."""


LIVE = (ExecutionState.QUEUED, ExecutionState.EXECUTING, ExecutionState.UNKNOWN)
"""States in which another execution of the same action must not exist."""


class Verification(StrEnum):
    """Whether it helped."""

    NONE = "none"
    """Nothing to look at is known."""
    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"
    UNTOLD = "untold"
    """The series could not be read."""


class Planned(Model):
    """What an executor is going to do, resolved against the target."""

    steps: tuple[str, ...] = ()
    """As a person reads them: command lines, requests."""
    before: dict[str, str] = Field(default_factory=dict)
    """The target's state that it starts from; tells afterwards whether it happened."""
    wanted: dict[str, str] = Field(default_factory=dict)
    """The target's state that it leads to, as far as that can be seen."""
    undo: ActionCall | None = None
    """What leads back to the state before."""
    undo_command: str | None = None


class Execution(Model):
    """One carrying out of one action."""

    execution_id: int
    incident_id: str
    action_id: str
    action_hash: str
    decision_id: int
    """The last decision that led to it; later ones are about what comes after."""
    action: RemediationAction
    state: ExecutionState
    reason: str = ""
    """Why it is in this state, where that needs a word."""
    manual: bool = False
    """A person does it by hand and says how it ended."""
    automatic: bool = False
    rule: str = ""
    quorum: int = 1
    queued_at: Utc
    valid_until: Utc
    fence: int = 0
    """Counts who works on it; a result with an older number is refused."""
    run_id: str | None = None
    intent_at: Utc | None = None
    lease_until: Utc | None = None
    planned: Planned = Planned()
    finished_at: Utc | None = None
    output: str = ""
    exit_status: int | None = None
    verification: Verification = Verification.NONE
    verification_due: Utc | None = None
    verification_text: str = ""


class ExecutedAction(Model):
    """What was done about an incident, by whom it was permitted and how it ended: a row of `executed_actions`."""

    execution_id: int
    action_id: str
    title: str
    type: str
    target: str | None = None
    state: ExecutionState
    reason: str = ""
    approved_by: tuple[str, ...] = ()
    automatic: bool = False
    rule: str = ""
    action_hash: str
    queued_at: Utc
    began_at: Utc | None = None
    finished_at: Utc | None = None
    steps: tuple[str, ...] = ()
    output: str = ""
    exit_status: int | None = None
    verification: Verification = Verification.NONE
    verification_text: str = ""


def approvals_of(execution: Execution, decisions: Sequence[Decision]) -> list[Decision]:
    """The approvals that an execution came from: the last ones before it, as many as were needed."""
    before = [
        decision
        for decision in decisions
        if decision.action_id == execution.action_id
        and decision.action_hash == execution.action_hash
        and decision.decision is Choice.APPROVED
        and decision.decision_id <= execution.decision_id
    ]
    return before[-execution.quorum :]


def executed(execution: Execution, decisions: Sequence[Decision]) -> ExecutedAction:
    """One execution as people and documents see it."""
    approvals = approvals_of(execution, decisions)
    return ExecutedAction(
        **execution.model_dump(
            include={
                "execution_id", "action_id", "state", "reason", "automatic", "rule", "action_hash", "queued_at",
                "finished_at", "output", "exit_status", "verification", "verification_text",
            }
        ),
        title=execution.action.title,
        type=execution.action.type.value,
        target=execution.action.target,
        approved_by=tuple(dict.fromkeys(one.who for one in approvals)),
        began_at=execution.intent_at,
        steps=execution.planned.steps,
    )  # fmt: skip


def action_hash(action: RemediationAction) -> str:
    """The name of what would be done: 64 hex digits; the wording of reasons and of the verification is not part."""
    content = {
        "action_id": action.action_id,
        "type": action.type.value,
        "title": action.title,
        "target": action.target,
        "environment": action.environment,
        "command": action.command,
        "risk": action.risk.value,
        "missing": action.missing,
        "undo_of": action.undo_of,
        "call": action.call.model_dump(mode="json") if action.call else None,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
