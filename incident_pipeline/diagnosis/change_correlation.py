"""Which change came before the onset, and could it produce these symptoms?

Belongs here: the hypotheses that blame a deployment, a code change or a flag.
Does not belong here: operational causes (`metric_correlation`), ranking against other approaches (`synthesis`).
"""

from __future__ import annotations

from datetime import timedelta

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.sentences import clock_on, span
from incident_pipeline.models import Category, CausedBy, Evidence, Hypothesis, Incident, Symptoms


def change_hypotheses(
    incident: Incident, evidence: Evidence, symptoms: Symptoms, settings: Scenario
) -> tuple[Hypothesis, ...]:
    """Deployments before the onset, likeliest first."""
    del settings
    onset = symptoms.onset or incident.started_at
    found = []
    for deployment in evidence.deployments.rows:
        at = deployment.at
        if at is None or at > onset + timedelta(minutes=5):
            continue
        age = (onset - at).total_seconds() / 3600
        confidence = 0.6 / (1 + max(age, 0.0))
        found.append(
            Hypothesis(
                category=Category.DEPLOYMENT_ISSUE,
                service=deployment.service,
                description=f"Recent deployment ({deployment.id} at {clock_on(at, onset)})",
                confidence=confidence,
                evidence=(f"Error spike began {span(onset - at)} after deployment",),
                suggested_actions=(f"Roll back {deployment.service} to {deployment.previous_version or 'before'}",),
                caused_by=CausedBy(kind="deployment", id=deployment.id),
                approach="change_correlation",
            )
        )
    return tuple(sorted(found, key=lambda h: -h.confidence))
