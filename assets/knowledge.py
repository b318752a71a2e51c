"""Group `knowledge_base`: what the memory says about an incident, and what it learns when one has ended."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.partitions import incident_partitions
from assets.presentation import runbook_table, similar_table
from assets.resources import Responder
from assets.results import code_versions, result
from incident_pipeline import memory
from incident_pipeline.diagnosis.engine import ENGINE_VERSION
from incident_pipeline.models import (
    Diagnosis,
    Gathered,
    Incident,
    KnowledgeBaseEntry,
    Postmortem,
    Remediation,
    Service,
    SimilarIncident,
    SuggestedRunbook,
    Symptoms,
)

COMMON: dict[str, Any] = {
    "group_name": "knowledge_base",
    "kinds": {"python", "duckdb"},
    "owners": ["team:incident-response"],
}


@dg.asset(partitions_def=incident_partitions, code_version=ENGINE_VERSION, **COMMON)
def similar_incidents(
    responder: Responder, incident: Incident, symptoms: Symptoms, service_graph: Gathered[Service]
) -> dg.MaterializeResult[tuple[SimilarIncident, ...]]:
    """Past incidents that look like this one; never itself, never one that ended later."""
    application = responder.application
    past = application.inbox.signatures(before=incident.started_at)
    asked = memory.signature(incident, symptoms, service_graph.rows)
    history = application.scenario.context.history
    found = memory.similar(asked, past, history.similar_lookback, history.correlation_threshold)
    return result("similar_incidents", found, {"compared with": len(past), "similar": similar_table(found)})


@dg.asset(partitions_def=incident_partitions, code_version="1", **COMMON)
def suggested_runbooks(
    context: dg.AssetExecutionContext,
    responder: Responder,
    incident: Incident,
    diagnosis: Diagnosis,
    symptoms: Symptoms,
) -> dg.MaterializeResult[tuple[SuggestedRunbook, ...]]:
    """Runbooks that may apply: the one that the alert names, else what the knowledge base finds."""
    on = responder.application.scenario.documentation.runbook_suggestions
    knowledge_base = responder.application.knowledge_base
    found = memory.suggest_runbooks(knowledge_base, incident, diagnosis, symptoms) if on else ()
    responder.versions.write(
        context.partition_key, {"suggested_runbooks": found}, code_versions(context), str(knowledge_base.version)
    )
    return result("suggested_runbooks", found, {"runbooks": runbook_table(found)})


@dg.asset(partitions_def=incident_partitions, code_version="1", **COMMON)
def knowledge_base_entry(
    context: dg.AssetExecutionContext,
    responder: Responder,
    incident: Incident,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    postmortem: Postmortem,
    service_graph: Gathered[Service],
) -> dg.MaterializeResult[KnowledgeBaseEntry]:
    """What the next incident can learn from this one; the end of the close-out."""
    entry = memory.learn(incident, symptoms, diagnosis, remediation, postmortem, service_graph.rows)
    responder.versions.write(context.partition_key, {"knowledge_base_entry": entry}, code_versions(context))
    responder.application.inbox.record_signature(incident.incident_id, memory.to_json(entry))
    responder.finish_claim(context)
    return result("knowledge_base_entry", entry, {"cause": entry.cause or "not determined"})


@dg.asset(code_version="1", **COMMON)
def knowledge_base_documents(responder: Responder) -> dg.MaterializeResult[Any]:
    """Runbooks and postmortems: the starter corpus and the folders that are configured."""
    counts = memory.read_sources(responder.application.knowledge_base, responder.application.scenario)
    return dg.MaterializeResult(metadata=counts)


@dg.asset(code_version="1", deps=[knowledge_base_documents], **COMMON)
def knowledge_base_index(responder: Responder) -> dg.MaterializeResult[Any]:
    """The index that searches read; published by renaming, so that no reader waits."""
    knowledge_base = responder.application.knowledge_base
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(knowledge_base.version)),
        metadata={"documents": len(knowledge_base.documents), "version": str(knowledge_base.version)},
    )
