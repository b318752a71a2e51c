"""What speaks for each service as the place where the problem starts, as numbers between 0 and 1.

Belongs here: turning shifts of series into features of services, with what the services they call explain taken off.
Does not belong here: the weights of the features (`ranking`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from incident_pipeline.diagnosis.graph import ServiceGraph
from incident_pipeline.diagnosis.series import Quantity, Shift
from incident_pipeline.models import Incident

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
        busy = _still_busy(own)
        for shift in own:
            rate = shift.kind in _OWN
            _raise(found[service], _name(shift), shift.badness * (busy if rate else 1.0))
            if rate and shift.badness > 0:
                key = (_OWN[shift.kind], _unit(shift))
                moves[service][key] = max(moves[service][key], abs(shift.delta))
    for service in by_service:
        for (kind, unit), move in moves[service].items():
            below = max(
                (moves[callee].get((kind, unit), 0.0) for callee in graph.depends_on.get(service, ())), default=0
            )
            share = max(0.0, move - below) / move if move > 0 else 0.0
            share *= 0.5 if _answered_behind(service, kind, found, graph) else 1.0
            _raise(found[service], f"{kind}_own", share * found[service][kind])
    return {service: dict(features) for service, features in found.items()}


_ADDRESS = re.compile(r"(?<!\w)(?:[\w-]+\.){2,}[a-z]{2,}|\d+\.\d+\.\d+\.\d+")


def _answered_behind(service: str, kind: str, found: Mapping[str, Mapping[str, float]], graph: ServiceGraph) -> bool:
    """Whether a node is only an address, and a service that its callers call too is about as bad.

    What a caller measures at a load balancer is what the service behind it does.
    """
    if graph.depends_on.get(service) or not _ADDRESS.search(service):
        return False
    beside = {callee for caller in graph.called_by.get(service, ()) for callee in graph.depends_on.get(caller, ())}
    return any(
        found[other].get(kind, 0.0) >= 0.4 * found[service].get(kind, 0.0) > 0
        for other in beside
        if other in found and other != service and not _ADDRESS.search(other)
    )


_SLOW = re.compile(r"latency|slow|duration|p9\d|response time|delay|lag\b", re.IGNORECASE)
_FAILING = re.compile(r"availab|error|fail|5xx|success|exception|unhealthy|down\b|crash", re.IGNORECASE)


def complaint(incident: Incident) -> str | None:
    """What the alerts complain of: `latency`, `errors`, or None where they say both or neither."""
    text = " ".join(f"{a.title} {a.summary} {a.labels.get('metric', '')}" for a in incident.alerts)
    slow, failing = bool(_SLOW.search(text)), bool(_FAILING.search(text))
    return None if slow == failing else "latency" if slow else "errors"


def with_alert(features: Features, graph: ServiceGraph, alerted: Iterable[str], complained: str | None) -> Features:
    """The features with what the alert adds.

    `complaint`: the service is bad in the way that the alert complains of, by itself; `chain`: every service on the way
    to it from an alerted one is bad too, so that it can be what the alert feels.
    """
    out: Features = {service: dict(own) for service, own in features.items()}
    for own in out.values():
        kinds = (complained,) if complained else ("latency", "errors")
        own["complaint"] = max(own.get(f"{kind}_own", 0.0) for kind in kinds)
        if "resource" in own:
            hurt = max(own.get("latency", 0.0), own.get("errors", 0.0))
            own["resource_felt"] = own["resource"] * min(1.0, hurt / 0.2) if {"latency", "errors"} & own.keys() else 0.0
    for service, strength in _chains(out, graph, sorted(alerted)).items():
        own = out.setdefault(service, {})
        bad = max(own.get("latency", 0.0), own.get("errors", 0.0))
        own["chain"] = strength * bad
    return out


def without_victims(features: Features) -> Features:
    """Slowness of a service that only waits on the wire for others is not its own."""
    decisive = max((own.get("trace_wire", 0.0) for own in features.values()), default=0.0)
    for own in features.values():
        elsewhere = decisive - own.get("trace_wire", 0.0)
        left = 1.0 - min(max(own.get("wire_victim", 0.0), elsewhere), 1.0)
        for name in ("latency", "latency_own", "complaint", "chain", "trace_inside"):
            if name in own:
                own[name] *= left
    return features


STARTING = 0.7
"""A service that was released so lately (`released`) has pods that still fill their memory."""


def without_starting_pods(features: Features) -> Features:
    """Memory that grows in freshly started pods is no sign of trouble."""
    for own in features.values():
        if own.get("released", 0.0) >= STARTING:
            own.pop("memory", None)
    return features


def _chains(features: Features, graph: ServiceGraph, alerted: Sequence[str]) -> dict[str, float]:
    """For each service below an alerted one the badness of the weakest service between them, on the best way."""
    best = dict.fromkeys(alerted, 1.0)
    queue = list(alerted)
    while queue:
        here = queue.pop(0)
        own = features.get(here, {})
        passing = min(best[here], 1.0 if here in alerted else max(own.get("latency", 0.0), own.get("errors", 0.0)))
        for callee in sorted(graph.depends_on.get(here, ())):
            if passing > best.get(callee, 0.0) + 1e-9:
                best[callee] = passing
                queue.append(callee)
    return best


def _raise(features: dict[str, float], name: str, value: float) -> None:
    features[name] = max(features[name], value)


_REQUESTS = re.compile(r"request|calls|rps|qps|hits|rate_per", re.IGNORECASE)


def _still_busy(shifts: Iterable[Shift]) -> float:
    """How much of its usual traffic a service still has: a rate over few requests proves less."""
    counts = [
        s for s in shifts if _REQUESTS.search(s.series.name) and s.kind is Quantity.TRAFFIC and s.normal.middle > 0
    ]
    return min((max(0.3, min(s.after / s.normal.middle, 1.0)) for s in counts), default=1.0)


_MEMORY = re.compile(r"mem|heap|rss|swap", re.IGNORECASE)


def _name(shift: Shift) -> str:
    if shift.kind is Quantity.RESOURCE and _MEMORY.search(shift.series.name):
        return "memory"
    return _OWN.get(shift.kind, shift.kind.value)


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
