"""Carrying out what was approved, once: plan, dry run, intent on record, execution, result on record, and a look at it.

The order is what keeps it safe: nothing acts before `begin_execution` has put the intent on record, and what has begun
is never begun again. After a crash in between, the target is looked at; where that cannot tell, a person is asked.

Belongs here: the order of the steps, for whatever executor. Does not belong here: who may decide (`approvals.py`), what
systems are asked (`executors/`), whether it helped (`verification.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from incident_pipeline.application import Application
from incident_pipeline.errors import ConfigurationError, NotFoundError, SourceError, TransientSourceError
from incident_pipeline.models import ActionCall, RemediationAction
from incident_pipeline.remediation.approvals import still_planned
from incident_pipeline.remediation.executors.base import Effect, Executor, FindExecutor, Outcome, Seen, steps_text
from incident_pipeline.remediation.executors.registry import executor_named
from incident_pipeline.remediation.policy import Mode, judge
from incident_pipeline.remediation.records import (
    ExecutedAction,
    Execution,
    ExecutionState,
    Planned,
    Verification,
    action_hash,
    approvals_of,
    executed,
)
from incident_pipeline.remediation.resolving import described
from incident_pipeline.remediation.verification import verify_effect
from kb.redaction import redact

LOG = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(seconds=5)
"""When a target is looked at again that may still be working on it."""
ASK_AGAIN = timedelta(minutes=10)
"""When a target is looked at again that could not tell."""
READ_AGAIN = timedelta(minutes=1)
"""When a series is read again whose source did not answer."""


class _Work(NamedTuple):
    """What one run works with."""

    application: Application
    run_id: str
    now: Callable[[], datetime]
    find: FindExecutor

    @property
    def lease(self) -> timedelta:
        """By then a command or a request has ended, whatever became of the process that started it."""
        return self.application.scenario.remediation.execution.time_limit * 2 + timedelta(seconds=30)


def carry_out(
    application: Application,
    incident_id: str,
    run_id: str,
    now: Callable[[], datetime],
    find: FindExecutor | None = None,
) -> tuple[ExecutedAction, ...]:
    """Do all that is due on the actions of an incident; returns everything that was ever done on it.

    Args:
        application: where the record, the plan and the policy are.
        incident_id: the incident.
        run_id: who does it.
        now: the clock.
        find: gives the executor of a name; by default those of the configuration.
    """
    work = _Work(application, run_id, now, find or (lambda name: executor_named(name, application.scenario)))
    inbox = application.inbox
    for execution in inbox.executions_due(now()):
        if execution.incident_id != incident_id:
            continue
        if execution.state is ExecutionState.QUEUED:
            _begin_and_execute(work, execution)
        elif execution.state in (ExecutionState.UNKNOWN, ExecutionState.EXECUTING):
            _recheck(work, execution)
        elif execution.verification is Verification.PENDING:
            _verify(application, execution, now)
    decisions = inbox.action_decisions(incident_id)
    return tuple(executed(execution, decisions) for execution in inbox.executions(incident_id))


def _verify(application: Application, execution: Execution, now: Callable[[], datetime]) -> None:
    outcome, text = verify_effect(application, execution, now())
    if outcome is Verification.PENDING:
        application.inbox.postpone_verification(execution.execution_id, text, now() + READ_AGAIN)
    else:
        application.inbox.record_verification(execution.execution_id, outcome, text, now())


def _begin_and_execute(work: _Work, execution: Execution) -> None:
    inbox = work.application.inbox
    action, why = _still_wanted(work, execution)
    if action is None or action.call is None:
        inbox.cancel_execution(execution.execution_id, why or "nothing says how to do it", work.now())
        return
    try:
        executor = work.find(action.call.executor)
        planned = _prepared(work, execution, executor, action.call)
    except TransientSourceError as error:
        # nothing was begun: it is tried again for as long as the approval is good
        LOG.warning("%s waits: %s", execution.action_id, error)
        return
    except (SourceError, ConfigurationError) as error:
        inbox.cancel_execution(execution.execution_id, str(error), work.now(), state="failed")
        return
    begun = inbox.begin_execution(
        execution.execution_id, action, action_hash(action), work.run_id, planned, work.now(), work.lease
    )
    if not begun.fence:
        LOG.warning("%s was not begun: %s", execution.action_id, begun.why_not)
        return
    outcome = _executed(executor, action.call, planned, _mark(execution))
    _record(work, execution, begun.fence, action, outcome)


def _still_wanted(work: _Work, execution: Execution) -> tuple[RemediationAction | None, str]:
    """The action as it is planned now, if everything that permitted it still holds; else why not."""
    now = work.now()
    try:
        action = still_planned(work.application, execution.incident_id, execution.action_id)
    except NotFoundError as error:
        return None, str(error)
    if action is None or action_hash(action) != execution.action_hash:
        return None, "the plan changed after the approval"
    settings = work.application.scenario.remediation
    environment = action.environment or work.application.inbox.incident(execution.incident_id).environment
    verdict = judge(action, environment, settings, now)
    if verdict.mode is Mode.FORBIDDEN:
        return None, f"{verdict.rule}: {verdict.why}"
    if execution.automatic and verdict.mode is not Mode.AUTOMATIC:
        return None, f"it may not run by itself any more: {verdict.rule}: {verdict.why}"
    if not execution.automatic and verdict.mode is Mode.APPROVAL:
        decisions = work.application.inbox.action_decisions(execution.incident_id)
        people = executed(execution, decisions).approved_by
        allowed = [who for who in people if verdict.allows(who)]
        if len(allowed) < verdict.approvals:
            return None, f"{verdict.rule} asks for {verdict.approvals} approvals, and {len(allowed)} count"
    return action, ""


def _prepared(work: _Work, execution: Execution, executor: Executor, call: ActionCall) -> Planned:
    """What will be done, after the target has agreed to it in a dry run where it has one.

    Raises:
        SourceError: the target does not answer, refuses, or is not as it was when the action was approved.
    """
    planned = executor.plan(call)
    decisions = work.application.inbox.action_decisions(execution.incident_id)
    shown = [decision.dry_run for decision in approvals_of(execution, decisions) if decision.dry_run]
    if not all(text.startswith(redact(steps_text(planned))) for text in shown):
        raise _refusal(f"the target has changed since the approval: it would be {steps_text(planned)} now")
    dry = executor.dry_run(call, planned)
    if dry is not None and not dry.succeeded:
        raise TransientSourceError(dry.output) if dry.uncertain else _refusal(f"the dry run failed: {dry.output}")
    undo = executor.undo(call, planned)
    return planned.model_copy(update={"undo": undo, "undo_command": described(undo) if undo else None})


def _refusal(sentence: str) -> SourceError:
    return SourceError(sentence)


def _executed(executor: Executor, call: ActionCall, planned: Planned, mark: str) -> Outcome:
    try:
        return executor.execute(call, planned, mark)
    except TransientSourceError as error:
        return Outcome(False, str(error), uncertain=True)
    except SourceError as error:
        return Outcome(False, str(error))
    except Exception as error:  # whatever an executor does wrong, it may have happened all the same
        LOG.exception("the executor of %s failed", call.operation)
        return Outcome(False, f"{type(error).__name__}", uncertain=True)


def _record(work: _Work, execution: Execution, fence: int, action: RemediationAction, outcome: Outcome) -> None:
    now = work.now()
    state = "done" if outcome.succeeded else "unknown" if outcome.uncertain else "failed"
    reasons = {"done": "", "unknown": "nothing came back; it may have happened", "failed": "the target refused"}
    look_at = now + timedelta(seconds=action.check.within_seconds) if action.check else None
    work.application.inbox.finish_execution(
        execution.execution_id,
        fence,
        state,
        now,
        reason=reasons[state],
        output=outcome.output,
        exit_status=outcome.exit_status,
        look_at=now + LOOK_AGAIN if state == "unknown" else look_at,
    )


def _recheck(work: _Work, execution: Execution) -> None:
    """Look at the target whether it happened; never do it again."""
    inbox = work.application.inbox
    begun = inbox.recheck_execution(execution.execution_id, work.run_id, work.now())
    if not begun.fence:
        return
    seen = _seen(work, execution)
    now = work.now()
    may_still_come = execution.lease_until is not None and execution.lease_until > now
    check = execution.action.check
    if seen.effect is Effect.HAPPENED:
        look_at = now + timedelta(seconds=check.within_seconds) if check else None
        state, reason = "done", f"the target shows it: {seen.text}"
    elif seen.effect is Effect.NOT_HAPPENED and not may_still_come:
        look_at, state, reason = None, "failed", f"it did not happen: {seen.text}"
    else:
        look_at = now + LOOK_AGAIN if may_still_come else now + ASK_AGAIN
        state, reason = "unknown", f"the target cannot tell; say with `settle` whether it happened: {seen.text}"
    inbox.finish_execution(
        execution.execution_id, begun.fence, state, now, reason=reason, output=execution.output, look_at=look_at
    )


def _seen(work: _Work, execution: Execution) -> Seen:
    call = execution.action.call
    if call is None or execution.intent_at is None:
        return Seen(Effect.CANNOT_TELL, "it is done by hand")
    try:
        executor = work.find(call.executor)
        return executor.verify(call, execution.planned, _mark(execution), execution.intent_at)
    except (SourceError, ConfigurationError) as error:
        return Seen(Effect.CANNOT_TELL, str(error))


def _mark(execution: Execution) -> str:
    """The name of an execution in other systems: letters, digits, dots and hyphens."""
    return f"{execution.incident_id}.{execution.action_id}.{execution.execution_id}"
