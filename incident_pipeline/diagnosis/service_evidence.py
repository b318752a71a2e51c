"""Everything that is known of each service, as the features that the ranking weighs.

Belongs here: gathering the features of series, edges, spans and releases for every service that is seen anywhere.
Does not belong here: the features themselves (`service_features`, `trace_features`, ...), their weights (`ranking`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median

from incident_pipeline.diagnosis.edges import edge_features, failing_edges
from incident_pipeline.diagnosis.graph import ServiceGraph
from incident_pipeline.diagnosis.measurement import Measured
from incident_pipeline.diagnosis.ranking import merge_features
from incident_pipeline.diagnosis.releases import release_features
from incident_pipeline.diagnosis.series import Quantity, Shift
from incident_pipeline.diagnosis.service_features import (
    complaint,
    metric_features,
    with_alert,
    without_starting_pods,
    without_victims,
)
from incident_pipeline.diagnosis.trace_features import trace_features
from incident_pipeline.models import Evidence, Incident

STEADY_POINTS, STEADY_GUARD, STEADY_RATIO = 4, 120.0, 1.5
"""A latency is steady where so many points, so many seconds before the onset, were no less than by this ratio."""


def service_evidence(
    incident: Incident, evidence: Evidence, measured: Measured, graph: ServiceGraph
) -> dict[str, dict[str, float]]:
    """The features of every service that is seen anywhere."""
    onset = measured.onset.timestamp()
    alerted = {alert.service for alert in incident.alerts if alert.service} | set(incident.services)
    known: set[str] = set(graph.services) | alerted
    known |= {row.service for row in evidence.logs.rows if row.service}
    known |= {row.service for row in evidence.traces.rows if row.service}
    known |= {row.service for row in evidence.metrics.rows if row.service}
    merged = merge_features(
        [
            {service: {"alerted": float(service in alerted)} for service in sorted(known)},
            with_alert(metric_features(measured.shifts, graph), graph, alerted, complaint(incident)),
            edge_features(failing_edges(measured.shifts), graph),
            trace_features(evidence.traces.rows, onset, steady=steady_operations(measured.shifts, onset)),
            release_features(
                evidence.deployments.rows,
                measured.gaps,
                evidence.metrics.rows,
                onset,
                incident.started_at.timestamp(),
            ),
        ]
    )
    return without_starting_pods(without_victims(merged))


def steady_operations(shifts: Iterable[Shift], onset: float) -> set[tuple[str, str]]:
    """(service, operation) where a label names an operation that was about as slow long before the onset."""
    steady: set[tuple[str, str]] = set()
    for shift in shifts:
        if shift.kind is Quantity.LATENCY and shift.series.labels and shift.series.service:
            long_before = shift.points.between(-math.inf, onset - STEADY_GUARD)
            if len(long_before) >= STEADY_POINTS and shift.after <= STEADY_RATIO * median(long_before):
                steady |= {(shift.series.service, value) for value in shift.series.labels.values()}
    return steady
