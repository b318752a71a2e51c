"""Deciding on actions: the one way in for the command line, the page and Slack.

    for action in proposed(application, incident_id, now): ...        # each in its state, with action_hash(action)
    decide(application, incident_id, action_id, Choice.APPROVED, by="dana", via="slack", now=now, seen=action_hash)

Belongs here: what is asked before a decision is taken (does it exist, is it what the person saw, may they, is anything
missing), and the terms under which it is. Does not belong here: the rules (`policy.py`), the record
(`storage/approvals.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from incident_pipeline.application import Application
from incident_pipeline.errors import NotFoundError, PolicyError
from incident_pipeline.models import ActionState, RemediationAction
from incident_pipeline.remediation.policy import Mode, Verdict, judge
from incident_pipeline.remediation.records import Choice, Execution, action_hash
from incident_pipeline.remediation.states import standing_approvals, undoings, with_states
from incident_pipeline.storage.inbox.approvals import Terms

__all__ = ["Choice", "Decided", "action_hash", "decide", "permit_automatic", "person_with_slack", "proposed"]


@dataclass(frozen=True)
class Decided:
    """What a decision led to."""

    action: RemediationAction
    """In its new state."""
    sentence: str
    """What people are told."""
    execution: Execution | None = None


def proposed(application: Application, incident_id: str, now: datetime) -> tuple[RemediationAction, ...]:
    """The actions of an incident, each in its state, the undoing of what did not help first.

    Raises:
        NotFoundError: there is no such incident, or it has no plan yet.
    """
    plan = application.store.read(incident_id, "remediation")
    inbox = application.inbox
    return with_states(plan.actions, inbox.action_decisions(incident_id), inbox.executions(incident_id), now)


def still_planned(application: Application, incident_id: str, action_id: str) -> RemediationAction | None:
    """The action as the newest plan has it, or the undoing that a verification calls for; None where neither is.

    Raises:
        NotFoundError: there is no such incident, or it has no plan yet.
    """
    plan = application.store.read(incident_id, "remediation")
    every = [*undoings(application.inbox.executions(incident_id)), *plan.actions]
    return next((action for action in every if action.action_id == action_id), None)


def the_action(application: Application, incident_id: str, action_id: str, now: datetime) -> RemediationAction:
    """One action, by its id or the unambiguous beginning of it.

    Raises:
        NotFoundError: there is none of that name.
    """
    actions = proposed(application, incident_id, now)
    exact = [action for action in actions if action.action_id == action_id]
    near = exact or [action for action in actions if action_id and action.action_id.startswith(action_id)]
    if len(near) == 1:
        return near[0]
    known = ", ".join(action.action_id for action in actions) or "none"
    what = f"more than one action begins with {action_id!r}" if near else f"there is no action {action_id!r}"
    raise NotFoundError(f"{incident_id}: {what}; there are {known}")


def decide(
    application: Application,
    incident_id: str,
    action_id: str,
    choice: Choice,
    *,
    by: str,
    via: str,
    now: datetime,
    origin: str = "",
    comment: str = "",
    seen: str | None = None,
    again: bool = False,
) -> Decided:
    """Approve or reject an action; the last approval that the policy asks for has it carried out.

    Args:
        application: where the plan, the record and the policy are.
        incident_id: the incident.
        action_id: the action.
        choice: yes or no.
        by: who; an identity that `via` has made sure of.
        via: cli, http or slack.
        now: the time.
        origin: from where: an address, a workspace.
        comment: why.
        seen: `action_hash` of what the person was shown; another plan by now is refused.
        again: approve although it was rejected before.

    Raises:
        NotFoundError: there is no such incident or action.
        PolicyError: it may not be decided so: forbidden, not by this person, not everything is known, done already,
            or not what the person saw.
    """
    action = the_action(application, incident_id, action_id, now)
    if still_planned(application, incident_id, action.action_id) is None:
        raise PolicyError(f"{action.action_id} is not planned any more; `actions {incident_id}` shows what is")
    if seen is not None and seen != action_hash(action):
        raise PolicyError(f"{action.action_id} has changed since you saw it; look at it again and decide then")
    verdict = verdict_on(application, incident_id, action, now)
    _refuse(action, verdict, choice, by)
    rehearsal = application.inbox.rehearsal(incident_id, action_hash(action))
    execution = application.inbox.decide(
        incident_id,
        action,
        choice,
        by,
        via,
        terms_of(verdict, action),
        now,
        origin=origin,
        comment=comment,
        dry_run=rehearsal.output if rehearsal and rehearsal.planned.steps else "",
        again=again,
    )
    after = the_action(application, incident_id, action.action_id, now)
    return Decided(after, _sentence(application, incident_id, after, choice, by, verdict, execution, now), execution)


def verdict_on(application: Application, incident_id: str, action: RemediationAction, now: datetime) -> Verdict:
    """What the policy says of an action now, with what ran by itself within 24 hours.

    Raises:
        NotFoundError: there is no such incident.
    """
    settings = application.scenario.remediation
    environment = action.environment or application.inbox.incident(incident_id).environment
    verdict = judge(action, environment, settings, now)
    if verdict.mode is not Mode.AUTOMATIC:
        return verdict
    return judge(action, environment, settings, now, application.inbox.automatic_runs(verdict.rule, now))


def permit_automatic(
    application: Application, incident_id: str, actions: tuple[RemediationAction, ...], now: datetime
) -> list[Execution]:
    """Queue what the policy lets run by itself and an executor can do; costs nothing where there is nothing."""
    queued = []
    for action in actions:
        if action.requires_approval or action.call is None or action.missing or action.undo_of:
            continue
        verdict = verdict_on(application, incident_id, action, now)
        if verdict.mode is Mode.AUTOMATIC:
            execution = application.inbox.permit(incident_id, action, terms_of(verdict, action), now)
            queued += [execution] if execution else []
    return queued


def person_with_slack(application: Application, user_id: str) -> str | None:
    """The name of the person with this user id in Slack, who may decide under it."""
    people = application.scenario.remediation.people
    return next((name for name, person in people.items() if person.slack and person.slack == user_id), None)


def terms_of(verdict: Verdict, action: RemediationAction) -> Terms:
    """What the policy asks of an approval, as the record keeps it."""
    return Terms(
        verdict.rule,
        verdict.approvals,
        verdict.valid_for,
        manual=action.call is None,
        automatic=verdict.mode is Mode.AUTOMATIC,
        per_day=verdict.per_day,
    )


def _refuse(action: RemediationAction, verdict: Verdict, choice: Choice, by: str) -> None:
    if not verdict.allows(by):
        listed = ", ".join(verdict.approvers)
        raise PolicyError(f"{by} may not decide on {action.action_id}; {verdict.rule} names {listed}")
    if choice is Choice.REJECTED:
        if action.state in (ActionState.DONE, ActionState.EXECUTING, ActionState.UNKNOWN, ActionState.UNDONE):
            raise PolicyError(f"{action.action_id} is {action.state}; it is too late to reject it")
        return
    if action.missing:
        raise PolicyError(f"{action.action_id} cannot be approved: {action.missing}")
    if verdict.mode is Mode.FORBIDDEN:
        raise PolicyError(f"{action.action_id} cannot be approved: {verdict.rule}: {verdict.why}")


def _sentence(
    application: Application,
    incident_id: str,
    action: RemediationAction,
    choice: Choice,
    by: str,
    verdict: Verdict,
    execution: Execution | None,
    now: datetime,
) -> str:
    if choice is Choice.REJECTED:
        return f"{action.title}: rejected by {by}"
    if execution is None:
        decisions = application.inbox.action_decisions(incident_id)
        given = {
            one.who for one in standing_approvals(decisions, application.inbox.executions(incident_id), action, now)
        }
        return f"{action.title}: approved by {by}, {len(given)} of {verdict.approvals} approvals"
    told = f"{action.title}: approved by {by} until {execution.valid_until:%H:%M} UTC"
    if execution.manual:
        return f"{told}; no executor does this: carry it out by hand, then `settle {incident_id} {action.action_id}`"
    if application.inbox.incident(incident_id).replayed_from:
        return f"{told}; the incident was replayed from a folder, so nothing is carried out"
    if freeze := application.inbox.frozen():
        return f"{told}; it waits, everything is frozen by {freeze.who}"
    return f"{told}; it is carried out now"
