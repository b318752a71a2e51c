"""Which calls between services began to fail, and which services that points at.

Belongs here: failing edges from series that carry `direction` and `peer`, and what they say of each end.
Does not belong here: spans (`trace_features`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from incident_pipeline.diagnosis.graph import ServiceGraph
from incident_pipeline.diagnosis.series import Quantity, Shift

Edge = tuple[str, str]


def failing_edges(shifts: Iterable[Shift]) -> dict[Edge, float]:
    """(caller, callee) -> how badly its calls fail since the onset, 0 to 1.

    The mean since the onset counts, not the median: a call that fails in one minute of three is failing.
    """
    found: dict[Edge, float] = defaultdict(float)
    for shift in shifts:
        service, peer = shift.series.service, shift.series.labels.get("peer")
        direction = shift.series.labels.get("direction")
        if not service or not peer or peer == "unknown" or direction not in {"in", "out"}:
            continue
        if shift.kind in {Quantity.SUCCESS, Quantity.ERROR}:
            edge = (service, peer) if direction == "out" else (peer, service)
            found[edge] = max(found[edge], shift.mean_badness)
    return {edge: badness for edge, badness in found.items() if badness > 0}


def edge_features(failing: dict[Edge, float], graph: ServiceGraph) -> dict[str, dict[str, float]]:
    """What failing calls say of each service.

    `edge_in`: calls into it fail and none that it makes; `edge_out`: several of its own calls fail; `edge_below`: it
    lies below a failing call that nothing deeper explains.
    """
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    outgoing: dict[str, list[float]] = defaultdict(list)
    for (caller, _), badness in failing.items():
        outgoing[caller].append(badness)
    for (_, callee), badness in failing.items():
        if callee in outgoing:
            continue
        found[callee]["edge_in"] = max(found[callee]["edge_in"], badness)
        for below, distance in graph.distances_down(callee).items():
            if distance:
                found[below]["edge_below"] = max(found[below]["edge_below"], badness / distance)
    for caller, badnesses in outgoing.items():
        if len(badnesses) > 1:
            found[caller]["edge_out"] = max(badnesses) * (1.0 - 1.0 / len(badnesses))
    return {service: dict(features) for service, features in found.items()}
