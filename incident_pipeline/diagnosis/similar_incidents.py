"""What past incidents that looked like this one turned out to be.

Belongs here: the vote of similar incidents. Does not belong here: finding them (the knowledge base does).
"""

from __future__ import annotations

from collections.abc import Sequence

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.sentences import shortened
from incident_pipeline.models import CausedBy, Hypothesis, Incident, SimilarIncident, Symptoms

_ACCURACY_UNKNOWN = 0.5
_CONFIRMED = 2.0
"""A person's word weighs as much as two guesses of the machine."""


def _weight(past: SimilarIncident) -> float:
    return past.similarity * (_CONFIRMED if past.confirmed else 1.0)


def similar_incident_hypotheses(
    incident: Incident, symptoms: Symptoms, similar: Sequence[SimilarIncident], settings: Scenario
) -> tuple[Hypothesis, ...]:
    """One hypothesis for each category that similar incidents vote for, as sure as such votes were right so far."""
    threshold = settings.context.history.correlation_threshold
    service = symptoms.first_failing_service or (incident.services[0] if incident.services else None)
    votes = [past for past in similar if past.category is not None and past.similarity >= threshold]
    total = sum(map(_weight, votes)) or 1.0
    found = []
    for category in sorted({past.category for past in votes if past.category}):
        voters = sorted((p for p in votes if p.category == category), key=lambda p: (-_weight(p), p.incident_id))
        best = voters[0]
        share = sum(map(_weight, voters)) / total
        accuracy = _ACCURACY_UNKNOWN if best.vote_accuracy is None else best.vote_accuracy
        fixes = tuple(dict.fromkeys(f"Last time this helped: {p.fixed_by}" for p in voters if p.fixed_by))
        found.append(
            Hypothesis(
                category=category,
                service=service,
                description=f"Like {best.incident_id}: {shortened(best.cause or best.title, 100)}",
                confidence=round(accuracy * share * best.similarity, 3),
                evidence=tuple(
                    f"{p.incident_id} ({p.similarity:.0%} similar): {shortened(p.title)}" for p in voters[:3]
                ),
                suggested_actions=fixes[:2],
                caused_by=CausedBy(kind="incident", id=best.incident_id),
                approach="similar_incident_match",
                disproved_by=f"{best.incident_id} had a different first failing service or log pattern",
            )
        )
    return tuple(sorted(found, key=lambda h: -h.confidence))
