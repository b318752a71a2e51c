"""One diagnosis out of the hypotheses of all approaches, with probabilities.

Belongs here: merging, ranking, probability, the summary. Does not belong here: making hypotheses.
"""

from __future__ import annotations

from collections.abc import Sequence

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.sentences import clock
from incident_pipeline.models import Diagnosis, Evidence, Hypothesis, Incident, RankedService, Symptoms


def synthesize(
    incident: Incident,
    evidence: Evidence,
    symptoms: Symptoms,
    hypotheses: Sequence[Hypothesis],
    settings: Scenario,
) -> Diagnosis:
    """The ranked diagnosis; what the hypotheses leave of the probability is "unknown"."""
    allowed = [h for h in hypotheses if h.category in settings.diagnosis.categories]
    total = sum(h.confidence for h in allowed)
    scale = 1.0 if total <= 0.9 else 0.9 / total
    ranked = tuple(
        h.model_copy(update={"confidence": round(h.confidence * scale, 4)})
        for h in sorted(allowed, key=lambda h: (-h.confidence, h.approach, h.description))
    )
    blamed = next((h.caused_by for h in ranked[:1]), None)
    return Diagnosis(
        summary=_summary(incident, symptoms, ranked),
        hypotheses=ranked,
        services=tuple(RankedService(service=s.service, score=s.score) for s in symptoms.services),
        first_failing_service=symptoms.first_failing_service,
        blast_radius=symptoms.blast_radius,
        root_cause_deployment=blamed.id if blamed and blamed.kind == "deployment" else None,
        onset=symptoms.onset,
        gaps=evidence.gaps,
    )


def _summary(incident: Incident, symptoms: Symptoms, ranked: Sequence[Hypothesis]) -> str:
    since = symptoms.onset or incident.started_at
    if not ranked:
        return f"{incident.title}, since {clock(since)}. The evidence does not point to a cause."
    best = ranked[0]
    return f"{incident.title}, since {clock(since)}. Most likely: {best.description} ({best.confidence:.0%})."
