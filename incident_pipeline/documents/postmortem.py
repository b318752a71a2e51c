"""The postmortem of an incident that has ended.

Belongs here: what a postmortem says, computed from what is stored. Does not belong here: its form (the template).
A number that nothing measured reads "not measured".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.sentences import number
from incident_pipeline.documents.escape import code, markdown
from incident_pipeline.documents.impact import measured_impact
from incident_pipeline.documents.lessons import Before, lessons_learned
from incident_pipeline.documents.render import render
from incident_pipeline.documents.summary import began_at, summary_text
from incident_pipeline.documents.wording import clock, count, humanise, percent, source_name
from incident_pipeline.models import (
    ActionItem,
    ActionState,
    Category,
    Diagnosis,
    Evidence,
    Impact,
    Incident,
    Postmortem,
    Remediation,
    Symptoms,
    Timeline,
    TimelineEntry,
)

TEMPLATE = "postmortem.md.j2"
NOT_MEASURED = "not measured"
NOT_ON_RECORD = "not on record"
DETECTION_TARGET = timedelta(minutes=5)
_KEY_LOGS = 8
_TELLING = 0.3
"""A pattern below this score goes on as it did before the incident."""
_WEB_ADDRESS = re.compile(r"https?://[\w.-]+(:\d+)?(/[\w.~/?=&%+#@:,-]{0,300})?", re.ASCII)
_KEY_METRICS = 8


def write_postmortem(
    incident: Incident,
    evidence: Evidence,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    timeline: Timeline,
    settings: Scenario,
    *,
    as_of: datetime,
    templates: Path | None,
    before: Sequence[Before] = (),
    verified_by: str | None = None,
) -> Postmortem:
    """Write the postmortem: the record, and the document in its `markdown`.

    Args:
        incident: with `resolved_at`, where it is known.
        evidence: what the sources answered.
        symptoms: the onset, the patterns and series that moved.
        diagnosis: the cause.
        remediation: with the states that people and execution gave the actions.
        timeline: what happened.
        settings: the targets that impact is judged by.
        as_of: the time for which the document is true.
        templates: the user's folder of templates.
        before: similar incidents of the past, the most similar first.
        verified_by: what showed that it was over; None: nobody looked.

    Raises:
        ConfigurationError: the user's template is wrong.
    """
    since = began_at(incident, symptoms, diagnosis)
    detect = _time_to_detect(incident, symptoms, diagnosis)
    resolve = incident.resolved_at - since if incident.resolved_at else None
    primary = diagnosis.primary
    record = Postmortem(
        title=f"Postmortem: {incident.title}",
        date=f"{since:%Y-%m-%d}",
        duration_seconds=resolve.total_seconds() if resolve is not None else None,
        severity=incident.severity,
        summary=_summary(incident, diagnosis, since),
        impact=measured_impact(evidence, symptoms, since, incident.resolved_at or as_of, settings.documentation.impact),
        timeline=timeline.entries,
        root_cause_category=primary.category if primary else None,
        root_cause=primary.description if primary else "",
        root_cause_evidence=primary.evidence if primary else (),
        resolution=_resolution(incident, remediation),
        time_to_detect_seconds=detect.total_seconds() if detect is not None else None,
        time_to_acknowledge_seconds=_seconds(_detected_at(incident), incident.acknowledged_at),
        time_to_diagnose_seconds=_seconds(
            _detected_at(incident), None if incident.replayed_from else incident.diagnosed_at
        ),
        time_to_mitigate_seconds=_seconds(since, incident.mitigated_at),
        time_to_resolve_seconds=resolve.total_seconds() if resolve is not None else None,
        verified_by=verified_by,
        lessons_learned=lessons_learned(incident, diagnosis, remediation, detect, before),
        action_items=tuple(action_items(diagnosis, detect)),
        key_logs=tuple(_key_logs(symptoms)),
        key_metrics=tuple(_key_metrics(symptoms)),
        links=tuple(_links(incident, evidence, diagnosis)),
    )
    text = render(TEMPLATE, _context(record, incident, diagnosis, since), templates)
    return record.model_copy(update={"markdown": text})


def action_items(diagnosis: Diagnosis, time_to_detect: timedelta | None) -> Iterator[ActionItem]:
    """What should follow: prevention for a deployment, detection where it took long, the runbook always."""
    primary = diagnosis.primary
    if primary is not None and primary.category is Category.DEPLOYMENT_ISSUE:
        yield ActionItem(
            type="prevention",
            title="Improve deployment canary analysis",
            description="Add automated canary metrics checking",
            priority="high",
        )
    if time_to_detect is not None and time_to_detect > DETECTION_TARGET:
        yield ActionItem(
            type="detection",
            title="Improve alerting thresholds",
            description=f"Time to detect was {humanise(time_to_detect)}; the target is under 5 minutes",
            priority="medium",
        )
    mode = primary.category.value.replace("_", " ") if primary else "a cause that was not determined"
    mechanism = f" ({primary.mechanism.replace('_', ' ')})" if primary and primary.mechanism else ""
    yield ActionItem(
        type="documentation",
        title="Update runbook for this failure mode",
        description=f"Add steps for {mode}{mechanism}",
        priority="low",
    )


def _time_to_detect(incident: Incident, symptoms: Symptoms, diagnosis: Diagnosis) -> timedelta | None:
    """From the onset that the evidence shows to the first alert; None where no onset was found."""
    onset = symptoms.onset or diagnosis.onset
    return max(_detected_at(incident) - onset, timedelta()) if onset else None


def _detected_at(incident: Incident) -> datetime:
    """When the first alert was there; of a replayed incident, when it was there then and not when it was replayed."""
    return incident.started_at if incident.replayed_from else incident.detected_at or incident.started_at


def _seconds(start: datetime, end: datetime | None) -> float | None:
    """None where the end is not on record."""
    return max((end - start).total_seconds(), 0.0) if end is not None else None


def _summary(incident: Incident, diagnosis: Diagnosis, since: datetime) -> str:
    primary = diagnosis.primary
    cause = f"Most likely cause: {primary.description}." if primary else "The cause was not determined."
    end = f" It ended at {clock(incident.resolved_at, since)} UTC." if incident.resolved_at else ""
    return f"{summary_text(incident, since, since)}{end} {cause}"


def _resolution(incident: Incident, remediation: Remediation) -> str:
    done = [action.title for action in remediation.actions if action.state is ActionState.DONE]
    if done:
        return f"Done: {'; '.join(done)}."
    if incident.resolved_at:
        return "Resolved; which action resolved it is not on record."
    return "Not resolved yet."


def _key_logs(symptoms: Symptoms) -> Iterator[str]:
    for pattern in [p for p in symptoms.log_patterns if p.score >= _TELLING][:_KEY_LOGS]:
        lines = f"{count(pattern.count, 'line')} since the onset, {pattern.count_before} before"
        yield f"{pattern.service or 'unknown service'}, {lines}: {pattern.example or pattern.template}"


def _key_metrics(symptoms: Symptoms) -> Iterator[str]:
    for anomaly in symptoms.anomalies[:_KEY_METRICS]:
        where = f" of {anomaly.service}" if anomaly.service else ""
        moved = f"{number(anomaly.before)} before, {number(anomaly.after)} since {anomaly.onset:%H:%M} UTC"
        yield f"{anomaly.series}{where}: {moved}"


def _links(incident: Incident, evidence: Evidence, diagnosis: Diagnosis) -> Iterator[str]:
    seen: set[str] = set()
    blamed = {diagnosis.root_cause_change, diagnosis.root_cause_deployment}
    for label, url in (
        *((f"{source_name(alert.source)} alert", alert.url) for alert in incident.alerts),
        *((f"Deployment {d.id}", d.url) for d in evidence.deployments.rows if d.id in blamed),
        *((f"Commit {c.sha[:10]}", c.url) for c in evidence.code_changes.rows if c.sha in blamed),
    ):
        if url and url not in seen and len(seen) < 20:
            seen.add(url)
            yield f"{label}: {url}"


def _context(record: Postmortem, incident: Incident, diagnosis: Diagnosis, since: datetime) -> dict[str, object]:
    primary = diagnosis.primary
    return {
        "title": markdown(record.title),
        "date": record.date,
        "duration": _span(record.duration_seconds, "not resolved yet"),
        "severity": record.severity.value,
        "services": ", ".join(markdown(name, 60) for name in incident.services) or "not known",
        "summary": markdown(record.summary, 900),
        "impact": _impact(record.impact),
        "timeline": [
            {"at": clock(entry.at, since), "text": markdown(entry.text), "source": _source(entry)}
            for entry in record.timeline
        ],
        "root_cause": {
            "category": record.root_cause_category.value if record.root_cause_category else "not determined",
            "description": markdown(record.root_cause, 400) or "not determined",
            "confidence": percent(primary.confidence) if primary else "not determined",
            "evidence": _lines(record.root_cause_evidence, "none"),
        },
        "resolution": {
            "text": markdown(record.resolution, 600),
            "time_to_detect": _span(record.time_to_detect_seconds, NOT_MEASURED),
            "time_to_acknowledge": _span(record.time_to_acknowledge_seconds, NOT_ON_RECORD),
            "time_to_diagnose": _span(record.time_to_diagnose_seconds, NOT_ON_RECORD),
            "time_to_mitigate": _span(record.time_to_mitigate_seconds, NOT_ON_RECORD),
            "time_to_resolve": _span(record.time_to_resolve_seconds, NOT_MEASURED),
            "verified_by": markdown(record.verified_by or "") or NOT_ON_RECORD,
        },
        "lessons": _lines(record.lessons_learned, "none on record"),
        "action_items": [_item(item) for item in record.action_items],
        "key_logs": [code(line, 500) for line in record.key_logs] or ["none stored"],
        "key_metrics": _lines(record.key_metrics, "none stored"),
        "links": [_link(line) for line in record.links] or ["none stored"],
    }


def _source(entry: TimelineEntry) -> str:
    """Where an entry comes from; empty where its text says so itself."""
    said = source_name(entry.source)
    return "" if said.lower() in entry.text.lower() else markdown(said, 60)


def _lines(texts: Sequence[str], none: str) -> list[str]:
    """Bullets that hold something: an empty one would turn the line above it into a heading."""
    return [line for line in map(markdown, texts) if line] or [none]


def _span(seconds: float | None, unknown: str) -> str:
    return unknown if seconds is None else humanise(timedelta(seconds=seconds))


def _impact(impact: Impact) -> dict[str, str]:
    return {name: markdown(value) if value else NOT_MEASURED for name, value in impact.model_dump().items()}


def _item(item: ActionItem) -> dict[str, str]:
    values = {name: markdown(value) if value else "" for name, value in item.model_dump().items()}
    return values | {"owner": values["owner"] or "to be assigned"}


def _link(line: str) -> str:
    """A link where the address is a plain web address, else the address as text."""
    label, _, url = line.partition(": ")
    return f"{markdown(label)}: {f'<{url}>' if _WEB_ADDRESS.fullmatch(url) else code(url, 400)}"
