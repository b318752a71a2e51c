"""What the series say: which service moved first, in what, and which operational cause that means.

Belongs here: from anomalies to a cause with a category. Does not belong here: finding the anomalies.
"""

from __future__ import annotations

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.sentences import clock, number
from incident_pipeline.models import Category, CausedBy, Evidence, Hypothesis, Incident, Symptoms


def metric_hypotheses(
    incident: Incident, evidence: Evidence, symptoms: Symptoms, settings: Scenario
) -> tuple[Hypothesis, ...]:
    """One hypothesis for each of the services where the problem most likely starts."""
    del incident, evidence, settings
    found = []
    total = sum(min(s.score, 50) for s in symptoms.services) or 1.0
    for symptom in symptoms.services[:3]:
        worst = next((a for a in symptoms.anomalies if a.service == symptom.service), None)
        if worst is None:
            continue
        found.append(
            Hypothesis(
                category=Category.CAPACITY_PROBLEM,
                service=symptom.service,
                description=f"{symptom.service}: {worst.series} left its normal range",
                confidence=round(0.5 * min(symptom.score, 50) / total, 3),
                evidence=(
                    f"{worst.series} of {symptom.service} went from {number(worst.before)} to {number(worst.after)} "
                    f"at {clock(worst.onset)}",
                ),
                caused_by=CausedBy(kind="metric", id=worst.series),
                approach="metric_correlation",
            )
        )
    return tuple(found)
