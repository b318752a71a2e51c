"""Group `remediation`: what could be done about it, and, once people have agreed, what was done."""

import dagster as dg

from assets.incident_asset import incident_asset
from assets.presentation import executed_facts, rehearsal_facts, remediation_facts
from assets.resources import Responder
from assets.results import Made
from incident_pipeline.close_out.closing import text_of_runbook
from incident_pipeline.communication.planning import with_communication_plan
from incident_pipeline.connectors.limits import limited_by
from incident_pipeline.models import Diagnosis, Incident, Remediation, SuggestedRunbook
from incident_pipeline.remediation.carrying_out import carry_out
from incident_pipeline.remediation.plan import plan_remediation
from incident_pipeline.remediation.rehearsals import rehearse_offered


@incident_asset(
    group_name="remediation",
    code_version="1",
    kinds={"python", "duckdb"},
    owners=["team:incident-response"],
)
def remediation(
    responder: Responder,
    incident: Incident,
    diagnosis: Diagnosis,
    suggested_runbooks: tuple[SuggestedRunbook, ...],
) -> Made:
    """The proposed actions with risk, verification and undo; each waits for a person."""
    application = responder.application
    evidence = responder.versions.evidence(incident.incident_id)
    text = text_of_runbook(application, suggested_runbooks)
    texts = {suggested_runbooks[0].runbook_id: text} if text else {}
    plan = plan_remediation(incident, evidence, diagnosis, suggested_runbooks, application.scenario, texts)
    plan = with_communication_plan(application, incident, diagnosis, plan, responder.clock)
    return Made(plan, remediation_facts(plan))


@incident_asset(
    deps=["status_update"],
    group_name="remediation",
    code_version="1",
    kinds={"python"},
    owners=["team:incident-response"],
)
def dry_runs(responder: Responder, incident: Incident, remediation: Remediation) -> Made:
    """What the targets say to what is proposed, tried dry after people were told; changes nothing anywhere."""
    found = rehearse_offered(responder.application, incident, remediation.actions, responder.now)
    return Made(metadata=rehearsal_facts(list(found)))


@incident_asset(
    deps=["remediation"],
    group_name="remediation",
    code_version="1",
    kinds={"python", "duckdb"},
    owners=["team:incident-response"],
)
def executed_actions(context: dg.AssetExecutionContext, responder: Responder) -> Made:
    """What was carried out, by whose approval and with which result; running it does what is approved, once."""
    application, incident_id = responder.application, context.partition_key
    with limited_by(application.rates):
        done = carry_out(application, incident_id, context.run.run_id, responder.now)
    return Made(done, executed_facts(done))
