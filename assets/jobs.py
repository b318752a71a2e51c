"""What can be started: the response to an incident, what people approved, its close-out, the knowledge base's index."""

from __future__ import annotations

import dagster as dg

MAX_RUNTIME_SECONDS = 300

RESPOND = "respond"
CLOSE_OUT = "close_out"
EXECUTE_REMEDIATION = "execute_remediation"
INDEX_KNOWLEDGE_BASE = "index_knowledge_base"

_TAGS = {"dagster/max_runtime": str(MAX_RUNTIME_SECONDS)}

AT_THE_END = ("postmortem", "runbook_update", "knowledge_base_entry")
"""Assets that are only made when an incident has ended."""

ON_APPROVAL = ("executed_actions",)
"""Assets that act; only made when people have agreed, never on the way to a diagnosis."""

ANALYSIS = (
    *("symptoms", "change_hypotheses", "log_pattern_hypotheses", "metric_hypotheses", "cluster_hypotheses"),
    *("similar_incidents", "similar_incident_hypotheses", "diagnosis", "suggested_runbooks", "remediation", "timeline"),
)
"""What a status update is made of: a whole run stores it together with the update."""

INGESTED = ("raw_alerts", "incident")
TOLD = ("timeline", "status_update")
MEMORY = ("knowledge_base_documents", "knowledge_base_index")

_of_an_incident = dg.AssetSelection.all() - dg.AssetSelection.assets(*MEMORY)

respond = dg.define_asset_job(
    RESPOND,
    selection=_of_an_incident - dg.AssetSelection.assets(*AT_THE_END, *ON_APPROVAL),
    tags=_TAGS,
    description="From the alerts of an incident to a diagnosis that people have been told of.",
)

close_out = dg.define_asset_job(
    CLOSE_OUT,
    selection=dg.AssetSelection.assets(*INGESTED, *TOLD, *AT_THE_END),
    tags=_TAGS,
    description="When an incident has ended: its last status, its postmortem, and what is learned from it.",
)

execute_remediation = dg.define_asset_job(
    EXECUTE_REMEDIATION,
    selection=dg.AssetSelection.assets(*ON_APPROVAL),
    tags=_TAGS,
    description="Carries out what was approved, once, and looks whether it happened and helped.",
)

index_knowledge_base = dg.define_asset_job(
    INDEX_KNOWLEDGE_BASE,
    selection=dg.AssetSelection.assets(*MEMORY),
    tags=_TAGS,
    description="Reads the sources of the knowledge base again and publishes a new index.",
)

all_jobs = [respond, close_out, execute_remediation, index_knowledge_base]


def tells_people(run: dg.DagsterRun | None) -> bool:
    """Whether the run goes all the way to a status update, rather than making a few assets again."""
    return run is not None and run.job_name in (RESPOND, CLOSE_OUT) and not run.asset_selection
