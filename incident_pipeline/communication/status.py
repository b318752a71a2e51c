"""The status update: what is failing, since when, why, and what to do, on one screen.

Belongs here: choosing what is said, and escaping it. Does not belong here: the form (the template), and sending it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

from incident_pipeline.communication.key_facts import blamed_deployment, evidence_lines
from incident_pipeline.communication.on_call import on_call_text
from incident_pipeline.documents.escape import markdown
from incident_pipeline.documents.render import render
from incident_pipeline.documents.summary import began_at, summary_text
from incident_pipeline.documents.wording import clock, deployment_text, elapsed, kind_name, listed, percent
from incident_pipeline.models import (
    ActionState,
    ActionType,
    Diagnosis,
    Evidence,
    EvidenceKind,
    Gap,
    Incident,
    Remediation,
    RemediationAction,
    StatusUpdate,
    Symptoms,
    Timeline,
    TimelineEntry,
)
from incident_pipeline.remediation.proposals import WORTH_RECOMMENDING

TEMPLATE = "status_update.md.j2"
_MOST_EVIDENCE = 5
_MOST_ACTIONS = 6
_MOST_ENTRIES = 12
_SAID = frozenset({"told", "diagnosis_changed"})
"""What people have been told already is no news to them."""
_FILE_NAME = re.compile(r" \(no [\w.]+\)$")
"""Which file of a folder is absent interests nobody who reads that the kind of evidence is."""
_CAUSE_LIMIT = 200
_POSSIBLE = "🔧 Possible:"
_DECIDED = {
    ActionState.APPROVED: "👍 Approved:",
    ActionState.REJECTED: "👎 Rejected:",
    ActionState.EXECUTING: "⏳ Being carried out:",
    ActionState.DONE: "✅ Done:",
    ActionState.FAILED: "❌ Failed:",
    ActionState.UNKNOWN: "❓ Perhaps done:",
    ActionState.UNDONE: "↩️ Undone:",
}
"""What was decided on is no proposal any more."""
_TITLE_LIMIT = 150


def status_update(
    incident: Incident,
    evidence: Evidence,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    timeline: Timeline,
    *,
    as_of: datetime,
    templates: Path | None,
) -> StatusUpdate:
    """Write the status update as Markdown.

    Every text from outside is escaped and shortened; what is not known is said to be not known.

    Args:
        incident: what it is called, how severe it is.
        evidence: read for the deployment that is blamed.
        symptoms: since when.
        diagnosis: the causes, and the gaps.
        remediation: the actions, the recommended first.
        timeline: what happened.
        as_of: the time for which the update is true.
        templates: the user's folder of templates.

    Raises:
        ConfigurationError: the user's template is wrong.
    """
    since = began_at(incident, symptoms, diagnosis)
    context = {
        "title": markdown(incident.title, _TITLE_LIMIT) or "untitled",
        "status": incident.status.value.capitalize(),
        "severity": incident.severity.value,
        "duration": elapsed(since, incident.resolved_at or as_of),
        "summary": markdown(summary_text(incident, since, as_of), 600),
        "cause": _cause(incident, evidence, diagnosis, as_of),
        "confidence": percent(diagnosis.primary.confidence) if diagnosis.primary else "not determined",
        "evidence": [line for line in map(markdown, _evidence(evidence, symptoms, diagnosis)) if line] or ["None"],
        "actions": list(_actions(remediation.actions, diagnosis)),
        "on_call": markdown(on_call_text(evidence.on_call.rows, incident.services), 300),
        "timeline": [
            {"at": clock(entry.at, as_of), "text": markdown(entry.text, 160)}
            for entry in _told(incident, evidence, diagnosis, timeline)
        ],
    }
    return StatusUpdate(markdown=render(TEMPLATE, context, templates), as_of=as_of)


def _cause(incident: Incident, evidence: Evidence, diagnosis: Diagnosis, as_of: datetime) -> str:
    primary = diagnosis.primary
    if primary is None:
        return "Not determined yet: the evidence does not point to a cause"
    deployment = blamed_deployment(evidence, diagnosis)
    text = primary.description
    if deployment is not None and deployment.at is not None:
        foreign = deployment.service and deployment.service not in incident.services
        of = f" of {deployment.service}" if foreign else ""
        text = f"Recent deployment{of} ({deployment.id} at {clock(deployment.at, as_of)} UTC)"
    text = markdown(text, _CAUSE_LIMIT)
    if primary.confidence < WORTH_RECOMMENDING:
        return f"Not determined yet: likeliest so far: {text}"
    return text


def _evidence(evidence: Evidence, symptoms: Symptoms, diagnosis: Diagnosis) -> Iterator[str]:
    lines = evidence_lines(evidence, symptoms, diagnosis, _MOST_EVIDENCE)
    yield from lines
    missing = _not_available(diagnosis.gaps)
    if missing:
        yield missing
    if cut := _incomplete(evidence):
        yield cut
    if missing:
        return
    if not lines:
        yield "Nothing unusual was found in what the sources answered"


def _not_available(gaps: Sequence[Gap]) -> str:
    """`Not available: logs (loki: connection refused), traces and feature flags (no source is configured)`."""
    ordered = sorted(gaps, key=_reason)
    parts = [
        f"{listed([kind_name(gap.kind) for gap in group])} ({reason})"
        for reason, group in groupby(ordered, key=_reason)
    ]
    return f"Not available: {', '.join(parts)}" if parts else ""


def _incomplete(evidence: Evidence) -> str:
    """`Incomplete: logs (datadog: more than the 1000 that were read)`."""
    kinds = ((kind, getattr(evidence, kind.value).cut) for kind in EvidenceKind)
    parts = [f"{kind_name(kind.value)} ({'; '.join(told)})" for kind, told in kinds if told]
    return f"Incomplete: {', '.join(parts)}" if parts else ""


def _reason(gap: Gap) -> str:
    reason = _FILE_NAME.sub("", gap.reason)
    return reason if gap.source in {gap.kind, "folder"} else f"{gap.source}: {reason}"


def _actions(actions: Sequence[RemediationAction], diagnosis: Diagnosis) -> Iterator[dict[str, str]]:
    """The first that is not talk is recommended, if its cause is likely enough; at most six, people told last."""
    primary = diagnosis.primary
    recommends = primary is not None and primary.confidence >= WORTH_RECOMMENDING
    talk = [action for action in actions if action.type is ActionType.COMMUNICATE]
    deeds = [action for action in actions if action.type is not ActionType.COMMUNICATE]
    for index, action in enumerate(deeds[: max(_MOST_ACTIONS - len(talk), 1)]):
        beside = "🔧 Alternative:" if recommends else _POSSIBLE
        proposed = "⚡ **Recommended**:" if index == 0 and recommends else beside
        mark = _DECIDED.get(action.state, proposed)
        missing = f" (to be found out: {markdown(action.missing, 120)})" if action.missing else ""
        yield {"mark": mark, "title": _title(action) + missing}
    if not deeds and primary is not None and primary.suggested_actions:
        yield {"mark": _POSSIBLE, "title": markdown(primary.suggested_actions[0], _TITLE_LIMIT)}
    for action in talk:
        yield {"mark": "📞", "title": _title(action)}
    if not actions:
        yield {"mark": "📞", "title": "Ask the on-call engineer to look"}


def _title(action: RemediationAction) -> str:
    return markdown(action.title, _TITLE_LIMIT) or action.type.value.replace("_", " ").capitalize()


def _told(
    incident: Incident, evidence: Evidence, diagnosis: Diagnosis, timeline: Timeline
) -> tuple[TimelineEntry, ...]:
    """The entries that matter now: of the changes, only the one that is blamed; the ends of a long list."""
    own = frozenset(incident.services)
    blamed = {diagnosis.root_cause_deployment} | {h.caused_by.id for h in diagnosis.hypotheses[:1]}
    texts = {deployment_text(d, own) for d in evidence.deployments.rows if d.id in blamed}
    flags = [f"Feature flag {name} " for name in blamed if name]
    entries = tuple(
        entry
        for entry in timeline.entries
        if entry.kind not in _SAID
        and (entry.kind != "deployment" or entry.text in texts)
        and (entry.kind != "flag_change" or any(entry.text.startswith(flag) for flag in flags))
    )
    half = _MOST_ENTRIES // 2
    return entries if len(entries) <= _MOST_ENTRIES else entries[:half] + entries[-half:]
