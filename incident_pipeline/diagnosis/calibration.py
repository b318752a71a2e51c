"""How far the first hypothesis can be trusted: from its own probability to one that means something.

Belongs here: the numbers that the confidence is read from, and the learned curve.
Does not belong here: learning it (`benchmarks/fit_weights.py`).

Method: logistic regression (Platt 1999) on the hypothesis' own log-odds, the log-odds of its service in the ranking,
its lead over the next hypothesis, whether it says why, and how undecided the ranking is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from incident_pipeline.diagnosis.vocabulary import words
from incident_pipeline.diagnosis.weights import weights
from incident_pipeline.models import Hypothesis, Symptoms

GENERIC = words(
    "slow_requests failing_requests resource_saturation network_delay resource_exhausted unhandled_exception "
    "misconfiguration dependency_unreachable"
)
"""Mechanisms that say how a service fails, not why."""
INPUTS = ("own", "service", "lead", "says_why", "spread")
CEILING = 0.97
"""No evidence of this kind proves a cause."""


def inputs_of(merged: Sequence[Hypothesis], symptoms: Symptoms) -> tuple[float, ...]:
    """The numbers for the first of `merged`, best first, as the approaches gave them."""
    first = merged[0]
    rival = next((h for h in merged[1:] if h.service != first.service), None)
    ranked = {s.service: s.score for s in symptoms.services}
    lead = first.confidence - (rival.confidence if rival else 0.0)
    why = first.caused_by.kind in {"change", "deployment"} or first.mechanism not in {None, *GENERIC}
    return (
        _odds(first.confidence),
        _odds(ranked.get(first.service or "", 0.02)),
        lead,
        float(why),
        _spread(symptoms),
    )


def _spread(symptoms: Symptoms) -> float:
    """How undecided the ranking is: its entropy in bits, at most four."""
    shares = [s.score for s in symptoms.services if s.score > 0]
    return min(-math.fsum(p * math.log2(p) for p in shares), 4.0)


def _odds(probability: float) -> float:
    clipped = min(max(probability, 0.02), 0.98)
    return math.log(clipped / (1.0 - clipped))


def calibrated(merged: Sequence[Hypothesis], symptoms: Symptoms) -> float:
    """The probability that the first hypothesis is right."""
    table = weights().get("calibration") or {}
    if not table:
        return min(merged[0].confidence, CEILING)
    odds = table["intercept"] + math.fsum(
        table[name] * value for name, value in zip(INPUTS, inputs_of(merged, symptoms), strict=True)
    )
    return min(1.0 / (1.0 + math.exp(-odds)), CEILING)
