"""What happened and what was done, in order.

Belongs here: from stored evidence to dated entries. Does not belong here: how they are shown, and escaping.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from incident_pipeline.documents.wording import deployment_text, flag_text, source_name
from incident_pipeline.models import (
    Alert,
    AlertStatus,
    Diagnosis,
    Evidence,
    Incident,
    Symptoms,
    Timeline,
    TimelineEntry,
)

BEFORE_ONSET = timedelta(hours=4)
"""Deployments and flags this long before the onset are told; what is blamed is told however old it is."""
OWN = "incident-pipeline"
"""The source of what the responder itself did."""
_ALERTS_TOLD = 5
_CHANGES_TOLD = 20
_ORDER = (
    "flag_change",
    "deployment",
    "onset",
    "alert_triggered",
    "more_alerts",
    "alert_acknowledged",
    "acknowledged",
    "responder",
    "diagnosis",
    "diagnosis_changed",
    "severity",
    "merged",
    "split",
    "action",
    "alert_resolved",
    "mitigated",
    "resolved",
    "reopened",
    "told",
)
_ERRORS = re.compile(r"err|fail|exception|5xx|[45]\d\d|status_code|timeout|refused", re.IGNORECASE)


def build_timeline(
    incident: Incident,
    evidence: Evidence,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    *,
    responded_at: datetime,
    diagnosed_at: datetime,
    done: Sequence[TimelineEntry] = (),
) -> Timeline:
    """Order what is stored about an incident by time.

    The same input gives the same entries; entries that say the same at the same time are one; a storm of alerts is
    told as its first few and a sum.

    Args:
        incident: its alerts and what people did.
        evidence: deployments and flag changes are read from it.
        symptoms: the onset.
        diagnosis: what is blamed is told even where it lies far back.
        responded_at: when the first run for this incident began.
        diagnosed_at: when the first diagnosis was complete.
        done: what people and the responder did and said, as the record has it.
    """
    onset = symptoms.onset or diagnosis.onset
    entries = [
        *_changes(incident, evidence, diagnosis, onset or incident.started_at),
        *_onset(symptoms, onset),
        *_alerts(incident.alerts),
        *_decisions(incident, {entry.kind for entry in done}),
        *done,
        TimelineEntry(at=responded_at, kind="responder", text="Incident responder activated", source=OWN),
        TimelineEntry(at=diagnosed_at, kind="diagnosis", text="Initial diagnosis complete", source=OWN),
    ]
    return Timeline(entries=tuple(_ordered(entries)))


def _changes(incident: Incident, evidence: Evidence, diagnosis: Diagnosis, onset: datetime) -> Iterator[TimelineEntry]:
    own = frozenset(incident.services)
    blamed = {h.caused_by.id for h in diagnosis.hypotheses[:1]} | {diagnosis.root_cause_deployment}
    told = []
    for deployment in evidence.deployments.rows:
        at = deployment.at
        if at is not None and (deployment.id in blamed or onset - BEFORE_ONSET <= at):
            text = deployment_text(deployment, own)
            source = deployment.source or "deployments"
            told.append((deployment.id in blamed, TimelineEntry(at=at, kind="deployment", text=text, source=source)))
    for flag in evidence.flag_changes.rows:
        at = flag.changed_at
        if at is not None and (flag.name in blamed or onset - BEFORE_ONSET <= at):
            entry = TimelineEntry(at=at, kind="flag_change", text=flag_text(flag), source="flag_changes")
            told.append((flag.name in blamed, entry))
    told.sort(key=lambda pair: (not pair[0], abs(pair[1].at - onset), pair[1].text))
    yield from (entry for _, entry in told[:_CHANGES_TOLD])


def _onset(symptoms: Symptoms, onset: datetime | None) -> Iterator[TimelineEntry]:
    if onset is not None:
        source = "logs" if any(p.first_seen == onset for p in symptoms.log_patterns) else "metrics"
        yield TimelineEntry(at=onset, kind="onset", text=_first_sign(symptoms, onset), source=source)


def _first_sign(symptoms: Symptoms, onset: datetime) -> str:
    """Errors where errors came first; else what moved first."""
    near = timedelta(minutes=3)
    errors = any(abs(p.first_seen - onset) <= near for p in symptoms.log_patterns)
    moved = [a for a in symptoms.anomalies if abs(a.onset - onset) <= near]
    if errors or any(_ERRORS.search(a.series) for a in moved):
        return "First errors detected"
    if not moved:
        return "First symptoms"
    first = min(moved, key=lambda a: (a.onset, -a.score, a.series))
    return f"First anomaly detected ({first.series}{f' of {first.service}' if first.service else ''})"


def _alerts(alerts: Sequence[Alert]) -> Iterator[TimelineEntry]:
    ordered = sorted(_once(alerts), key=lambda a: (a.started_at, a.source, a.source_id))
    for index, alert in enumerate(ordered[:_ALERTS_TOLD]):
        name = source_name(alert.source)
        about = "" if index == 0 else f": {alert.title}"
        yield TimelineEntry(
            at=alert.started_at, kind="alert_triggered", text=f"Alert triggered ({name}){about}", source=alert.source
        )
    rest = ordered[_ALERTS_TOLD:]
    if rest:
        noun = "more alert" if len(rest) == 1 else "more alerts"
        text = f"{len(rest)} {noun} ({_by_source(rest)})"
        yield TimelineEntry(at=rest[0].started_at, kind="more_alerts", text=text, source="inbox")
    yield from _followed(ordered)


def _once(alerts: Sequence[Alert]) -> Iterable[Alert]:
    """One alert for each that fired: later notifications of the same one say more, the first says when."""
    merged: dict[tuple[str, str, datetime], Alert] = {}
    for alert in alerts:
        key = (alert.source, alert.dedup_key or alert.source_id, alert.started_at)
        known = merged.get(key)
        resolved = alert.resolved_at or (known.resolved_at if known else None)
        merged[key] = (known or alert).model_copy(update={"resolved_at": resolved, "status": alert.status})
    return merged.values()


def _followed(ordered: Sequence[Alert]) -> Iterator[TimelineEntry]:
    """Acknowledged and resolved; many resolutions are one entry, at the last."""
    for alert in ordered[:_ALERTS_TOLD]:
        if alert.status is AlertStatus.ACKNOWLEDGED and alert.received_at:
            text = f"Alert acknowledged ({source_name(alert.source)})"
            yield TimelineEntry(at=alert.received_at, kind="alert_acknowledged", text=text, source=alert.source)
    resolved = [alert for alert in ordered if alert.resolved_at]
    if len(resolved) > _ALERTS_TOLD:
        last = max(alert.resolved_at for alert in resolved if alert.resolved_at)
        yield TimelineEntry(at=last, kind="alert_resolved", text=f"{len(resolved)} alerts resolved", source="inbox")
        return
    for alert in resolved:
        if alert.resolved_at:
            about = f": {alert.title}" if len(ordered) > 1 else ""
            text = f"Alert resolved ({source_name(alert.source)}){about}"
            yield TimelineEntry(at=alert.resolved_at, kind="alert_resolved", text=text, source=alert.source)


def _decisions(incident: Incident, told: set[str]) -> Iterator[TimelineEntry]:
    """What the incident itself knows of decisions, as far as the record does not say it with who and why."""
    for kind, at in (
        ("acknowledged", incident.acknowledged_at),
        ("mitigated", incident.mitigated_at),
        ("resolved", incident.resolved_at),
    ):
        if at is not None and kind not in told:
            yield TimelineEntry(at=at, kind=kind, text=f"Incident {kind}", source="inbox")


def _by_source(alerts: Sequence[Alert]) -> str:
    sources = Counter(source_name(alert.source) for alert in alerts)
    if len(sources) == 1:
        return next(iter(sources))
    return ", ".join(f"{name} {number}" for name, number in sources.most_common(4))


def _ordered(entries: Iterable[TimelineEntry]) -> Iterator[TimelineEntry]:
    seen: set[tuple[str, str]] = set()
    for entry in sorted(entries, key=lambda e: (e.at, _ORDER.index(e.kind), e.text)):
        key = (f"{entry.at:%Y-%m-%dT%H:%M}", entry.text)
        if key not in seen:
            seen.add(key)
            yield entry
