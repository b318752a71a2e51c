"""Group `alert_ingest`: the alerts of an incident as they were received, and the incident they make."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.partitions import incident_partitions
from assets.presentation import alert_table, incident_facts
from assets.resources import Responder
from assets.results import Made, code_versions, result, take_up_claim
from incident_pipeline.intake.dispatch import CLAIM_TAG

GROUP = "alert_ingest"


@dg.multi_asset(
    name="ingest",
    partitions_def=incident_partitions,
    outs={
        "raw_alerts": dg.AssetOut(
            group_name=GROUP,
            code_version="1",
            kinds={"duckdb"},
            owners=["team:incident-response"],
            description="Every alert that was grouped into the incident, as its source sent it, redacted.",
        ),
        "incident": dg.AssetOut(
            group_name=GROUP,
            code_version="1",
            kinds={"duckdb"},
            owners=["team:incident-response"],
            description="What the alerts are about: title, status, severity, services and times.",
        ),
    },
)
def ingest(context: dg.AssetExecutionContext, responder: Responder) -> Iterator[dg.MaterializeResult[Any]]:
    """Read the incident as the inbox knows it now."""
    take_up_claim(context, responder, context.run.tags.get(CLAIM_TAG))
    incident = responder.application.inbox.incident(context.partition_key)
    values = {"raw_alerts": incident.alerts, "incident": incident}
    responder.versions.write(context.partition_key, values, code_versions(context))
    alerts = responder.versions.written(context.partition_key, "raw_alerts")
    stored = responder.versions.written(context.partition_key, "incident")
    yield result(context, responder, "raw_alerts", Made(alerts, {"alerts": alert_table(alerts)}))
    yield result(context, responder, "incident", Made(stored, incident_facts(stored)))
