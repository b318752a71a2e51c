"""Where each action is on its way, from what is on record; pure.

Belongs here: which approvals stand, the state that follows, and the plan with those states and with the undoing that a
failed verification calls for. Does not belong here: the record itself (`records.py`), storing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from incident_pipeline.models import ActionState, RemediationAction
from incident_pipeline.remediation.records import Choice, Decision, Execution, ExecutionState, Verification, action_hash

_AS_IT_IS = {
    ExecutionState.EXECUTING: ActionState.EXECUTING,
    ExecutionState.UNKNOWN: ActionState.UNKNOWN,
    ExecutionState.DONE: ActionState.DONE,
    ExecutionState.FAILED: ActionState.FAILED,
    ExecutionState.UNDONE: ActionState.UNDONE,
}


def standing_approvals(
    decisions: Sequence[Decision], executions: Sequence[Execution], action: RemediationAction, now: datetime
) -> list[Decision]:
    """The approvals of this very action that count: after the last rejection and the last execution, not run out.

    Args:
        decisions: those on actions of the incident, oldest first.
        executions: those of the incident; an approval is used up by the execution that it led to.
        action: as it would be carried out now; an approval of anything else is void.
        now: the time.
    """
    used = max((e.decision_id for e in executions if e.action_id == action.action_id), default=0)
    wanted = action_hash(action)
    standing: list[Decision] = []
    for decision in decisions:
        if decision.action_id != action.action_id:
            continue
        if decision.decision is Choice.REJECTED:
            standing.clear()
        elif (
            decision.action_hash == wanted
            and decision.decision_id > used
            and decision.valid_until is not None
            and decision.valid_until > now
        ):
            standing.append(decision)
    return standing


def state_of(
    action: RemediationAction, decisions: Sequence[Decision], executions: Sequence[Execution], now: datetime
) -> ActionState:
    """Where an action is, by the newest thing on record about it."""
    own = [decision for decision in decisions if decision.action_id == action.action_id]
    latest = next((e for e in reversed(executions) if e.action_id == action.action_id), None)
    if latest is not None and latest.state in _AS_IT_IS:
        return _AS_IT_IS[latest.state]
    if latest is not None and latest.state is ExecutionState.QUEUED:
        if latest.action_hash != action_hash(action):
            return ActionState.PROPOSED
        return ActionState.APPROVED if latest.valid_until > now else ActionState.EXPIRED
    last = own[-1] if own else None
    if last is None:
        return ActionState.PROPOSED
    if last.decision is Choice.REJECTED:
        return ActionState.REJECTED
    ran_out = last.valid_until is not None and last.valid_until <= now
    return ActionState.EXPIRED if ran_out and last.action_hash == action_hash(action) else ActionState.PROPOSED


def with_states(
    actions: Sequence[RemediationAction],
    decisions: Sequence[Decision],
    executions: Sequence[Execution],
    now: datetime,
) -> tuple[RemediationAction, ...]:
    """The plan as people see it: each action in its state, and what was decided on although it is planned no more.

    After a verification that failed, the undoing comes first.
    """
    known = {action.action_id for action in actions}
    gone = {e.action_id: e.action for e in executions if e.action_id not in known and e.state is not _CANCELLED}
    every = [*undoings(executions), *actions]
    every += [action for action in gone.values() if action.action_id not in {one.action_id for one in every}]
    return tuple(action.model_copy(update={"state": state_of(action, decisions, executions, now)}) for action in every)


_CANCELLED = ExecutionState.CANCELLED


def undoings(executions: Sequence[Execution]) -> list[RemediationAction]:
    """What takes back the actions that were done and did not help."""
    newest = {execution.action_id: execution for execution in executions}
    return [
        _undoing(execution)
        for execution in newest.values()
        if execution.state is ExecutionState.DONE
        and execution.verification is Verification.FAILED
        and execution.action.undo_of is None
    ]


def _undoing(execution: Execution) -> RemediationAction:
    action, planned = execution.action, execution.planned
    return RemediationAction(
        action_id=f"undo-{action.action_id}",
        type=action.type,
        title=f"Undo: {action.title}",
        why=f"It did not help: {execution.verification_text}",
        target=action.target,
        command=planned.undo_command,
        risk=action.risk,
        risk_reasons=action.risk_reasons,
        expected_effect="The state from before the action.",
        verification=action.verification,
        undo=f"Do it again: {action.title}",
        environment=action.environment,
        needs=action.needs,
        call=planned.undo,
        undo_of=action.action_id,
    )
