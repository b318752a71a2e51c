"""Group `remediation`: what could be done about it. Proposals only; nothing here acts."""

from typing import Any

import dagster as dg

from assets.partitions import incident_partitions
from assets.presentation import remediation_facts
from assets.resources import Responder
from assets.results import result
from incident_pipeline.communication.planning import with_communication_plan
from incident_pipeline.models import Diagnosis, Incident
from incident_pipeline.remediation.plan import plan_remediation


@dg.asset(
    partitions_def=incident_partitions,
    group_name="remediation",
    code_version="1",
    kinds={"python", "duckdb"},
    owners=["team:incident-response"],
)
def remediation(
    responder: Responder,
    incident: Incident,
    diagnosis: Diagnosis,
    suggested_runbooks: tuple,
) -> dg.MaterializeResult[Any]:
    """The proposed actions with risk, verification and undo; each waits for a person."""
    evidence = responder.versions.evidence(incident.incident_id)
    plan = plan_remediation(incident, evidence, diagnosis, suggested_runbooks, responder.application.scenario)
    plan = with_communication_plan(responder.application, incident, diagnosis, plan, responder.clock)
    return result("remediation", plan, remediation_facts(plan))
