"""How far the first hypothesis can be trusted: from its own probability to one that means something.

Belongs here: what the confidence is read from, and the learned curve.
Does not belong here: learning it (`benchmarks/fit_weights.py`).

Method: logistic regression (Platt 1999) on the lead of the first hypothesis over the next that names another service.
More inputs (its own log-odds, the ranking's, whether it says why, the entropy of the ranking, the strength of the
anomalies) were tried and made it worse on incidents that it was not fitted on. Missing evidence takes off its share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from incident_pipeline.diagnosis.vocabulary import words
from incident_pipeline.diagnosis.weights import weights
from incident_pipeline.models import Gap, Hypothesis

GENERIC = words(
    "slow_requests failing_requests resource_saturation network_delay resource_exhausted unhandled_exception "
    "misconfiguration dependency_unreachable container_crash"
)
"""Mechanisms that say how a service fails, not why."""
MEASURED = frozenset({"cluster_state"})
"""Approaches whose own probabilities are shares of right answers: the lead over others says nothing beyond them."""
INPUTS = ("lead",)
OUT_OF_NOTHING = 6.0
"""A lead over nobody proves nothing: at most so many times what the approach itself gave."""
GAP_COST = 5.0
"""Log-odds that all evidence together would take off; each kind that is missing takes its share."""
_LOST = {
    **{"metrics": 0.05, "logs": 0.03, "deployments": 0.03, "code_changes": 0.02, "traces": 0.02},
    "kubernetes_state": 0.0,
}
_LOST_AT_LEAST = 0.01
CEILING = 0.97
"""No evidence of this kind proves a cause."""


def inputs_of(merged: Sequence[Hypothesis]) -> tuple[float, ...]:
    """The lead of the first of `merged`, best first, over the next that names another service."""
    first = merged[0]
    rival = next((h for h in merged[1:] if h.service != first.service), None)
    return (first.confidence - (rival.confidence if rival else 0.0),)


def gap_offset(gaps: Sequence[Gap]) -> float:
    """What missing evidence adds to the log-odds: nothing or less."""
    return -GAP_COST * math.fsum(_LOST.get(kind, _LOST_AT_LEAST) for kind in sorted({gap.kind for gap in gaps}))


def calibrated(merged: Sequence[Hypothesis], gaps: Sequence[Gap] = ()) -> float:
    """The probability that the first hypothesis is right."""
    table = weights().get("calibration") or {}
    if not table or merged[0].approach in MEASURED:
        return min(merged[0].confidence, CEILING)
    odds = (
        table["intercept"]
        + gap_offset(gaps)
        + math.fsum(table[name] * value for name, value in zip(INPUTS, inputs_of(merged), strict=True))
    )
    return min(1.0 / (1.0 + math.exp(-odds)), CEILING, OUT_OF_NOTHING * merged[0].confidence)
