"""What is broken, since when, and where first: read from the evidence before anything is blamed.

Belongs here: putting series, logs, traces and the service graph together into `Symptoms`.
Does not belong here: what caused it; the approaches read the symptoms and answer that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from incident_pipeline.diagnosis.anomalies import anomalies
from incident_pipeline.diagnosis.graph import service_graph
from incident_pipeline.diagnosis.log_symptoms import errors_by_service, log_symptoms
from incident_pipeline.diagnosis.measurement import Measured, measure
from incident_pipeline.diagnosis.ranking import RankedFeature, merge_features, rank_services
from incident_pipeline.diagnosis.sentences import clock_on, number
from incident_pipeline.diagnosis.series import Quantity
from incident_pipeline.diagnosis.service_evidence import service_evidence
from incident_pipeline.diagnosis.suffering import blast_radius, failing_since
from incident_pipeline.models import Evidence, EvidenceKind, Incident, LogPattern, ServiceSymptom, Symptoms


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
    since = failing_since(measured, patterns)
    services = tuple(_service_symptom(one, since) for one in ranked)
    first = services[0].service if services and services[0].score > 0 else None
    return Symptoms(
        onset=measured.onset,
        onset_evidence=_onset_evidence(measured, patterns),
        services=services,
        first_failing_service=first,
        blast_radius=blast_radius(first, since, incident),
        anomalies=anomalies(measured.shifts, measured.silent),
        log_patterns=patterns,
        looked_at=_looked_at(evidence, measured),
    )


def _looked_at(evidence: Evidence, measured: Measured) -> dict[str, int]:
    """How many rows of each kind were read.

    `measured`: series with points on both sides of the onset; `resource` and `resource_moved`: those of infrastructure,
    and how many of them moved.
    """
    looked = {kind.value: len(getattr(evidence, kind.value).rows) for kind in EvidenceKind}
    looked["measured"] = len(measured.shifts)
    resources = [shift for shift in measured.shifts if shift.kind is Quantity.RESOURCE]
    if resources:
        looked |= {"resource": len(resources), "resource_moved": sum(s.badness > 0 for s in resources)}
    return looked


def _service_symptom(ranked: RankedFeature, since: Mapping[str, datetime]) -> ServiceSymptom:
    return ServiceSymptom(
        service=ranked.service,
        score=round(ranked.probability, 4),
        since=since.get(ranked.service),
        reasons=tuple(name for name, weight in ranked.reasons[:6] if weight >= 0.2 * ranked.reasons[0][1]),
    )


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
