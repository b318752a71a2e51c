"""Group `knowledge_base`: what the memory says about an incident, and what it learns when one has ended."""

from collections import Counter
from typing import Any

import dagster as dg

from assets.incident_asset import incident_asset
from assets.presentation import health_facts, runbook_table, similar_table
from assets.resources import Responder
from assets.results import Made, code_versions
from incident_pipeline.close_out.chronicle import with_record
from incident_pipeline.diagnosis.engine import ENGINE_VERSION
from incident_pipeline.knowledge import memory
from incident_pipeline.knowledge.health import look
from incident_pipeline.knowledge.runbook_suggestions import suggest_runbooks
from incident_pipeline.knowledge.sources import read_everything
from incident_pipeline.models import (
    Diagnosis,
    Incident,
    Postmortem,
    Remediation,
    SuggestedRunbook,
    Symptoms,
)

COMMON: dict[str, Any] = {
    "group_name": "knowledge_base",
    "kinds": {"python", "duckdb"},
    "owners": ["team:incident-response"],
}


@incident_asset(code_version=ENGINE_VERSION, **COMMON)
def similar_incidents(responder: Responder, incident: Incident, symptoms: Symptoms) -> Made:
    """Past incidents that look like this one; never itself, never one that ended later."""
    application = responder.application
    history, knowledge_base = application.scenario.context.history, application.knowledge_base
    asked = memory.signature(incident, responder.versions.evidence(incident.incident_id), symptoms)
    found = memory.similar(knowledge_base, asked, history.similar_lookback, history.correlation_threshold)
    return Made(found, {"similar": similar_table(found)}, knowledge_base_version=knowledge_base.version)


@incident_asset(code_version="2", **COMMON)
def suggested_runbooks(
    responder: Responder,
    incident: Incident,
    diagnosis: Diagnosis,
    symptoms: Symptoms,
    similar_incidents: tuple,  # of SimilarIncident; Dagster knows no tuple of any length
) -> Made:
    """Runbooks that may apply: the one that the alert names, what helped before, what the knowledge base finds."""
    application = responder.application
    knowledge_base = application.knowledge_base
    found: tuple[SuggestedRunbook, ...] = ()
    if application.scenario.documentation.runbook_suggestions:
        said = application.inbox.ledger()
        found = suggest_runbooks(knowledge_base, incident, diagnosis, symptoms, similar_incidents, said)
    return Made(found, {"runbooks": runbook_table(found)}, knowledge_base_version=knowledge_base.version)


@incident_asset(code_version="1", **COMMON)
def knowledge_base_entry(
    context: dg.AssetExecutionContext,
    responder: Responder,
    incident: Incident,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    postmortem: Postmortem,
) -> Made:
    """What the next incident can learn from this one; the end of the close-out."""
    evidence = responder.versions.evidence(incident.incident_id)
    application = responder.application
    remediation = with_record(application, incident.incident_id, remediation)
    entry = memory.learn(incident, evidence, symptoms, diagnosis, remediation, postmortem)
    responder.versions.write(context.partition_key, {"knowledge_base_entry": entry}, code_versions(context))
    said = application.inbox.confirmation(incident.incident_id)
    threshold = application.scenario.context.history.correlation_threshold
    version = memory.remember(application.knowledge_base, entry, said, threshold)
    responder.finish_claim(context)
    return Made(entry, {"title": entry.title, "knowledge base version": version})


@dg.asset(code_version="1", **COMMON)
def knowledge_base_documents(responder: Responder) -> dg.MaterializeResult[Any]:
    """Runbooks and postmortems: the starter corpus and the folders that are configured."""
    fed = read_everything(responder.application)
    return dg.MaterializeResult(
        metadata={
            "new": fed.added.new,
            "changed": fed.added.changed,
            "unchanged": fed.added.unchanged,
            "removed": fed.added.removed,
            "skipped files": len(fed.skipped),
            "incidents learned again": fed.learned_again,
        }
    )


@dg.asset(code_version="1", deps=[knowledge_base_documents], **COMMON)
def knowledge_base_index(responder: Responder) -> dg.MaterializeResult[Any]:
    """The index that searches read; published by renaming, so that no reader waits."""
    knowledge_base = responder.application.knowledge_base
    counts = Counter(document.kind for document in knowledge_base.documents)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(knowledge_base.version),
        metadata={
            "version": knowledge_base.version,
            **counts,
            **knowledge_base.stats(),
            **health_facts(look(responder.application)),
        },
    )
