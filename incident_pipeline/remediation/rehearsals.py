"""Dry runs: what would be done and what the target says to it, for whoever is to decide.

Belongs here: trying an action dry, one or all that are proposed, and keeping what came of it. Does not belong here:
doing it (`carrying_out.py`), and what a target's dry run is (`executors/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from incident_pipeline.application import Application
from incident_pipeline.errors import ConfigurationError, SourceError
from incident_pipeline.models import ActionState, Incident, RemediationAction
from incident_pipeline.remediation.executors.base import FindExecutor, steps_text
from incident_pipeline.remediation.executors.registry import executor_named
from incident_pipeline.remediation.records import Planned, action_hash
from incident_pipeline.storage.inbox.executions import Rehearsal

MOST = 3
"""Actions that are tried dry before anybody has asked; as many as a message in Slack offers."""


def rehearse(
    application: Application,
    incident_id: str,
    action: RemediationAction,
    now: datetime,
    find: FindExecutor | None = None,
) -> Rehearsal | None:
    """What would be done now and what the dry run says to it, for whoever is to decide; None where nothing is asked.

    It is kept under the action's hash: if the target has changed by the time of the execution, the approval is void.
    """
    if action.call is None or action.missing:
        return None
    find = find or (lambda name: executor_named(name, application.scenario))
    try:
        executor = find(action.call.executor)
        planned = executor.plan(action.call)
        outcome = executor.dry_run(action.call, planned)
    except (SourceError, ConfigurationError) as error:
        found = Rehearsal(Planned(), str(error), False)
    else:
        said = outcome.output if outcome else "this system has no dry run"
        found = Rehearsal(planned, f"{steps_text(planned)}\n{said}", outcome is None or outcome.succeeded)
    application.inbox.record_rehearsal(incident_id, action.action_id, action_hash(action), found, now)
    return found


def offered(actions: Sequence[RemediationAction], most: int = MOST) -> list[RemediationAction]:
    """The proposals that a person can say yes to now: nothing about them is missing."""
    waiting = (ActionState.PROPOSED, ActionState.EXPIRED)
    found = [a for a in actions if a.state in waiting and a.requires_approval and not a.missing]
    # what a system carries out before what a person does by hand
    return sorted(found, key=lambda action: action.call is None)[:most]


def rehearse_offered(
    application: Application,
    incident: Incident,
    actions: Sequence[RemediationAction],
    now: Callable[[], datetime],
    find: FindExecutor | None = None,
) -> Iterator[tuple[RemediationAction, Rehearsal]]:
    """Try dry what is proposed, so that its buttons stand beside what the targets say.

    Nothing is asked for a replayed incident, in shadow mode, or where `execution.rehearse` is off; and no more once the
    targets have taken longer than `execution.time_limit` in all.
    """
    settings = application.scenario.remediation
    if incident.replayed_from or settings.shadow or not settings.execution.rehearse:
        return
    began = now()
    for action in offered(actions):
        if now() - began > settings.execution.time_limit:
            return
        found = rehearse(application, incident.incident_id, action, now(), find)
        if found is not None:
            yield action, found
