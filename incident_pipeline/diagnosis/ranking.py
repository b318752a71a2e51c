"""Which service the problem starts in: all features of all services, weighed together.

Belongs here: gathering the features of every module and the choice model over them.
Does not belong here: the features themselves, or what caused the problem.

Method: conditional logit (McFadden 1974): the score of a service is a weighted sum of its features, its probability the
softmax over the services of the incident. Features are shares of the strongest service's, so that one set of weights
serves systems of any size; the weights are fitted in `benchmarks/fit_weights.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from incident_pipeline.diagnosis.service_features import Features, relative
from incident_pipeline.diagnosis.weights import weights

ABSOLUTE = ("alerted", "trace_wire")
"""Features that are taken as they are."""


@dataclass(frozen=True)
class RankedFeature:
    """One service with its probability and the features that speak for it, strongest first."""

    service: str
    probability: float
    score: float
    reasons: tuple[tuple[str, float], ...]


def merge_features(parts: Iterable[Mapping[str, Mapping[str, float]]]) -> Features:
    """The features of all modules as one; where two name the same feature the larger counts."""
    merged: Features = {}
    for part in parts:
        for service, features in part.items():
            own = merged.setdefault(service, {})
            for name, value in features.items():
                own[name] = max(own.get(name, 0.0), value)
    return merged


def rank_services(features: Mapping[str, Mapping[str, float]]) -> list[RankedFeature]:
    """Every service, the likeliest origin first; ties by name."""
    table: Mapping[str, float] = weights()["service_ranking"]
    shares = relative(features, [name for name in table if name not in ABSOLUTE])
    scored = []
    for service, own in shares.items():
        parts = {name: table[name] * value for name, value in own.items()}
        parts |= {name: table.get(name, 0.0) * features[service].get(name, 0.0) for name in ABSOLUTE}
        scored.append((service, math.fsum(parts.values()), parts))
    top = max((score for _, score, _ in scored), default=0.0)
    total = math.fsum(math.exp(score - top) for _, score, _ in scored) or 1.0
    ranked = [
        RankedFeature(
            service,
            math.exp(score - top) / total,
            score,
            tuple(sorted(((n, v) for n, v in parts.items() if v > 0.1), key=lambda p: (-p[1], p[0]))),
        )
        for service, score, parts in scored
    ]
    return sorted(ranked, key=lambda r: (-round(r.score, 9), r.service))
