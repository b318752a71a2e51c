"""What people decide on actions: actions, approve, reject, settle, policy explain, freeze, unfreeze.

Belongs here: the commands. Does not belong here: what may be decided (`remediation/approvals.py`).
"""

from __future__ import annotations

import socket
import sys
from typing import Annotated

import typer

from incident_pipeline.cli import context, output, stored_text
from incident_pipeline.cli.incidents import AsJson, By, IncidentId, _now, _print, _who
from incident_pipeline.models import Remediation, RemediationAction
from incident_pipeline.remediation import approvals
from incident_pipeline.remediation.approvals import Choice, action_hash
from incident_pipeline.remediation.rehearsals import rehearse

ActionId = Annotated[str, typer.Argument(metavar="ACTION", help="The action, as `actions ID` names it.")]
Comment = Annotated[str, typer.Option(help="Why; kept on record.")]


def actions(incident_id: IncidentId, as_json: AsJson = False) -> None:
    """List the actions proposed for an incident, the recommended one first, each in its state.

    Example:
      incident-pipeline actions INC-20261123-143500-payments-4f2a
    """
    application = context.application()
    found = approvals.proposed(application, incident_id, _now())
    if as_json:
        output.print_json(found)
        return
    stored_text.print_asset("remediation", Remediation(actions=found))
    if freeze := application.inbox.frozen():
        output.note(f"Everything is frozen by {freeze.who}: {freeze.why or 'no reason given'}")


def approve(
    incident_id: IncidentId,
    action_id: ActionId,
    comment: Comment = "",
    again: Annotated[bool, typer.Option("--again", help="Although it was rejected before.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Ask the target first what it would do.")] = True,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Agree to an action, as it is proposed now; when enough people have, it is carried out once.

    It shows what would be done and what the target says to it in a dry run; on a terminal it asks then. If the target
    has changed by the time it is carried out, the approval is void.

    Example:
      incident-pipeline approve INC-20261123-143500-payments-4f2a rollback-1f3b2c --comment "release is bad"
    """
    application, now = context.application(), _now()
    action = approvals.the_action(application, incident_id, action_id, now)
    _show(action)
    if dry_run and (found := rehearse(application, incident_id, action, now)) is not None:
        output.note(f"  dry run{'' if found.succeeded else ' FAILED'}:")
        for line in found.output.splitlines():
            output.note(f"    {output.safe(line)}")
    if not yes and sys.stdin.isatty() and not typer.confirm("Approve?", err=True):
        raise typer.Exit(1)
    _decide(incident_id, action, Choice.APPROVED, comment, by, as_json, again)


def reject(
    incident_id: IncidentId, action_id: ActionId, comment: Comment = "", by: By = None, as_json: AsJson = False
) -> None:
    """Refuse an action; an approval that was given before counts no more.

    Example:
      incident-pipeline reject INC-20261123-143500-payments-4f2a rollback-1f3b2c --comment "there is a migration in it"
    """
    action = approvals.the_action(context.application(), incident_id, action_id, _now())
    _decide(incident_id, action, Choice.REJECTED, comment, by, as_json)


def settle(
    incident_id: IncidentId,
    action_id: ActionId,
    happened: Annotated[bool, typer.Option("--done/--failed", help="Whether it was carried out.")],
    comment: Comment = "",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Say how an action ended: one that was done by hand, or one of which the target cannot tell.

    Example:
      incident-pipeline settle INC-20261123-143500-payments-4f2a failover-77ab01 --done
    """
    application = context.application()
    action = approvals.the_action(application, incident_id, action_id, _now())
    application.inbox.settle_execution(incident_id, action.action_id, happened, _who(by), _now(), comment)
    after = approvals.the_action(application, incident_id, action.action_id, _now())
    _print(after, f"{after.title}: {after.state}", as_json)


def explain(incident_id: IncidentId, action_id: ActionId, as_json: AsJson = False) -> None:
    """Say which rule of the policy decides on an action, and why.

    Example:
      incident-pipeline policy explain INC-20261123-143500-payments-4f2a rollback-1f3b2c
    """
    application, now = context.application(), _now()
    action = approvals.the_action(application, incident_id, action_id, now)
    verdict = approvals.verdict_on(application, incident_id, action, now)
    told = {
        "action_id": action.action_id,
        "decision": verdict.mode.value,
        "rule": verdict.rule,
        "why": verdict.why,
        "approvers": list(verdict.approvers),
        "approvals": verdict.approvals,
        "valid_for_seconds": verdict.valid_for.total_seconds(),
    }
    if as_json:
        output.print_json(told)
        return
    output.print_text(f"{verdict.mode.value}: {verdict.rule}")
    output.print_text(f"  {output.safe(verdict.why)}")
    if verdict.mode == "approval":
        who = ", ".join(verdict.approvers) or "anybody"
        output.print_text(f"  {verdict.approvals} of {who}; an approval is good for {verdict.valid_for}")


def freeze(
    reason: Annotated[str, typer.Option(help="Why; shown to everybody who wonders.")] = "",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Stop all execution of actions everywhere, until `unfreeze`; approvals are still taken and wait.

    Example:
      incident-pipeline freeze --reason "the cluster is being moved"
    """
    context.application().inbox.freeze(_who(by), reason, _now())
    _print({"frozen": True, "by": _who(by)}, "frozen: no action is executed anywhere until `unfreeze`", as_json)


def unfreeze(reason: Annotated[str, typer.Option(help="Why.")] = "", by: By = None, as_json: AsJson = False) -> None:
    """Let approved actions be executed again; those whose approval ran out meanwhile are not.

    Example:
      incident-pipeline unfreeze
    """
    context.application().inbox.unfreeze(_who(by), reason, _now())
    _print({"frozen": False, "by": _who(by)}, "not frozen: approved actions are executed", as_json)


def _decide(
    incident_id: str,
    action: RemediationAction,
    choice: Choice,
    comment: str,
    by: str | None,
    as_json: bool,
    again: bool = False,
) -> None:
    made = approvals.decide(
        context.application(),
        incident_id,
        action.action_id,
        choice,
        by=_who(by),
        via="cli",
        now=_now(),
        origin=socket.gethostname(),
        comment=comment,
        seen=action_hash(action),
        again=again,
    )
    _print(made.action, output.safe(made.sentence), as_json)


def _show(action: RemediationAction) -> None:
    """What is about to be approved, on stderr."""
    output.note(output.safe(f"{action.title} ({action.environment or 'environment not known'}, risk {action.risk})"))
    for name, text in (("command", action.command), ("undo", action.undo), ("verified by", action.verification)):
        if text:
            output.note(f"  {name}: {output.safe(text)}")
