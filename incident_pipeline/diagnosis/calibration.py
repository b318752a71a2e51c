"""How far the first hypothesis can be trusted: from its own probability to one that means something.

Belongs here: what the confidence is read from, and the learned curve.
Does not belong here: learning it (`benchmarks/fit_weights.py`).

Method: logistic regression (Platt 1999) on the lead of the first hypothesis over the next that names another service,
and on how many series were looked at: the more there are, the more of them move by chance, and the less one that moves
proves (the look-elsewhere effect; Gross and Vitells 2010). More inputs (its own log-odds, the ranking's, whether it
says why, the entropy of the ranking, the strength of the anomalies) were tried and made it worse on incidents that it
was not fitted on. Missing evidence takes off its share.
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
INPUTS = ("lead", "series")
FEW_SERIES, NO_SERIES = 100, 1000
"""Fewer series say no more: two systems alone had much fewer, which is no proof of what others would do. To have none
at all is no better than to have many.
"""
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


def inputs_of(merged: Sequence[Hypothesis], series: int) -> tuple[float, ...]:
    """What the confidence of the first hypothesis is read from.

    Args:
        merged: hypotheses, the best first.
        series: how many series were measured.

    Returns:
        The lead of the first over the next that names another service, and the decimal logarithm of the series.
    """
    return merged[0].confidence - _rival(merged), math.log10(max(series or NO_SERIES, FEW_SERIES))


def most(merged: Sequence[Hypothesis], gaps: Sequence[Gap]) -> float:
    """What no curve may exceed: certainty, a proof out of nothing, and the odds of the first against its rival's."""
    own, rival = merged[0].confidence, _rival(merged)
    ceiling = _probability(_odds(CEILING) + gap_offset(gaps))
    against = _probability(_odds(own) - _odds(rival)) if rival > 0.0 else 1.0
    return min(ceiling, OUT_OF_NOTHING * own, against)


def _rival(merged: Sequence[Hypothesis]) -> float:
    """The probability of the best hypothesis that names another service than the first."""
    return next((h.confidence for h in merged[1:] if h.service != merged[0].service), 0.0)


def gap_offset(gaps: Sequence[Gap]) -> float:
    """What missing evidence adds to the log-odds: nothing or less."""
    return -GAP_COST * math.fsum(_LOST.get(kind, _LOST_AT_LEAST) for kind in sorted({gap.kind for gap in gaps}))


def calibrated(merged: Sequence[Hypothesis], gaps: Sequence[Gap] = (), series: int = 0) -> float:
    """The probability that the first hypothesis is right."""
    table = weights().get("calibration") or {}
    if not table or merged[0].approach in MEASURED:
        return min(merged[0].confidence, CEILING)
    odds = (
        table["intercept"]
        + gap_offset(gaps)
        + math.fsum(table[name] * value for name, value in zip(INPUTS, inputs_of(merged, series), strict=True))
    )
    return min(_probability(odds), most(merged, gaps))


def _odds(probability: float) -> float:
    """Log-odds."""
    sure = min(max(probability, 1e-4), 1.0 - 1e-4)
    return math.log(sure / (1.0 - sure))


def _probability(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds))
