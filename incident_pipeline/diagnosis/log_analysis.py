"""What the logs complain of since the onset, as hypotheses.

Belongs here: from log patterns to a cause with a category. Does not belong here: mining the patterns.
"""

from __future__ import annotations

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.sentences import clock, plural, shortened
from incident_pipeline.models import Category, CausedBy, Evidence, Hypothesis, Incident, Symptoms


def log_pattern_hypotheses(
    incident: Incident, evidence: Evidence, symptoms: Symptoms, settings: Scenario
) -> tuple[Hypothesis, ...]:
    """One hypothesis for each of the most telling log patterns."""
    del incident, evidence, settings
    return tuple(
        Hypothesis(
            category=pattern.category or Category.CODE_BUG,
            service=pattern.service,
            description=f"{pattern.service or 'A service'} logs: {shortened(pattern.template, 100)}",
            confidence=round(0.3 * pattern.score, 3),
            evidence=(
                f"{plural(pattern.count, 'line')} since the onset, {pattern.count_before} before it",
                f"First occurrence: {clock(pattern.first_seen)}",
                f"Example: {shortened(pattern.example)}",
            ),
            caused_by=CausedBy(kind="log_pattern", id=pattern.pattern_id),
            approach="log_pattern_analysis",
        )
        for pattern in symptoms.log_patterns[:3]
    )
