"""Between an incident and the knowledge base: what is asked of the memory, and what it learns.

Belongs here: an incident as a signature and as a document, and what people said of it. Which runbooks are suggested is
in `runbook_suggestions.py`, what the memory is fed with in `sources.py`; how it searches is `kb`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from incident_pipeline.models import (
    Diagnosis,
    Evidence,
    Incident,
    KnowledgeBaseEntry,
    Postmortem,
    Remediation,
    Service,
    SimilarIncident,
    Symptoms,
)
from incident_pipeline.storage.inbox.ledger import Entry
from kb import Document, Feedback, IncidentSignature, KnowledgeBase, foretold, vote_accuracy

PATTERNS_COMPARED = 20
SERIES_COMPARED = 20
CHANGE_WINDOW = timedelta(hours=1)


def signature(incident: Incident, evidence: Evidence, symptoms: Symptoms) -> IncidentSignature:
    """What an incident looks like before anybody knows its cause."""
    change = _last_change(evidence, symptoms)
    minutes = None
    if change is not None and symptoms.onset is not None:
        minutes = round((symptoms.onset - change[1]).total_seconds() / 60, 1)
    return IncidentSignature(
        incident_id=incident.incident_id,
        title=incident.title,
        text=" ".join(dict.fromkeys(alert.summary for alert in incident.alerts if alert.summary))[:2000],
        services=tuple(dict.fromkeys((*incident.services, *_failing(symptoms)))),
        neighbours=tuple(sorted(_neighbours(incident.services, evidence.service_graph.rows))),
        alert_names=tuple(dict.fromkeys(alert.labels.get("alertname") or alert.title for alert in incident.alerts)),
        log_templates=tuple(pattern.template for pattern in symptoms.log_patterns[:PATTERNS_COMPARED]),
        anomalous_series=tuple(
            (a.series.partition("{")[0], "up" if a.after >= a.before else "down")
            for a in symptoms.anomalies[:SERIES_COMPARED]
        ),
        change_type=change[0] if change else None,
        minutes_after_change=minutes,
        started_at=incident.started_at,
    )


def similar(
    knowledge_base: KnowledgeBase, asked: IncidentSignature, lookback: timedelta, threshold: float
) -> tuple[SimilarIncident, ...]:
    """Past incidents at least as similar as the threshold; only what had ended when this one began."""
    if asked.started_at is None:
        return ()
    known = {past.incident_id: past for past in knowledge_base.signatures}
    accuracy = vote_accuracy(knowledge_base.signatures)
    matches = knowledge_base.similar(asked, asked.started_at, lookback, threshold)
    return tuple(
        SimilarIncident(
            incident_id=match.incident_id,
            title=past.title,
            similarity=match.similarity,
            why=match.why,
            category=past.category,
            cause=past.cause,
            fixed_by=past.fixed_by,
            ended_at=past.ended_at,
            confirmed=past.confirmed,
            vote_accuracy=accuracy,
        )
        for match in matches
        if (past := known.get(match.incident_id)) is not None
    )


def learn(
    incident: Incident,
    evidence: Evidence,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    postmortem: Postmortem,
) -> KnowledgeBaseEntry:
    """What an ended incident teaches, as the pipeline itself understood it."""
    primary = diagnosis.primary
    done = [action.title for action in remediation.actions if action.state == "done"]
    category = primary.category if primary else None
    learned = replace(
        signature(incident, evidence, symptoms),
        category=category.value if category else None,
        cause=primary.description if primary else None,
        fixed_by="; ".join(done) or None,
        ended_at=incident.resolved_at,
        action_items=tuple(item.title for item in postmortem.action_items),
    )
    return KnowledgeBaseEntry(
        document_id=incident.incident_id,
        title=incident.title,
        text=postmortem.markdown or f"{postmortem.summary}\n\n{postmortem.root_cause}",
        services=incident.services,
        category=category,
        date=incident.started_at.date().isoformat(),
        signature=learned.as_json(),
    )


def confirmed(past: IncidentSignature, said: Entry) -> IncidentSignature:
    """A past incident with what somebody said of it."""
    return replace(
        past,
        cause=said.cause or past.cause,
        category=said.category.value if said.category else past.category,
        fixed_by=said.fixed_by or past.fixed_by,
        confirmed=True,
    )


def apply_ledger(knowledge_base: KnowledgeBase, counting: Sequence[Entry]) -> str:
    """Let the memory know all that counts in the ledger; returns its version.

    Args:
        knowledge_base: the memory.
        counting: everything that counts: what is no longer among it is forgotten, too, where it is about documents.
    """
    said = {entry.incident_id: entry for entry in counting if entry.verdict == "confirmed"}
    known = [confirmed(past, said[past.incident_id]) for past in knowledge_base.signatures if past.incident_id in said]
    judged = [
        Feedback(entry.document_id, entry.question, entry.verdict == "useful")
        for entry in counting
        if entry.document_id and entry.question
    ]
    return knowledge_base.add(signatures=known, feedback=judged).version


def remember(
    knowledge_base: KnowledgeBase, entry: KnowledgeBaseEntry, said: Entry | None = None, threshold: float = 0.7
) -> str:
    """Add what was learned, and how well the memory would have foretold it; returns the memory's new version.

    Args:
        knowledge_base: the memory.
        entry: what the pipeline understood.
        said: what somebody said of the cause; it outweighs the diagnosis.
        threshold: how similar an incident has to be to have a vote.
    """
    past = IncidentSignature.from_json(entry.signature)
    if said is not None:
        past = confirmed(past, said)
    past = foretold(past, knowledge_base.signatures, threshold)
    document = Document(
        id=entry.document_id,
        kind="incident",
        title=entry.title,
        text=entry.text,
        source=entry.document_id,
        date=past.started_at,
        services=entry.services,
        category=past.category,
    )
    return knowledge_base.add([document], signatures=[past]).version


def _failing(symptoms: Symptoms) -> tuple[str, ...]:
    return (symptoms.first_failing_service,) if symptoms.first_failing_service else ()


def _neighbours(services: Sequence[str], graph: Sequence[Service]) -> set[str]:
    own = set(services)
    called = {other for service in graph if service.name in own for other in service.depends_on}
    callers = {service.name for service in graph if own & set(service.depends_on)}
    return (called | callers) - own


def _last_change(evidence: Evidence, symptoms: Symptoms) -> tuple[str, datetime] | None:
    """The kind and the moment of the last change in the hour before the onset."""
    if symptoms.onset is None:
        return None
    deployed = [("deployment", deployment.at) for deployment in evidence.deployments.rows]
    turned = [("flag", flag.changed_at) for flag in evidence.flag_changes.rows]
    earliest = symptoms.onset - CHANGE_WINDOW
    before = [(kind, at) for kind, at in (*deployed, *turned) if at is not None and earliest <= at <= symptoms.onset]
    return max(before, key=lambda change: change[1], default=None)
