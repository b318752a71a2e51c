"""Who calls whom, from the catalogue, the traces and the labels of metrics.

Belongs here: the service graph as a value and questions about reachability.
Does not belong here: what is wrong with a service.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from incident_pipeline.models import Evidence, MetricSeries, Span


@dataclass(frozen=True)
class ServiceGraph:
    """Calls between services: caller -> the services it depends on."""

    depends_on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    called_by: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def services(self) -> frozenset[str]:
        """Every service that calls or is called."""
        return frozenset(self.depends_on) | frozenset(self.called_by)

    def distances_down(self, start: str) -> dict[str, int]:
        """Hops from a service to everything it depends on, itself 0."""
        return _distances(start, self.depends_on)

    def distances_up(self, start: str) -> dict[str, int]:
        """Hops from a service to everything that depends on it, itself 0."""
        return _distances(start, self.called_by)


def _distances(start: str, edges: Mapping[str, frozenset[str]]) -> dict[str, int]:
    distance = {start: 0}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for there in sorted(edges.get(here, ())):
            if there not in distance:
                distance[there] = distance[here] + 1
                queue.append(there)
    return distance


def graph_of(edges: Iterable[tuple[str, str]], services: Iterable[str] = ()) -> ServiceGraph:
    """The graph of (caller, callee) pairs; `services` adds those without calls."""
    down: dict[str, set[str]] = defaultdict(set)
    up: dict[str, set[str]] = defaultdict(set)
    for name in services:
        down[name]
    for caller, callee in edges:
        if caller != callee:
            down[caller].add(callee)
            up[callee].add(caller)
    return ServiceGraph(
        {name: frozenset(callees) for name, callees in down.items()},
        {name: frozenset(callers) for name, callers in up.items()},
    )


def service_graph(evidence: Evidence) -> ServiceGraph:
    """The graph that catalogue, traces and metric labels tell together."""
    catalogue = evidence.service_graph.rows
    edges = [(service.name, callee) for service in catalogue for callee in service.depends_on]
    edges += trace_edges(evidence.traces.rows)
    edges += metric_edges(evidence.metrics.rows)
    return graph_of(sorted(set(edges)), sorted({service.name for service in catalogue}))


def trace_edges(spans: Iterable[Span]) -> list[tuple[str, str]]:
    """(caller, callee) where a span of one service is the parent of another service's."""
    rows = list(spans)
    owner = {(span.trace_id, span.span_id): span.service for span in rows}
    edges = set()
    for span in rows:
        parent = owner.get((span.trace_id, span.parent_id or ""))
        if parent and span.service and parent != span.service:
            edges.add((parent, span.service))
    return sorted(edges)


def metric_edges(series: Iterable[MetricSeries]) -> list[tuple[str, str]]:
    """(caller, callee) of series that carry `direction` (in or out) and `peer`."""
    edges = set()
    for one in series:
        peer, direction = one.labels.get("peer"), one.labels.get("direction")
        if peer and one.service and direction in {"in", "out"} and peer != "unknown":
            edges.add((one.service, peer) if direction == "out" else (peer, one.service))
    return sorted(edges)
