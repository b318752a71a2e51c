"""What Dagster shows as passed or warned of: sources that did not answer, windows without rows, a weak diagnosis.

No check blocks: a diagnosis with a gap is worth more at 03:00 than none.
"""

from typing import Any

import dagster as dg

from incident_pipeline.models import Diagnosis, EnvelopeStatus, EvidenceKind, Gathered

ANSWERED = "answered"
ACTIONABLE = "worth_acting_on"
LIKELIER_THAN_NOT = 0.5
"""Below this the first hypothesis is more likely wrong than right."""

NEVER_EMPTY = frozenset({EvidenceKind.METRICS, EvidenceKind.LOGS})
"""A service that runs has series and log lines; an empty answer means that the wrong thing was asked."""


def answered(gathered: Gathered[Any]) -> dg.AssetCheckResult:
    """Warns when a source was unavailable, or when nothing came where there is always something."""
    unavailable = [f"{gap.source}: {gap.reason}" for gap in gathered.gaps]
    suspicious = gathered.kind in NEVER_EMPTY and gathered.status is EnvelopeStatus.EMPTY
    reasons = [*unavailable, *(["the window is empty: check the query and the service's name"] if suspicious else [])]
    return dg.AssetCheckResult(
        asset_key=gathered.kind.value,
        check_name=ANSWERED,
        passed=not reasons,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(reasons)[:1000] or "every source answered",
    )


def worth_acting_on(diagnosis: Diagnosis) -> dg.AssetCheckResult:
    """Warns when the likeliest cause is less likely than not, so that nobody acts on a guess."""
    confidence = diagnosis.primary.confidence if diagnosis.primary else 0.0
    return dg.AssetCheckResult(
        asset_key="diagnosis",
        check_name=ACTIONABLE,
        passed=confidence >= LIKELIER_THAN_NOT,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"The likeliest cause has {confidence:.0%}.",
        metadata={"confidence": confidence},
    )
