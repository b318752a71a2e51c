"""What is broken, since when, and where first: read from the evidence before anything is blamed.

Belongs here: putting series, logs, traces and the service graph together into `Symptoms`.
Does not belong here: what caused it; the approaches read the symptoms and answer that.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from incident_pipeline.diagnosis.graph import service_graph
from incident_pipeline.diagnosis.sentences import clock
from incident_pipeline.models import (
    Evidence,
    EvidenceKind,
    Incident,
    LogEntry,
    LogPattern,
    MetricSeries,
    SeriesAnomaly,
    ServiceSymptom,
    Symptoms,
)

_LEAD = timedelta(minutes=2)
_MASK = re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b|\d+(?:\.\d+)*", re.IGNORECASE)
_BAD = {"error", "fatal", "critical", "panic", "severe", "emergency", "alert"}


def find_symptoms(incident: Incident, evidence: Evidence, focus_patterns: Sequence[str] = ()) -> Symptoms:
    """What is broken, since when, where first.

    Args:
        incident: the alerts and when they started.
        evidence: what the sources answered.
        focus_patterns: texts (case-insensitive) that make a log line weigh more.
    """
    cut = incident.started_at - _LEAD
    anomalies = sorted(
        (a for a in (_anomaly(series, cut) for series in evidence.metrics.rows) if a is not None),
        key=lambda a: (-a.score, a.service or "", a.series),
    )
    patterns = _patterns(evidence.logs.rows, cut, focus_patterns)
    scores: dict[str, float] = defaultdict(float)
    for anomaly in anomalies:
        if anomaly.service:
            scores[anomaly.service] = max(scores[anomaly.service], anomaly.score)
    known = set(service_graph(evidence).services) | set(incident.services) | set(scores)
    known |= {alert.service for alert in incident.alerts if alert.service}
    ranked = sorted(known, key=lambda name: (-scores.get(name, 0.0), name))
    since = {a.service: a.onset for a in reversed(anomalies)}
    services = tuple(
        ServiceSymptom(service=name, score=round(scores.get(name, 0.0), 3), since=since.get(name)) for name in ranked
    )
    broken = tuple(s.service for s in services if s.score >= 5)
    onset = min((a.onset for a in anomalies if a.score >= 5), default=incident.started_at)
    return Symptoms(
        onset=onset,
        onset_evidence=f"first series left its normal range at {clock(onset)}",
        services=services,
        first_failing_service=broken[0] if broken else None,
        blast_radius=broken[:5],
        anomalies=tuple(anomalies[:50]),
        log_patterns=patterns,
        looked_at={kind.value: len(getattr(evidence, kind.value).rows) for kind in EvidenceKind},
    )


def _anomaly(series: MetricSeries, cut: datetime) -> SeriesAnomaly | None:
    times, values = np.asarray(series.timestamps), np.asarray(series.values)
    good = np.isfinite(values) if len(values) else np.zeros(0, dtype=bool)
    times, values = times[good], values[good]
    before, after = values[times < cut.timestamp()], values[times >= cut.timestamp()]
    if len(before) < 3 or len(after) < 1:
        return None
    middle = float(np.median(before))
    sigma = float(np.median(np.abs(before - middle))) * 1.4826 or float(np.std(before)) or abs(middle) * 0.01 or 1e-9
    score = abs(float(np.median(after)) - middle) / sigma
    if score < 3:
        return None
    far = times[(times >= cut.timestamp()) & (np.abs(values - middle) > 3 * sigma)]
    at = float(far[0]) if len(far) else cut.timestamp()
    return SeriesAnomaly(
        service=series.service,
        series=series.key,
        onset=datetime.fromtimestamp(at, tz=UTC),
        before=middle,
        after=float(np.median(after)),
        score=min(score, 1e6),
    )


def _patterns(logs: Sequence[LogEntry], cut: datetime, focus: Sequence[str]) -> tuple[LogPattern, ...]:
    groups: dict[tuple[str | None, str], list[LogEntry]] = defaultdict(list)
    wanted = [text.lower() for text in focus]
    for entry in logs:
        bad = (entry.level or "").lower() in _BAD or any(text in entry.message.lower() for text in wanted)
        if bad:
            groups[entry.service, _MASK.sub("<*>", entry.message)].append(entry)
    found = []
    for index, ((service, template), entries) in enumerate(sorted(groups.items(), key=lambda kv: str(kv[0]))):
        after = [e for e in entries if e.timestamp >= cut]
        if after:
            found.append(
                LogPattern(
                    pattern_id=f"p{index + 1}",
                    template=template,
                    service=service,
                    level=entries[0].level,
                    count=len(after),
                    count_before=len(entries) - len(after),
                    first_seen=min(e.timestamp for e in entries),
                    last_seen=max(e.timestamp for e in entries),
                    example=after[0].message,
                    score=len(after) / (len(after) + len(entries) - len(after) + 3),
                )
            )
    return tuple(sorted(found, key=lambda p: (-p.score, p.pattern_id))[:50])
