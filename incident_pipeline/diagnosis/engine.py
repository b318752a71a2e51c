"""The whole diagnosis in one call: evidence in, ranked causes out.

Belongs here: the order of the steps and the switches. Does not belong here: any of the steps.
Pure: no I/O, no clock, the same answer for the same evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.change_correlation import change_hypotheses
from incident_pipeline.diagnosis.cluster_state import cluster_hypotheses
from incident_pipeline.diagnosis.log_analysis import log_pattern_hypotheses
from incident_pipeline.diagnosis.metric_correlation import metric_hypotheses
from incident_pipeline.diagnosis.similar_incidents import similar_incident_hypotheses
from incident_pipeline.diagnosis.symptoms import find_symptoms
from incident_pipeline.diagnosis.synthesis import synthesize
from incident_pipeline.models import Diagnosis, Evidence, Hypothesis, Incident, SimilarIncident, Symptoms

ENGINE_VERSION = "4"


def diagnose(
    incident: Incident,
    evidence: Evidence,
    settings: Scenario,
    similar: Sequence[SimilarIncident] = (),
    others: Sequence[Hypothesis] = (),
) -> Diagnosis:
    """Rank the likely causes of an incident.

    Args:
        incident: the alerts and when they started.
        evidence: what the sources answered; gaps lower the confidence.
        settings: switches of the approaches, focus areas and patterns, allowed categories.
        similar: past incidents that the knowledge base holds to be alike.
        others: hypotheses of approaches that live elsewhere, to be merged and ranked with the rest.
    """
    symptoms = find_symptoms(incident, evidence, settings.context.logs.focus_patterns)
    hypotheses = (*find_hypotheses(incident, evidence, symptoms, settings, similar), *others)
    diagnosis = synthesize(incident, evidence, symptoms, hypotheses, settings)
    return diagnosis.model_copy(update={"engine_version": ENGINE_VERSION})


def find_hypotheses(
    incident: Incident,
    evidence: Evidence,
    symptoms: Symptoms,
    settings: Scenario,
    similar: Sequence[SimilarIncident] = (),
) -> tuple[Hypothesis, ...]:
    """The hypotheses of every approach that is switched on."""
    switches = settings.diagnosis.approaches
    found: list[Hypothesis] = []
    if switches.log_pattern_analysis:
        found += log_pattern_hypotheses(incident, evidence, symptoms, settings)
    if switches.metric_correlation:
        found += metric_hypotheses(incident, evidence, symptoms, settings)
    if switches.cluster_state:
        found += cluster_hypotheses(incident, evidence, symptoms, settings)
    if switches.change_correlation:
        found += change_hypotheses(incident, evidence, symptoms, settings)
    if switches.similar_incident_match:
        found += similar_incident_hypotheses(incident, symptoms, similar, settings)
    return tuple(found)
