"""Group `context`: the evidence, gathered from all sources at once.

One multi-asset, so that the wait is the slowest source and not the sum, and each output can still be re-run alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from assets.checks import ANSWERED, answered
from assets.partitions import incident_partitions
from assets.presentation import evidence_facts
from assets.resources import Responder
from assets.results import Made, code_versions, result
from incident_pipeline.models import EvidenceKind, Incident

GROUP = "context"

DESCRIPTIONS = {
    EvidenceKind.DEPLOYMENTS: "Releases of the incident's services and of those around them.",
    EvidenceKind.CODE_CHANGES: "Commits with their files and diffs.",
    EvidenceKind.FLAG_CHANGES: "Feature flags that were turned.",
    EvidenceKind.METRICS: "The configured series, from the normal time to now.",
    EvidenceKind.LOGS: "Log lines of the incident's services.",
    EvidenceKind.TRACES: "Spans: who called whom, how long it took, what failed.",
    EvidenceKind.RELATED_ALERTS: "What else fired at the same time.",
    EvidenceKind.SERVICE_GRAPH: "The services and what they depend on.",
    EvidenceKind.KUBERNETES_STATE: "The objects of the cluster: workloads, services, nodes, events.",
    EvidenceKind.ON_CALL: "Who is on call for the incident's services.",
}


@dg.multi_asset(
    name="evidence",
    partitions_def=incident_partitions,
    can_subset=True,
    deps=["incident"],
    outs={
        kind.value: dg.AssetOut(
            is_required=False,
            group_name=GROUP,
            code_version="1",
            kinds={"duckdb"},
            owners=["team:incident-response"],
            description=DESCRIPTIONS[kind],
        )
        for kind in EvidenceKind
    },
    check_specs=[
        dg.AssetCheckSpec(ANSWERED, asset=kind.value, description="Every source gave an answer.")
        for kind in EvidenceKind
    ],
)
def evidence(context: dg.AssetExecutionContext, responder: Responder) -> Iterator[dg.MaterializeResult[Any]]:
    """Ask every source at once; one that does not answer in time is a gap, never a failed run."""
    from incident_pipeline.evidence.gather import gather_now

    application = responder.application
    incident: Incident = responder.versions.value(context.partition_key, "incident")
    kinds = sorted(EvidenceKind(key.to_user_string()) for key in context.selected_asset_keys)
    folder = Path(incident.replayed_from) if incident.replayed_from else None
    gathered = gather_now(
        kinds,
        application.sources(folder),
        incident,
        application.scenario,
        responder.clock,
        catalogue=application.catalogue,
        circuits=None if folder else application.circuits,
        rates=None if folder else application.rates,
    )
    values = {kind.value: gathered[kind] for kind in kinds}
    versions = responder.versions
    versions.write(context.partition_key, values, code_versions(context))
    for kind in kinds:
        stored = versions.written(context.partition_key, kind.value)
        yield result(context, responder, kind.value, Made(stored, evidence_facts(stored), [answered(stored)]))
