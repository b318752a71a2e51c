"""Incident folders: one incident's evidence as plain files, read and written.

Belongs here: from a folder to an incident and its evidence, and back. `truth.json` is never read here; see `truth.py`.
The folder's own rule: a file that is missing was not recorded (a gap), a file with no rows says that there was
nothing (empty), a file that cannot be read is a gap, a line that cannot be read is skipped and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from incident_pipeline.errors import InputError
from incident_pipeline.evidence.envelopes import answered, gathered, unavailable
from incident_pipeline.evidence.kubernetes_objects import kubernetes_object, snapshot_of
from incident_pipeline.evidence.services import service_from, service_rows
from incident_pipeline.incident_folder import rows as folder_rows
from incident_pipeline.incident_folder.derived import with_rollouts
from incident_pipeline.incident_folder.files import (
    Parsed,
    UnreadableFileError,
    find_file,
    first_problem,
    read_json,
    read_lines,
    read_list,
    read_text,
    skipped_note,
)
from incident_pipeline.incident_folder.metric_csv import read_metrics
from incident_pipeline.incident_folder.writing import write_folder
from incident_pipeline.intake.identity import incident_id
from incident_pipeline.models import (
    Alert,
    AlertStatus,
    Envelope,
    EnvelopeStatus,
    Evidence,
    EvidenceKind,
    Gathered,
    Incident,
    IncidentStatus,
    KubernetesObject,
    MetricSeries,
    OnCall,
    Service,
)
from incident_pipeline.moments import parse_moment

__all__ = ["Folder", "incident_from", "load_folder", "write_folder"]

FILES: dict[EvidenceKind, str] = {
    EvidenceKind.DEPLOYMENTS: "deployments.json",
    EvidenceKind.CODE_CHANGES: "changes.json",
    EvidenceKind.FLAG_CHANGES: "flags.json",
    EvidenceKind.METRICS: "metrics.csv",
    EvidenceKind.LOGS: "logs.jsonl",
    EvidenceKind.TRACES: "traces.jsonl",
    EvidenceKind.RELATED_ALERTS: "related_alerts.json",
    EvidenceKind.SERVICE_GRAPH: "services.json",
    EvidenceKind.KUBERNETES_STATE: "kubernetes.json",
    EvidenceKind.ON_CALL: "on_call.json",
}

_SETTLE = timedelta(minutes=1)
"""Evidence that ends with the alert is looked at this long after it."""
_LATEST = timedelta(hours=2)
"""Evidence later than this after the last alert does not move the clock of the folder."""


@dataclass(frozen=True)
class Folder:
    """One incident folder, read."""

    path: Path
    incident: Incident
    alerts: tuple[Alert, ...]
    evidence: Evidence
    as_of: datetime
    """The clock to diagnose by: when the evidence ends, at most two hours after the last alert."""
    notes: tuple[str, ...] = ()
    """What could not be read, in sentences."""

    @property
    def kubernetes(self) -> Mapping[str, Any] | None:
        """The cluster as `kubernetes.json` has it; None where nothing of it was recorded."""
        state = self.evidence.kubernetes_state
        return None if state.status is EnvelopeStatus.UNAVAILABLE else snapshot_of(state.rows)


def load_folder(path: Path) -> Folder:
    """Read an incident folder.

    Raises:
        InputError: there is no such folder, or no alert in it can be read.
    """
    path = Path(path)
    alerts, alert_notes = _load_alerts(path)
    graph = _load(path, EvidenceKind.SERVICE_GRAPH, _services)
    services = {service.name for service in graph.rows} | {alert.service for alert in alerts if alert.service}
    state = _load(path, EvidenceKind.KUBERNETES_STATE, _cluster)
    recorded = _load(
        path, EvidenceKind.DEPLOYMENTS, lambda file: read_list(file, folder_rows.deployment, ("deployments",))
    )
    answers = {
        EvidenceKind.DEPLOYMENTS: with_rollouts(recorded, state, min(alert.started_at for alert in alerts)),
        EvidenceKind.CODE_CHANGES: _load(
            path,
            EvidenceKind.CODE_CHANGES,
            lambda file: read_list(file, folder_rows.code_change, ("changes", "commits")),
        ),
        EvidenceKind.FLAG_CHANGES: _load(path, EvidenceKind.FLAG_CHANGES, _flags),
        EvidenceKind.METRICS: _load(path, EvidenceKind.METRICS, lambda file: _metrics(file, services)),
        EvidenceKind.LOGS: _load(path, EvidenceKind.LOGS, lambda file: read_lines(file, folder_rows.log_entry)),
        EvidenceKind.TRACES: _load(path, EvidenceKind.TRACES, lambda file: read_lines(file, folder_rows.span)),
        EvidenceKind.RELATED_ALERTS: _related_alerts(path),
        EvidenceKind.SERVICE_GRAPH: graph,
        EvidenceKind.KUBERNETES_STATE: state,
        EvidenceKind.ON_CALL: _on_call(path),
    }
    evidence = Evidence(**{kind.value: answer for kind, answer in answers.items()})
    found = (note for answer in answers.values() for envelope in answer.envelopes for note in _said(envelope))
    return Folder(
        path=path,
        incident=incident_from(alerts),
        alerts=alerts,
        evidence=evidence,
        as_of=_as_of(alerts, evidence),
        notes=(*alert_notes, *found),
    )


def incident_from(alerts: Sequence[Alert]) -> Incident:
    """One incident of all alerts: named and titled by the earliest, as bad as the worst, resolved when all are."""
    ordered = sorted(alerts, key=lambda alert: alert.started_at)
    first = ordered[0]
    resolved = all(alert.status is AlertStatus.RESOLVED for alert in ordered)
    ends = [alert.resolved_at for alert in ordered if alert.resolved_at is not None]
    received = [alert.received_at for alert in ordered if alert.received_at is not None]
    return Incident(
        incident_id=incident_id(first),
        title=first.title,
        status=IncidentStatus.RESOLVED if resolved else IncidentStatus.INVESTIGATING,
        severity=min(alert.severity for alert in ordered),
        services=tuple(dict.fromkeys(alert.service for alert in ordered if alert.service)),
        environment=next((alert.environment for alert in ordered if alert.environment), None),
        alerts=tuple(ordered),
        started_at=first.started_at,
        detected_at=first.started_at,
        received_at=min(received) if received else None,
        resolved_at=max(ends) if resolved and ends else None,
    )


def _load_alerts(path: Path) -> tuple[tuple[Alert, ...], tuple[str, ...]]:
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give a folder with an alerts.json")
    file = find_file(path, "alerts.json")
    if file is None:
        raise InputError(f"{path} has no alerts.json; an incident folder needs at least that file")
    try:
        parsed = read_list(file, folder_rows.alert, ("alerts",))
    except UnreadableFileError as error:
        raise InputError(f"{path}: {error}") from error
    if not parsed.items:
        raise InputError(f"{file} has no alert in it; an incident needs at least one")
    return parsed.items, parsed.notes


def _load(path: Path, kind: EvidenceKind, read: Callable[[Path], Parsed[Any]]) -> Gathered[Any]:
    file = find_file(path, FILES[kind])
    if file is None:
        return gathered(kind, [unavailable(kind, kind.value, f"not recorded in this folder (no {FILES[kind]})")])
    try:
        parsed = read(file)
    except UnreadableFileError as error:
        return gathered(kind, [unavailable(kind, kind.value, str(error), query=file.name)])
    return gathered(kind, [answered(kind, kind.value, parsed.items, query=file.name, notes=parsed.notes)])


def _related_alerts(path: Path) -> Gathered[Any]:
    kind = EvidenceKind.RELATED_ALERTS
    if find_file(path, FILES[kind]) is not None:
        return _load(path, kind, lambda file: read_list(file, folder_rows.alert, ("alerts",)))
    # alerts.json holds every alert that the recording saw, so that no others is an answer, not a gap
    return gathered(kind, [answered(kind, kind.value, (), query="alerts.json")])


def _on_call(path: Path) -> Gathered[Any]:
    kind = EvidenceKind.ON_CALL
    if find_file(path, FILES[kind]) is not None:
        return _load(path, kind, lambda file: read_list(file, OnCall.model_validate, ("on_call",)))
    # who was on call back then tells nothing of the cause: no gap
    return gathered(kind, [answered(kind, kind.value, (), query="alerts.json")])


def _metrics(file: Path, services: set[str]) -> Parsed[MetricSeries]:
    return read_metrics(file.name, read_text(file), services)


def _flags(file: Path) -> Parsed[Any]:
    data = read_json(file)
    if isinstance(data, dict) and isinstance(data.get("flags"), dict):
        data = data["flags"]
    if not isinstance(data, dict) or {"name", "flag"} & data.keys() or any(isinstance(v, list) for v in data.values()):
        return read_list(file, folder_rows.flag_change, ("flags",))
    rows = [{"name": k, **v} if isinstance(v, dict) else {"name": k, "value": v} for k, v in data.items()]
    return _parsed(file, rows, folder_rows.flag_change)


def _services(file: Path) -> Parsed[Service]:
    try:
        rows = service_rows(read_json(file))
    except UnreadableFileError:
        raise
    except ValueError as error:
        raise UnreadableFileError(f"{file.name}: {error}") from error
    return _parsed(file, rows, service_from)


def _parsed(file: Path, rows: list[Any], parse: Callable[[Any], Any]) -> Parsed[Any]:
    items, skipped = [], []
    for number, row in enumerate(rows, start=1):
        try:
            items.append(parse(row))
        except ValueError as error:
            skipped.append((number, first_problem(error)))
    notes = skipped_note(file.name, "row", skipped)
    if skipped and not items:
        raise UnreadableFileError(notes[0])
    return Parsed(tuple(items), notes)


def _cluster(file: Path) -> Parsed[KubernetesObject]:
    data = read_json(file)
    if not isinstance(data, dict) or not isinstance(data.get("items"), list):
        raise UnreadableFileError(f"{file.name}: expected an object with a list of items")
    try:
        captured = parse_moment(data.get("captured_at")) if data.get("captured_at") is not None else None
    except ValueError:
        captured = None
    return _parsed(file, data["items"], lambda item: kubernetes_object(item, captured_at=captured))


def _said(envelope: Envelope[Any]) -> tuple[str, ...]:
    unreadable = envelope.error and envelope.query
    return (envelope.error or "",) if unreadable else envelope.notes if envelope.rows else ()


def _as_of(alerts: Sequence[Alert], evidence: Evidence) -> datetime:
    last_alert = max(alert.started_at for alert in alerts)
    moments = [
        *(entry.timestamp for entry in evidence.logs.rows),
        *(span.start for span in evidence.traces.rows),
        *(change.changed_at for change in evidence.flag_changes.rows if change.changed_at),
        *(deployment.at for deployment in evidence.deployments.rows if deployment.at),
    ]
    samples = [series.timestamps[-1] for series in evidence.metrics.rows if series.timestamps]
    if samples:
        moments.append(parse_moment(max(samples)))
    moments += [one.captured_at for one in evidence.kubernetes_state.rows[:1] if one.captured_at]
    bound = last_alert + _LATEST
    sensible = [moment for moment in moments if moment <= bound]
    return max([last_alert + _SETTLE, *sensible])
