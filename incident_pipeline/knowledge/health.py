"""How well the knowledge base is doing: what it lacks, and how good its answers are.

Belongs here: gathering what `coverage.py` compares and what `kb` measures, for the asset's metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from incident_pipeline.knowledge.coverage import Coverage, coverage
from incident_pipeline.storage.inbox.ledger import Entry

if TYPE_CHECKING:
    from incident_pipeline.application import Application
    from kb.evaluation import Evaluation

NEWEST_INCIDENTS = 500
"""Older incidents are not looked into for what was suggested then."""


class Health(NamedTuple):
    """What the index's metadata shows over time."""

    coverage: Coverage
    starter: Evaluation
    """Questions about the starter corpus whose answers are known, two of which nothing answers."""
    judged: Evaluation | None
    """Questions that people had, with what they called useful; None before they said anything."""
    useful: int
    rejected: int


def look(application: Application) -> Health:
    """Look at everything that is known now."""
    from kb.evaluation import Query, evaluate, rank, read_queries, starter_questions

    knowledge_base = application.knowledge_base
    said = application.inbox.ledger() if application.inbox_exists else []
    asked = [Query(question, documents) for question, documents in _useful(said).items()]
    plain = knowledge_base.without_feedback()
    judged = evaluate(rank(asked, lambda text: plain.search(text, kind="runbook", limit=10))) if asked else None
    starter = rank(read_queries(starter_questions()), lambda text: plain.search(text, kind="runbook", limit=10))
    return Health(
        _coverage(application),
        evaluate(starter),
        judged,
        sum(entry.verdict == "useful" for entry in said),
        sum(entry.verdict == "rejected" for entry in said),
    )


def _useful(said: list[Entry]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for entry in said:
        if entry.verdict == "useful" and entry.question and entry.document_id:
            found[entry.question] = found.get(entry.question, frozenset()) | {entry.document_id}
    return found


def _coverage(application: Application) -> Coverage:
    incidents = application.inbox.incidents(NEWEST_INCIDENTS) if application.inbox_exists else []
    suggested: set[str] = set()
    for incident in incidents:
        if application.store.exists(incident.incident_id):
            stored = application.store.read_all(incident.incident_id, ["suggested_runbooks"])
            suggested.update(runbook.runbook_id for runbook in stored.get("suggested_runbooks", ()))
    alerting = {service for incident in incidents for service in incident.services}
    return coverage(application.knowledge_base.documents, alerting, suggested, application.catalogue)
