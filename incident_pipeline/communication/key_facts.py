"""The few facts that make a tired reader believe, or doubt, that a release is to blame.

Belongs here: sentences computed from stored rows, each only where its rows are there.
Does not belong here: finding the cause; these facts illustrate what the diagnosis already blames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath

from incident_pipeline.documents.wording import elapsed
from incident_pipeline.models import CodeChange, Deployment, Diagnosis, Evidence, Symptoms
from incident_pipeline.remediation.change_actions import commit_with, deployment_of, deployment_with

_INFRASTRUCTURE = re.compile(
    r"cpu|mem(ory)?(_|\b)|disk|node|network|filesystem|connections|load_?avg|iops", re.IGNORECASE
)
_ERRORS = re.compile(r"error|5xx|fail|exception", re.IGNORECASE)
_BAD_LEVELS = {"error", "fatal", "critical"}
_MOST = 0.5
"""From this share of the error lines on, errors are concentrated."""
_RESTATES = re.compile(r"\d (second|minute|hour|day)s? (before|after)\b|stack trace", re.IGNORECASE)
_NEEDS_AN_EXAMPLE = re.compile(r"[\d,]+ lines? like this|First occurrence", re.IGNORECASE)
"""What is not understood without the log line that it speaks of."""


def evidence_lines(evidence: Evidence, symptoms: Symptoms, diagnosis: Diagnosis, most: int) -> list[str]:
    """At most so many sentences: the key facts first, then what the diagnosis quotes beyond them."""
    primary = diagnosis.primary
    if primary is None:
        return []
    facts = list(_facts(evidence, symptoms, diagnosis))
    quoted = [line for line in primary.evidence if line.strip() and line not in facts]
    if facts:
        quoted = [line for line in quoted if not _RESTATES.search(line)]
    chosen = [*facts, *quoted][:most]
    if not any(line.startswith("Example") for line in chosen):
        quoted = [line for line in quoted if not _NEEDS_AN_EXAMPLE.match(line)]
    return [*facts, *quoted][:most]


def _facts(evidence: Evidence, symptoms: Symptoms, diagnosis: Diagnosis) -> Iterator[str]:
    deployment = blamed_deployment(evidence, diagnosis)
    onset = symptoms.onset or diagnosis.onset
    if deployment is None or deployment.at is None or onset is None or deployment.at > onset:
        return
    what = "Error spike" if _errors_rose(symptoms, onset) else "The first symptoms"
    yield f"{what} began {elapsed(deployment.at, onset)} after deployment"
    commit = commit_with(evidence, deployment.commit_sha)
    place = _where_errors_are(evidence, commit, deployment, onset) if commit else ""
    if place:
        yield f"Errors concentrated in new {place} code"
    if _infrastructure_is_calm(evidence, symptoms):
        yield "No infrastructure anomalies detected"


def blamed_deployment(evidence: Evidence, diagnosis: Diagnosis) -> Deployment | None:
    """The deployment that the likeliest hypothesis blames, or that released the commit it blames."""
    primary = diagnosis.primary
    if primary is None or primary.caused_by.kind not in {"deployment", "change"}:
        return None
    if primary.caused_by.kind == "change":
        return deployment_of(evidence, primary.caused_by.id)
    return deployment_with(evidence, primary.caused_by.id, primary.service)


def _errors_rose(symptoms: Symptoms, onset: datetime) -> bool:
    near = [a for a in symptoms.anomalies if abs((a.onset - onset).total_seconds()) <= 180]
    return any(_ERRORS.search(a.series) and a.after > a.before for a in near)


def _where_errors_are(evidence: Evidence, commit: CodeChange, deployment: Deployment, onset: datetime) -> str:
    """`payment validation`: the file of the commit that most of the service's error lines since the onset name."""
    lines = [
        entry.message
        for entry in evidence.logs.rows
        if entry.timestamp >= onset
        and entry.service == deployment.service
        and (entry.level or "").lower() in _BAD_LEVELS
    ]
    for name in commit.files:
        path = PurePosixPath(name)
        if lines and sum(path.name in line for line in lines) >= _MOST * len(lines):
            return " ".join(re.sub(r"[_\-]+", " ", part) for part in (path.parent.name, path.stem)).strip()
    return ""


def _infrastructure_is_calm(evidence: Evidence, symptoms: Symptoms) -> bool:
    """Whether processor, memory, disk, network or connections were measured and none of them left its normal range."""
    measured = any(_INFRASTRUCTURE.search(series.name) for series in evidence.metrics.rows)
    return measured and not any(_INFRASTRUCTURE.search(anomaly.series) for anomaly in symptoms.anomalies)
