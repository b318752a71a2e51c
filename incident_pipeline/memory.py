"""Between an incident and the knowledge base: what is asked of the memory, and what it learns.

Belongs here: an incident as a signature, as a query and as a document. How the memory searches is `kb`'s business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from incident_pipeline.config import KnowledgeBaseSettings
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.models import (
    Diagnosis,
    Evidence,
    Incident,
    KnowledgeBaseEntry,
    Postmortem,
    Remediation,
    Service,
    SimilarIncident,
    SuggestedRunbook,
    Symptoms,
)
from kb import Document, IncidentSignature, KnowledgeBase

RUNBOOKS_SUGGESTED = 3
LEAST_PROBABILITY = 0.3
"""A runbook that is less likely to apply costs more attention than it saves."""
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
        )
        for match in matches
        if (past := known.get(match.incident_id)) is not None
    )


def suggest_runbooks(
    knowledge_base: KnowledgeBase, incident: Incident, diagnosis: Diagnosis, symptoms: Symptoms
) -> tuple[SuggestedRunbook, ...]:
    """The runbook that an alert names, then those that the knowledge base finds."""
    named = [_named_runbook(url) for url in _runbook_urls(incident)]
    found = knowledge_base.search(_question(incident, diagnosis, symptoms), kind="runbook", limit=RUNBOOKS_SUGGESTED)
    searched = [
        SuggestedRunbook(
            runbook_id=hit.id,
            title=hit.title,
            score=hit.probability,
            why="; ".join(hit.why),
            source=hit.source,
            snippet=hit.snippet,
        )
        for hit in found
        if hit.probability >= LEAST_PROBABILITY
    ]
    return tuple([*named, *searched][:RUNBOOKS_SUGGESTED])


def learn(
    incident: Incident,
    evidence: Evidence,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    postmortem: Postmortem,
) -> KnowledgeBaseEntry:
    """What an ended incident teaches."""
    primary = diagnosis.primary
    done = [action.title for action in remediation.actions if action.state == "done"]
    return KnowledgeBaseEntry(
        document_id=incident.incident_id,
        title=incident.title,
        text=postmortem.markdown or f"{postmortem.summary}\n\n{postmortem.root_cause}",
        services=incident.services,
        category=primary.category if primary else None,
        date=incident.started_at.date().isoformat(),
        signature={
            **signature(incident, evidence, symptoms).as_json(),
            "category": primary.category.value if primary else None,
            "cause": primary.description if primary else None,
            "fixed_by": "; ".join(done) or None,
            "ended_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
        },
    )


def remember(knowledge_base: KnowledgeBase, entry: KnowledgeBaseEntry) -> str:
    """Add what was learned; returns the new version of the knowledge base."""
    past = IncidentSignature.from_json(entry.signature)
    document = Document(
        id=entry.document_id,
        kind="incident",
        title=entry.title,
        text=entry.text,
        source=entry.document_id,
        date=past.started_at,
        services=entry.services,
        category=entry.category.value if entry.category else None,
    )
    return knowledge_base.add([document], signatures=[past]).version


def read_sources(knowledge_base: KnowledgeBase, settings: KnowledgeBaseSettings) -> dict[str, int]:
    """Read the starter corpus and the configured folders; what is unchanged costs nothing.

    Returns:
        How many documents are new, changed, unchanged, and how many files were skipped.
    """
    from kb import gone
    from kb.reading import read_paths, starter_documents

    try:
        reading = read_paths(settings.sources)
    except FileNotFoundError as error:
        raise ConfigurationError(f"knowledge_base.sources: {error.filename} does not exist") from error
    deleted = gone(knowledge_base.documents, settings.sources)
    added = knowledge_base.add([*starter_documents(), *reading.documents], remove=deleted)
    return {
        "new": added.new,
        "changed": added.changed,
        "unchanged": added.unchanged,
        "skipped files": len(reading.skipped),
    }


def begin(knowledge_base: KnowledgeBase, settings: KnowledgeBaseSettings) -> None:
    """Read the sources of a knowledge base that knows nothing yet, so that the first incident finds something."""
    if not knowledge_base.documents:
        read_sources(knowledge_base, settings)


def sources_state(settings: KnowledgeBaseSettings) -> str:
    """What changes whenever a file of the configured sources does; cheap enough to be asked every minute."""
    digest = hashlib.sha256()
    for source in map(Path, settings.sources):
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            if file.is_file():
                state = file.stat()
                digest.update(f"{file}\0{state.st_mtime_ns}\0{state.st_size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _question(incident: Incident, diagnosis: Diagnosis, symptoms: Symptoms) -> str:
    """The incident in words, the most telling first."""
    primary = diagnosis.primary
    parts: list[str] = [incident.title, *(alert.summary for alert in incident.alerts[:5])]
    if primary is not None:
        parts += [primary.description, (primary.mechanism or "").replace("_", " ")]
    parts += [pattern.template for pattern in symptoms.log_patterns[:3]]
    return " ".join(dict.fromkeys(part for part in parts if part))[:1000]


def _runbook_urls(incident: Incident) -> Iterable[str]:
    return dict.fromkeys(url for alert in incident.alerts if (url := alert.labels.get("runbook_url")))


def _named_runbook(url: str) -> SuggestedRunbook:
    title = url.rstrip("/").rpartition("/")[2] or url
    return SuggestedRunbook(runbook_id=url, title=title, score=1.0, why="the alert names it", source=url)


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
