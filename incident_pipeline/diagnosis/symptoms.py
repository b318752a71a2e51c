"""What is broken, since when, and where first: read from the evidence before anything is blamed.

Belongs here: putting series, logs, traces and the service graph together into `Symptoms`.
Does not belong here: what caused it; the approaches read the symptoms and answer that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from incident_pipeline.diagnosis.canary import VersionGap, version_gaps
from incident_pipeline.diagnosis.edges import edge_features, failing_edges
from incident_pipeline.diagnosis.graph import ServiceGraph, service_graph
from incident_pipeline.diagnosis.log_symptoms import errors_by_service, log_symptoms
from incident_pipeline.diagnosis.onset import incident_onset
from incident_pipeline.diagnosis.ranking import RankedFeature, merge_features, rank_services
from incident_pipeline.diagnosis.releases import release_features
from incident_pipeline.diagnosis.sentences import clock_on, number
from incident_pipeline.diagnosis.series import Points, Quantity, Shift, points_of, quantity, shift_of, worse
from incident_pipeline.diagnosis.series_shapes import end_of_recording, shape_of, stopped
from incident_pipeline.diagnosis.service_features import (
    complaint,
    earliest,
    metric_features,
    with_alert,
    without_starting_pods,
    without_victims,
)
from incident_pipeline.diagnosis.trace_features import trace_features
from incident_pipeline.models import (
    Evidence,
    EvidenceKind,
    Incident,
    LogPattern,
    MetricSeries,
    SeriesAnomaly,
    ServiceSymptom,
    Symptoms,
)

MAX_ANOMALIES = 60
STEADY_POINTS, STEADY_GUARD, STEADY_RATIO = 4, 120.0, 1.5
"""A latency is steady where so many points, so many seconds before the onset, were no less than by this ratio."""
_WITHOUT_ONSET = timedelta(minutes=2)
_AFTER = timedelta(minutes=10)
_BEFORE_RELEASE = timedelta(minutes=10)
_BEFORE_END = timedelta(minutes=5)


@dataclass(frozen=True)
class Silent:
    """A series that has stopped: since when, and what was usual before."""

    series: MetricSeries
    since: float
    before: float


@dataclass(frozen=True)
class Measured:
    """What the series say together."""

    onset: datetime
    found: bool
    """False where no series shows an onset; it is then taken to lie two minutes before the alert."""
    shifts: tuple[Shift, ...]
    gaps: tuple[VersionGap, ...]
    silent: tuple[Silent, ...] = ()


def find_symptoms(incident: Incident, evidence: Evidence, focus_patterns: Sequence[str] = ()) -> Symptoms:
    """What is broken, since when, where first.

    Args:
        incident: the alerts and when they started.
        evidence: what the sources answered.
        focus_patterns: texts (case-insensitive) that make a log line weigh more.
    """
    measured = measure(incident, evidence)
    graph = service_graph(evidence)
    features = service_evidence(incident, evidence, measured, graph)
    patterns = log_symptoms(evidence.logs.rows, measured.onset, focus_patterns)
    ranked = rank_services(merge_features([features, errors_by_service(patterns)]))
    since = _since(measured, patterns)
    services = tuple(_service_symptom(one, since) for one in ranked)
    first = services[0].service if services and services[0].score > 0 else None
    return Symptoms(
        onset=measured.onset,
        onset_evidence=_onset_evidence(measured, patterns),
        services=services,
        first_failing_service=first,
        blast_radius=blast_radius(first, since, graph, incident),
        anomalies=anomalies(measured.shifts, measured.silent),
        log_patterns=patterns,
        looked_at=_looked_at(evidence, measured),
    )


def _looked_at(evidence: Evidence, measured: Measured) -> dict[str, int]:
    """Rows of each kind; `resource` and `resource_moved`: series of infrastructure, and how many of them moved."""
    looked = {kind.value: len(getattr(evidence, kind.value).rows) for kind in EvidenceKind}
    resources = [shift for shift in measured.shifts if shift.kind is Quantity.RESOURCE]
    if resources:
        looked |= {"resource": len(resources), "resource_moved": sum(s.badness > 0 for s in resources)}
    return looked


def measure(incident: Incident, evidence: Evidence) -> Measured:
    """The onset, the move of every series at it, and the gaps between versions."""
    rows = sorted(evidence.metrics.rows, key=lambda s: (s.service or "", s.key, s.timestamps[:1], s.values[:1]))
    measured: list[tuple[MetricSeries, Points]] = [(series, points_of(series)) for series in rows]
    alert = incident.started_at.timestamp()
    onset = incident_onset([(points, worse(quantity(series.name))) for series, points in measured], alert)
    at = min(onset if onset is not None else alert - _WITHOUT_ONSET.total_seconds(), alert)
    end = max(alert, at) + _AFTER.total_seconds()
    usual = _usual_length([points for _, points in measured], at, end)
    moved = (shift_of(series, points, at, end, usual) for series, points in measured)
    shifts = tuple(s for s in moved if s is not None)
    gaps = version_gaps(measured, alert - _BEFORE_RELEASE.total_seconds(), alert + _BEFORE_END.total_seconds())
    silent = tuple(_silent(measured, at, min(end, end_of_recording(points for _, points in measured))))
    return Measured(datetime.fromtimestamp(at, tz=UTC), onset is not None, shifts, tuple(gaps), silent)


def _silent(rows: Iterable[tuple[MetricSeries, Points]], onset: float, end: float) -> Iterator[Silent]:
    for series, points in rows:
        since = stopped(points, onset, end)
        if since is not None:
            yield Silent(series, since, median(points.values.tolist()))


def _usual_length(all_points: Sequence[Points], onset: float, end: float) -> tuple[int, int]:
    """The median number of points of a series before and since the onset."""
    before = [len(points.between(-math.inf, onset)) for points in all_points]
    since = [len(points.between(onset, end)) for points in all_points]
    return (int(median(before)), int(median(since))) if all_points else (0, 0)


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


def anomalies(shifts: Iterable[Shift], silent: Iterable[Silent] = ()) -> tuple[SeriesAnomaly, ...]:
    """The series that moved, strongest first, then those that stopped or stand still."""
    shaped = [(shift, shape_of(shift)) for shift in shifts]
    moved = [(s, form) for s, form in shaped if s.badness > 0 or (form == "setting" and s.sigmas)]
    moved.sort(key=lambda p: (-p[0].badness, -abs(p[0].sigmas), p[0].series.service or "", p[0].series.key))
    found = [_anomaly(shift, form, shift.since) for shift, form in moved if shift.since is not None]
    found += [_missing(one) for one in silent]
    found += [_anomaly(s, form, s.onset) for s, form in shaped if form == "flat_line" and s.badness == 0]
    return tuple(found)[:MAX_ANOMALIES]


def _anomaly(shift: Shift, form: str, at: float) -> SeriesAnomaly:
    return SeriesAnomaly(
        service=shift.series.service,
        series=shift.series.key,
        kind=form,
        onset=datetime.fromtimestamp(at, tz=UTC),
        before=shift.normal.middle,
        after=shift.after,
        score=round(min(abs(shift.sigmas), 1e6), 3),
    )


def _missing(one: Silent) -> SeriesAnomaly:
    return SeriesAnomaly(
        service=one.series.service,
        series=one.series.key,
        kind="missing",
        onset=datetime.fromtimestamp(one.since, tz=UTC),
        before=one.before,
        after=0.0,
        score=0.0,
    )


def _since(measured: Measured, patterns: Iterable[LogPattern]) -> dict[str, datetime]:
    """When each service first showed something clearly bad.

    A service that only reports on others (an agent, a scheduler) has no failing series and no errors of its own.
    """
    onset = measured.onset.timestamp()
    all_bad = earliest(measured.shifts, onset)
    hurt = earliest((s for s in measured.shifts if s.kind is not Quantity.RESOURCE), onset)
    told: dict[str, datetime] = {}
    for pattern in patterns:
        if pattern.service and pattern.score >= 0.4:
            told[pattern.service] = min(told.get(pattern.service, pattern.first_seen), pattern.first_seen)
    failing = {p.service for p in patterns if p.score >= 0.5 and _is_error(p)}
    since: dict[str, datetime] = {}
    for service in sorted({*all_bad, *told}):
        if service in hurt or service in failing or (service in all_bad and service in told):
            moments = [told[service]] if service in told else []
            moments += [datetime.fromtimestamp(onset + all_bad[service], tz=UTC)] if service in all_bad else []
            since[service] = min(moments)
    return since


def _is_error(pattern: LogPattern) -> bool:
    return (pattern.level or "error").lower() not in {"info", "debug", "trace", "warn", "warning", "notice"}


def _service_symptom(ranked: RankedFeature, since: Mapping[str, datetime]) -> ServiceSymptom:
    return ServiceSymptom(
        service=ranked.service,
        score=round(ranked.probability, 4),
        since=since.get(ranked.service),
        reasons=tuple(name for name, weight in ranked.reasons[:6] if weight >= 0.2 * ranked.reasons[0][1]),
    )


def blast_radius(
    first: str | None, since: Mapping[str, datetime], graph: ServiceGraph, incident: Incident
) -> tuple[str, ...]:
    """The services that suffer beside the first: those that show something bad, earliest first."""
    del graph
    hurt = sorted((at, service) for service, at in since.items() if service != first)
    names = [service for _, service in hurt]
    names += [service for service in incident.services if service not in names and service != first]
    return tuple(names)


def _onset_evidence(measured: Measured, patterns: Sequence[LogPattern]) -> str:
    strongest = max(measured.shifts, key=lambda s: (s.badness, s.series.key), default=None)
    if measured.found and strongest is not None and strongest.badness > 0 and strongest.since is not None:
        at = datetime.fromtimestamp(strongest.since, tz=UTC)
        return (
            f"{strongest.series.key} of {strongest.series.service} left its normal range at "
            f"{clock_on(at, measured.onset)}: {number(strongest.normal.middle)} before, {number(strongest.after)} since"
        )
    if patterns:
        first = min(patterns[:5], key=lambda p: (p.first_seen, p.pattern_id))
        return f"first telling log line at {clock_on(first.first_seen, measured.onset)}: {first.template[:100]}"
    return "no series and no log shows an onset; taken to be two minutes before the alert"
