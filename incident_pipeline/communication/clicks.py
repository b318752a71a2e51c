"""What follows from a click in Slack: an approval, a rejection, an acknowledgement, a resolution, feedback.

Belongs here: from a click to the decision that it stands for, and the sentence for whoever clicked. Does not belong
here: whether the click is genuine (the receiver and Socket Mode see to that), and who may decide (the policy).
"""

from __future__ import annotations

from datetime import datetime

from incident_pipeline.application import Application
from incident_pipeline.communication.slack_message import (
    ACKNOWLEDGE,
    APPROVE,
    CAUSE,
    HELPED,
    NO_HELP,
    REJECT,
    RESOLVE,
)
from incident_pipeline.connectors.slack_interactions import Interaction
from incident_pipeline.documents.escape import clean
from incident_pipeline.documents.wording import count
from incident_pipeline.errors import InputError, PolicyError
from incident_pipeline.knowledge.feedback import confirm_likeliest, judge_suggestion
from incident_pipeline.remediation.approvals import Choice, decide, person_with_slack

_OPINIONS = frozenset({CAUSE, HELPED, NO_HELP})
BUTTONS = frozenset({APPROVE, REJECT, RESOLVE, ACKNOWLEDGE}) | _OPINIONS


def carry_out(application: Application, click: Interaction, now: datetime) -> str:
    """Do what the button stands for; returns a sentence for whoever clicked, empty where the message says it itself.

    Raises:
        NotFoundError: there is no such incident or action.
        PolicyError: this person may not, or what they saw is no longer what would be done.
        InputError: the incident is over, or the button lacks what it is about.
    """
    who = _who(application, click)
    inbox = application.inbox
    if click.button == ACKNOWLEDGE:
        inbox.acknowledge(click.incident_id, who, now)
        return ""
    if click.button == RESOLVE:
        _refuse_while_firing(application, click.incident_id)
        inbox.resolve(click.incident_id, who, now, "said in Slack")
        return ""
    if click.button in _OPINIONS:
        return _heard(application, click, who, now)
    if not click.action_id or not click.digest:
        raise InputError("the button names no action, or not what exactly was shown")
    choice = Choice.APPROVED if click.button == APPROVE else Choice.REJECTED
    decided = decide(
        application,
        click.incident_id,
        click.action_id,
        choice,
        by=who,
        via="slack",
        now=now,
        origin=f"workspace {click.team or 'unknown'}, user {click.user_id}",
        seen=click.digest,
    )
    return decided.sentence


def _heard(application: Application, click: Interaction, who: str, now: datetime) -> str:
    if click.button == CAUSE:
        confirm_likeliest(application, click.incident_id, click.digest or "", who, now)
        return f"Noted: that was the cause. `incident-pipeline confirm {click.incident_id} --cause ...` says otherwise."
    helped = click.button == HELPED
    judge_suggestion(application, click.incident_id, click.action_id or "", helped, who, now)
    return "Noted: the runbook helped." if helped else "Noted: the runbook did not help."


def _who(application: Application, click: Interaction) -> str:
    """The person whom the configuration gives this Slack user's id; a name that anybody can choose is never trusted."""
    known = person_with_slack(application, click.user_id)
    if known is not None:
        return known
    if click.button in (APPROVE, REJECT) and application.scenario.remediation.people:
        raise PolicyError(f"your Slack user {clean(click.user_id, 40)} belongs to nobody in remediation.people")
    return f"slack:{click.user_id}"


def _refuse_while_firing(application: Application, incident_id: str) -> None:
    firing = application.inbox.firing(incident_id)
    if firing:
        titles = "; ".join(clean(title, 80) for title in firing[:3])
        still = "still fires" if len(firing) == 1 else "still fire"
        raise PolicyError(
            f"{count(len(firing), 'alert')} {still} ({titles}), so it is not over; "
            f"if it is all the same, `incident-pipeline resolve {incident_id}` says so"
        )
