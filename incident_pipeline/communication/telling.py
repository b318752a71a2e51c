"""From what happened to what people are told: looks at every event once, and queues what is news.

    events of the inbox -> facts of the incident -> news -> messages in the outbox

It is told by level, not by edge: what is queued follows from what is stored now and what was told last, so that an
event that is looked at twice, or by two processes, changes nothing. It runs beside the runs, never within them: storing
a status update waits for nobody.

Belongs here: the order of these steps. Does not belong here: what is news (`news.py`), how it reads
(`slack_message.py`, `notices.py`), and sending (`delivery.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from incident_pipeline.application import Application
from incident_pipeline.communication.audience import anybody_told, to_team
from incident_pipeline.communication.news import Facts, News, facts_of, news
from incident_pipeline.communication.notices import notices
from incident_pipeline.communication.slack_message import Known, header_message, reply, what_changed
from incident_pipeline.communication.stakeholders import stakeholder_notice
from incident_pipeline.communication.trouble import run_failed
from incident_pipeline.communication.vendor_notes import vendor_notes
from incident_pipeline.communication.vendor_status import vendor_status
from incident_pipeline.errors import IncidentPipelineError, NotFoundError
from incident_pipeline.models import Diagnosis, Incident, Remediation, RemediationAction, StatusUpdate, Symptoms
from incident_pipeline.remediation.records import Execution, Verification, action_hash
from incident_pipeline.remediation.states import with_states
from incident_pipeline.storage.inbox.base import SYSTEM
from incident_pipeline.storage.inbox.outbox import Draft, Told
from incident_pipeline.storage.inbox.records import Event

LOG = logging.getLogger(__name__)

_TELL_ALL = frozenset({"new", "severity", "cause", "confidence"})
"""News that the whole status update is repeated for; the rest is a line."""


def tell(application: Application, now: datetime) -> int:
    """Queue what people are to hear of; returns how many incidents had news."""
    waiting, up_to = application.inbox.unheard()
    found = 0
    for incident_id in waiting:
        try:
            found += _tell_of(application, incident_id, now)
        except IncidentPipelineError as error:
            # its next event tries again: what was told last is unchanged
            LOG.warning("%s: nobody was told what changed: %s", incident_id, error)
        except Exception:
            # whatever it is, it must not keep the news of all other incidents from being told
            LOG.exception("%s: nobody was told what changed", incident_id)
    if waiting or up_to:
        application.inbox.heard(up_to)
    return found


def report_failed_run(
    application: Application, incident_id: str | None, attempt: str | None, error: str, now: datetime
) -> None:
    """Say that a run has failed: the responder, not what it looks at."""
    if incident_id is None:
        return
    try:
        incident = application.inbox.incident(incident_id)
    except NotFoundError:  # a partition that somebody made by hand
        return
    if not incident.replayed_from:
        drafts = run_failed(application.scenario.remediation, incident, int(attempt or 1), error)
        application.inbox.queue(drafts, now)


def _tell_of(application: Application, incident_id: str, now: datetime) -> bool:
    inbox = application.inbox
    incident = inbox.incident(incident_id)
    if incident.replayed_from or incident.diagnosed_at is None or not anybody_told(application.scenario.remediation):
        return False
    known, update = _known(application, incident, now)
    executions = inbox.executions(incident_id)
    facts = facts_of(incident, known.diagnosis, known.actions, _helped(executions))
    before = inbox.told(incident_id)
    titles = {action.action_id: action.title for action in known.actions}
    changed = news(Facts.model_validate(before.facts) if before.facts else None, facts, titles)
    drafts = _drafts(application, known, update, changed, before, now)
    said = bool(changed)
    return inbox.tell(incident_id, facts.model_dump(), before.sequence, drafts, now, said=said) and said


def _known(application: Application, incident: Incident, now: datetime) -> tuple[Known, StatusUpdate | None]:
    inbox, incident_id = application.inbox, incident.incident_id
    wanted = ("status_update", "diagnosis", "symptoms", "remediation", "suggested_runbooks")
    stored = application.store.read_all(incident_id, wanted)
    plan = stored.get("remediation", Remediation())
    decisions, events = inbox.action_decisions(incident_id), inbox.events(incident_id)
    actions = with_states(plan.actions, decisions, inbox.executions(incident_id), now)
    known = Known(
        incident,
        stored.get("diagnosis"),
        stored.get("symptoms"),
        actions,
        acknowledged_by=_who(events, "incident_acknowledged"),
        resolved_by=_who(events, "incident_resolved"),
        decided_by={decision.action_id: decision.who for decision in decisions},
        dry_runs=_dry_runs(application, incident_id, actions),
        runbook=next(iter(stored.get("suggested_runbooks", ())), None),
    )
    return known, stored.get("status_update")


def _dry_runs(application: Application, incident_id: str, actions: Sequence[RemediationAction]) -> dict[str, str]:
    hashes = [action_hash(action) for action in actions if action.requires_approval and action.call is not None]
    found = {digest: application.inbox.rehearsal(incident_id, digest) for digest in hashes}
    return {digest: rehearsal.output for digest, rehearsal in found.items() if rehearsal is not None}


def _helped(executions: Sequence[Execution]) -> dict[str, str]:
    looked = (Verification.PASSED, Verification.FAILED, Verification.UNTOLD)
    return {one.action_id: one.verification.value for one in executions if one.verification in looked}


def _drafts(
    application: Application,
    known: Known,
    update: StatusUpdate | None,
    changed: Sequence[News],
    before: Told,
    now: datetime,
) -> list[Draft]:
    incident, settings = known.incident, application.scenario.remediation
    about = {"incident_id": incident.incident_id, "urgency": incident.severity.value}
    header = f"{incident.incident_id}:slack:header"
    drafts = to_team(settings, header, header_message(known, application.templates), **about)
    text = _reply_text(known, update, changed)
    if text:
        key = f"{incident.incident_id}:slack:{before.sequence + 1}"
        whole = bool(_TELL_ALL & {line.kind for line in changed})
        told = "status update" if whole else changed[0].text
        drafts += vendor_notes(settings, incident, text, before.sequence + 1) if whole else []
        drafts += to_team(settings, key, reply(text, told), thread=header, **about)
    drafts += vendor_status(settings, incident, known.acknowledged_by, known.resolved_by)
    return drafts + _notices(application, known, changed, before, now)


def _notices(
    application: Application, known: Known, changed: Sequence[News], before: Told, now: datetime
) -> list[Draft]:
    text = stakeholder_notice(
        known.incident,
        known.symptoms or Symptoms(),
        known.diagnosis or Diagnosis(summary=""),
        as_of=now,
        templates=application.templates,
    )
    return notices(application.scenario.remediation, known.incident, text, changed, before.sequence + 1, now)


def _reply_text(known: Known, update: StatusUpdate | None, changed: Sequence[News]) -> str:
    """Nothing where nothing changed; one line for each decision; the whole update where the diagnosis changed."""
    lines = what_changed(changed, known)
    if update is None or not _TELL_ALL & {line.kind for line in changed}:
        return lines
    return f"{lines}\n{update.markdown}" if lines else update.markdown


def _who(events: Sequence[Event], kind: str) -> str:
    """Who did it last, if a person did."""
    return next((event.who for event in reversed(events) if event.kind == kind and event.who != SYSTEM), "")
