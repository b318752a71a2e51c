"""Group `documentation`: what people read.

The timeline and the status update belong to every run, the postmortem and the runbook update to the end.
"""

from typing import Any

import dagster as dg

from assets.incident_asset import incident_asset
from assets.presentation import overview_facts, timeline_table
from assets.resources import Responder
from assets.results import Made, code_versions, markdown
from incident_pipeline.close_out.chronicle import done_and_said, verified_by, with_record
from incident_pipeline.close_out.closing import text_of_runbook, those_before, with_edits
from incident_pipeline.communication.status import status_update as write_status_update
from incident_pipeline.documents.postmortem import write_postmortem
from incident_pipeline.documents.runbook_update import propose_runbook_update
from incident_pipeline.documents.timeline import build_timeline
from incident_pipeline.models import (
    Diagnosis,
    Incident,
    Postmortem,
    Remediation,
    SuggestedRunbook,
    Symptoms,
    Timeline,
)
from incident_pipeline.remediation.approvals import permit_automatic

COMMON: dict[str, Any] = {
    "group_name": "documentation",
    "code_version": "1",
    "kinds": {"markdown", "duckdb"},
    "owners": ["team:incident-response"],
}


@incident_asset(**COMMON)
def timeline(responder: Responder, incident: Incident, symptoms: Symptoms, diagnosis: Diagnosis) -> Made:
    """What happened and what was done, in order."""
    if not responder.application.scenario.documentation.timeline:
        return Made(Timeline(), {"timeline": "switched off in the configuration"})
    responded_at, diagnosed_at = responder.milestones(incident)
    evidence = responder.versions.evidence(incident.incident_id)
    made = build_timeline(
        incident,
        evidence,
        symptoms,
        diagnosis,
        responded_at=responded_at,
        diagnosed_at=diagnosed_at,
        done=done_and_said(responder.application, incident),
    )
    return Made(made, {"timeline": timeline_table(made)})


@incident_asset(**COMMON)
def status_update(
    context: dg.AssetExecutionContext,
    responder: Responder,
    incident: Incident,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    timeline: Timeline,
) -> Made:
    """What people are told: cause, confidence, evidence, suggested actions, timeline."""
    application = responder.application
    update = write_status_update(
        incident,
        responder.versions.evidence(incident.incident_id),
        symptoms,
        diagnosis,
        # nobody can have decided on anything before the first update
        with_record(application, incident.incident_id, remediation) if incident.diagnosed_at else remediation,
        timeline,
        as_of=responder.clock,
        templates=application.templates,
    )
    responder.versions.write(context.partition_key, {"status_update": update}, code_versions(context))
    responder.record_update(context, incident, diagnosis)
    if not incident.replayed_from:
        permit_automatic(application, incident.incident_id, remediation.actions, responder.now())
    return Made(update, {"message": markdown(update.markdown)})


@incident_asset(deps=["status_update"], **COMMON)
def overview(responder: Responder, incident: Incident, symptoms: Symptoms, diagnosis: Diagnosis) -> Made:
    """What moved and when, as a picture with the onset and the deployments marked; drawn after people were told."""
    evidence = responder.versions.evidence(incident.incident_id)
    return Made(metadata=overview_facts(incident, evidence, symptoms, diagnosis))


@incident_asset(**COMMON)
def postmortem(
    responder: Responder,
    incident: Incident,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    timeline: Timeline,
    similar_incidents: tuple,  # of SimilarIncident; Dagster knows no tuple of any length
) -> Made:
    """The postmortem: what was measured, and of the rest that it was not; what people changed in it is kept."""
    application = responder.application
    document = write_postmortem(
        incident,
        responder.versions.evidence(incident.incident_id),
        symptoms,
        diagnosis,
        with_record(application, incident.incident_id, remediation),
        timeline,
        application.scenario,
        as_of=responder.clock,
        templates=application.templates,
        before=those_before(application, similar_incidents),
        verified_by=verified_by(application, incident.incident_id),
    )
    if not application.scenario.documentation.auto_postmortem:
        # the record is what the incident taught and is kept; only the document is not written
        record = document.model_copy(update={"markdown": ""})
        return Made(record, {"postmortem": "switched off in the configuration"})
    document = with_edits(application, incident.incident_id, document)
    facts = {"postmortem": markdown(document.markdown), "kept against the generated text": document.overruled or "none"}
    return Made(document, facts)


@incident_asset(**COMMON)
def runbook_update(
    responder: Responder,
    incident: Incident,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    suggested_runbooks: tuple[SuggestedRunbook, ...],
    postmortem: Postmortem,
) -> Made:
    """What the runbook of this failure mode should say after this incident; a proposal."""
    proposal = propose_runbook_update(
        incident,
        symptoms,
        diagnosis,
        with_record(responder.application, incident.incident_id, remediation),
        suggested_runbooks,
        as_of=responder.clock,
        templates=responder.application.templates,
        current=text_of_runbook(responder.application, suggested_runbooks),
    )
    title = {"for": postmortem.title, "runbook": markdown(proposal.markdown)}
    return Made(proposal, title)
