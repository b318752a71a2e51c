"""Group `diagnosis`: what is broken, what may have caused it, and how sure that is.

Reads stored evidence only, so any of it can be re-run long after the sources have forgotten.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from assets.checks import ACTIONABLE, worth_acting_on
from assets.incident_asset import incident_asset
from assets.presentation import diagnosis_facts, hypothesis_facts, symptom_facts
from assets.resources import Responder
from assets.results import Made
from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.change_correlation import change_hypotheses as from_changes
from incident_pipeline.diagnosis.cluster_state import cluster_hypotheses as from_cluster
from incident_pipeline.diagnosis.engine import ENGINE_VERSION
from incident_pipeline.diagnosis.log_analysis import log_pattern_hypotheses as from_logs
from incident_pipeline.diagnosis.metric_correlation import metric_hypotheses as from_metrics
from incident_pipeline.diagnosis.similar_incidents import similar_incident_hypotheses as from_similar
from incident_pipeline.diagnosis.symptoms import find_symptoms
from incident_pipeline.diagnosis.synthesis import synthesize
from incident_pipeline.models import Evidence, EvidenceKind, Hypothesis, Incident, SimilarIncident, Symptoms

GROUP = "diagnosis"
Hypotheses = tuple[Hypothesis, ...]
Approach = Callable[[Incident, Evidence, Symptoms, Scenario], Hypotheses]
COMMON: dict[str, Any] = {
    "group_name": GROUP,
    "code_version": ENGINE_VERSION,
    "kinds": {"python", "duckdb"},
    "owners": ["team:incident-response"],
}


@incident_asset(deps=[kind.value for kind in EvidenceKind], **COMMON)
def symptoms(responder: Responder, incident: Incident) -> Made:
    """What is broken, since when, where first: anomalous series and log patterns."""
    gathered = responder.versions.evidence(incident.incident_id)
    patterns = responder.application.scenario.context.logs.focus_patterns
    found = find_symptoms(incident, gathered, patterns)
    return Made(found, symptom_facts(found))


def _approach(name: str, switch: str, find: Approach, description: str) -> dg.AssetsDefinition:
    """The asset of one approach: same inputs, same shape, its own switch."""

    @incident_asset(name=name, description=description, **COMMON)
    def hypotheses(responder: Responder, incident: Incident, symptoms: Symptoms) -> Made:
        settings = responder.application.scenario
        on = getattr(settings.diagnosis.approaches, switch)
        found = find(incident, responder.versions.evidence(incident.incident_id), symptoms, settings) if on else ()
        return Made(found, hypothesis_facts(found, on))

    return hypotheses


change_hypotheses = _approach(
    "change_hypotheses",
    "change_correlation",
    from_changes,
    "Deployments, commits and flags that came before the onset and could have produced it.",
)
log_pattern_hypotheses = _approach(
    "log_pattern_hypotheses",
    "log_pattern_analysis",
    from_logs,
    "What the log patterns that are new or louder since the onset speak for.",
)
metric_hypotheses = _approach(
    "metric_hypotheses", "metric_correlation", from_metrics, "What the series that moved first speak for."
)
cluster_hypotheses = _approach(
    "cluster_hypotheses",
    "cluster_state",
    from_cluster,
    "Objects of the cluster that disagree with each other, and what the cluster itself complains of.",
)


@incident_asset(**COMMON)
def similar_incident_hypotheses(
    responder: Responder, incident: Incident, symptoms: Symptoms, similar_incidents: tuple[SimilarIncident, ...]
) -> Made:
    """What caused the past incidents that look like this one."""
    settings = responder.application.scenario
    on = settings.diagnosis.approaches.similar_incident_match
    found = from_similar(incident, symptoms, similar_incidents, settings) if on else ()
    return Made(found, hypothesis_facts(found, on))


@incident_asset(
    check_specs=[dg.AssetCheckSpec(ACTIONABLE, asset="diagnosis", description="The first cause is likelier than not.")],
    **COMMON,
)
def diagnosis(
    responder: Responder,
    incident: Incident,
    symptoms: Symptoms,
    change_hypotheses: Hypotheses,
    log_pattern_hypotheses: Hypotheses,
    metric_hypotheses: Hypotheses,
    cluster_hypotheses: Hypotheses,
    similar_incident_hypotheses: Hypotheses,
) -> Made:
    """The ranked causes, each with a probability and the sentences that speak for it."""
    hypotheses = (
        *change_hypotheses,
        *log_pattern_hypotheses,
        *metric_hypotheses,
        *cluster_hypotheses,
        *similar_incident_hypotheses,
    )
    evidence = responder.versions.evidence(incident.incident_id)
    ranked = synthesize(incident, evidence, symptoms, hypotheses, responder.application.scenario)
    made = ranked.model_copy(update={"engine_version": ENGINE_VERSION})
    return Made(made, diagnosis_facts(made), [worth_acting_on(made)])
