"""What people say of causes and suggestions, wherever they say it: command line, pages, Slack.

Belongs here: what a statement is about, and that the same person's second word on the same thing replaces the first.
Does not belong here: the ledger (`storage/inbox/ledger.py`), and what the memory makes of it (`memory.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from incident_pipeline.errors import InputError, NotFoundError, PolicyError
from incident_pipeline.knowledge.runbook_suggestions import question
from incident_pipeline.models import SuggestedRunbook
from incident_pipeline.storage.inbox.ledger import Entry

if TYPE_CHECKING:
    from incident_pipeline.application import Application


def judge_document(
    application: Application, document_id: str, asked: str, useful: bool, who: str, now: datetime
) -> Entry:
    """A document that a search found helped, or did not.

    Raises:
        NotFoundError: there is no such document.
        InputError: the question is empty.
    """
    if application.knowledge_base.get(document_id) is None:
        raise NotFoundError(f"no document {document_id!r} in the knowledge base; `kb search` prints the ids")
    return _judge(application, document_id, asked, useful, who, now, None)


def judge_suggestion(
    application: Application, incident_id: str, document_id: str, useful: bool, who: str, now: datetime
) -> Entry:
    """A runbook that was suggested for an incident helped, or did not.

    Raises:
        NotFoundError: there is no such incident, or it has not been diagnosed yet.
        InputError: the runbook was not suggested for it.
    """
    if document_id not in {runbook.runbook_id for runbook in suggested(application, incident_id)}:
        raise InputError(f"{document_id!r} is not suggested for {incident_id}")
    asked = question_of(application, incident_id)
    return _judge(application, document_id, asked, useful, who, now, incident_id)


def confirm_likeliest(application: Application, incident_id: str, seen: str, who: str, now: datetime) -> Entry:
    """The cause that the diagnosis holds likeliest was the cause.

    Args:
        application: whose incident it is.
        incident_id: the incident.
        seen: `cause_hash` of what was shown.
        who: says so.
        now: when.

    Raises:
        NotFoundError: there is no such incident.
        PolicyError: the diagnosis names another cause by now.
    """
    stored = application.store.read_all(incident_id, ("diagnosis",)).get("diagnosis")
    primary = stored.primary if stored is not None else None
    if primary is None or cause_hash(primary.description) != seen:
        raise PolicyError("the diagnosis says something else by now; look at the incident again")
    return application.inbox.confirm(incident_id, primary.description, who, now, primary.category)


def suggested(application: Application, incident_id: str) -> Sequence[SuggestedRunbook]:
    """The runbooks that were suggested last for an incident.

    Raises:
        NotFoundError: there is no such incident.
    """
    found: Sequence[SuggestedRunbook] = application.store.read_all(incident_id, ("suggested_runbooks",)).get(
        "suggested_runbooks", ()
    )
    return found


def question_of(application: Application, incident_id: str) -> str:
    """What was asked when runbooks were suggested for an incident.

    Raises:
        NotFoundError: there is no such incident, or it has not been diagnosed yet.
    """
    stored = application.store.read_all(incident_id, ("incident", "diagnosis", "symptoms"))
    if len(stored) < 3:
        raise NotFoundError(f"incident {incident_id} has not been diagnosed yet")
    return question(stored["incident"], stored["diagnosis"], stored["symptoms"])


def cause_hash(description: str) -> str:
    """Names a cause as it was shown."""
    return hashlib.sha256(description.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _judge(
    application: Application, document_id: str, asked: str, useful: bool, who: str, now: datetime, incident: str | None
) -> Entry:
    """A second click of the same person is a correction, not a second voice."""
    entry = application.inbox.judge(document_id, asked, useful, who, now, incident)
    about = (entry.document_id, entry.question, entry.incident_id, entry.who)
    earlier = [
        old.entry_id
        for old in application.inbox.ledger()
        if old.entry_id < entry.entry_id and (old.document_id, old.question, old.incident_id, old.who) == about
    ]
    if earlier:
        application.inbox.clear(earlier, who, now)
    return entry
