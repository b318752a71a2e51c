"""What speaks for each service as the place where the problem starts, as numbers between 0 and 1.

Belongs here: turning shifts of series into features of services, with what the services they call explain taken off.
Does not belong here: the weights of the features (`ranking`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from incident_pipeline.diagnosis.graph import ServiceGraph
from incident_pipeline.diagnosis.series import Quantity, Shift

Features = dict[str, dict[str, float]]

_OWN = {Quantity.LATENCY: "latency", Quantity.ERROR: "errors", Quantity.SUCCESS: "errors"}


def metric_features(shifts: Iterable[Shift], graph: ServiceGraph) -> Features:
    """Features of every service that has series."""
    found: Features = defaultdict(lambda: defaultdict(float))
    moves: dict[str, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    by_service: dict[str, list[Shift]] = defaultdict(list)
    for shift in shifts:
        if shift.series.service:
            by_service[shift.series.service].append(shift)
    for service, own in by_service.items():
        for shift in own:
            _raise(found[service], _name(shift.kind), shift.badness)
            if shift.kind in _OWN and shift.badness > 0:
                key = (_OWN[shift.kind], _unit(shift))
                moves[service][key] = max(moves[service][key], abs(shift.delta))
    for service in by_service:
        for (kind, unit), move in moves[service].items():
            below = max(
                (moves[callee].get((kind, unit), 0.0) for callee in graph.depends_on.get(service, ())), default=0
            )
            share = max(0.0, move - below) / move if move > 0 else 0.0
            _raise(found[service], f"{kind}_own", share * found[service][kind])
    return {service: dict(features) for service, features in found.items()}


def _raise(features: dict[str, float], name: str, value: float) -> None:
    features[name] = max(features[name], value)


def _name(kind: Quantity) -> str:
    return _OWN.get(kind, kind.value)


def _unit(shift: Shift) -> str:
    """Series that can be compared across services: the same name and statistic."""
    statistic = shift.series.labels.get("statistic", "")
    return f"{shift.series.name}/{statistic}"


def relative(features: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> Features:
    """Each feature as a share of the strongest service's, damped where even the strongest is weak."""
    strongest = {name: max((f.get(name, 0.0) for f in features.values()), default=0.0) for name in names}
    return {
        service: {
            name: own.get(name, 0.0) / strongest[name] * min(1.0, strongest[name] / 0.3) if strongest[name] > 0 else 0.0
            for name in names
        }
        for service, own in features.items()
    }


def earliest(shifts: Iterable[Shift], start: float) -> dict[str, float]:
    """Seconds after `start` at which each service's first clearly bad series left its normal range."""
    first: dict[str, float] = {}
    for shift in shifts:
        service = shift.series.service
        if service and shift.since is not None and shift.badness >= 0.3:
            first[service] = min(first.get(service, np.inf), shift.since - start)
    return first
