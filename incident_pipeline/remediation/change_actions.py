"""Actions that take a change back or correct it, and how the change is found in the evidence.

Belongs here: rollback, hot-fix, revert, flag. Does not belong here: when each is the right answer (`proposals.py`).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from incident_pipeline.documents.wording import count
from incident_pipeline.models import (
    ActionType,
    CodeChange,
    Deployment,
    Evidence,
    FlagChange,
    Hypothesis,
    RemediationAction,
    Risk,
)
from incident_pipeline.remediation import commands
from incident_pipeline.remediation.resolving import wanted

_ERRORS_GONE = "The error rate is back at its level from before the onset within 10 minutes."
_NORMAL_AGAIN = "The symptom that moved first is back in its normal range within 10 minutes."
_SHORT_SHA = 10
_FAILED = re.compile(r"fail|error|cancel|abort|roll", re.IGNORECASE)


def rollback(
    hypothesis: Hypothesis, deployment: Deployment | None, evidence: Evidence, own: frozenset[str]
) -> RemediationAction:
    """Back to the version before; without its record it says what is missing."""
    service = (deployment.service if deployment else None) or hypothesis.service
    previous = previous_version(deployment, evidence) if deployment else None
    command = commands.undo_rollout(service) if service else None
    what = f"Rollback {service}" if service and own and service not in own else "Rollback"
    missing = [] if previous else ["the previous version is not on record"]
    if command is None:
        missing.append("the workload's name is not known")
    return RemediationAction(
        action_id="",
        type=ActionType.ROLLBACK,
        title=f"{what} to previous version ({previous})" if previous else f"{what} to previous version",
        why=hypothesis.description,
        target=service,
        command=command,
        risk=Risk.LOW if previous else Risk.MEDIUM,
        expected_effect=f"{service or 'The service'} runs {previous or 'the version before'} again; errors stop.",
        verification=_ERRORS_GONE,
        undo=f"Deploy {deployment.version or deployment.id} again."
        if deployment
        else "Deploy the newer version again.",
        missing="; ".join(missing),
        evidence=hypothesis.evidence,
        call=wanted(
            ActionType.ROLLBACK,
            version=previous,
            current_version=deployment.version if deployment else None,
            application=deployment.attributes.get("application") if deployment else None,
        ),
    )


def hot_fix(hypothesis: Hypothesis, commit: CodeChange) -> RemediationAction:
    """A corrected release of what a commit touched."""
    area = _area(commit)
    return RemediationAction(
        action_id="",
        type=ActionType.ROLL_FORWARD,
        title=f"Hot-fix {area} logic" if area else f"Hot-fix commit {commit.sha[:_SHORT_SHA]}",
        why=f"Commit {commit.sha[:_SHORT_SHA]} changed {_files(commit)}.",
        target=hypothesis.service or commit.service,
        risk=Risk.MEDIUM,
        expected_effect="A corrected release replaces the faulty one.",
        verification=_ERRORS_GONE,
        undo="Roll back the corrected release.",
    )


def revert_release(hypothesis: Hypothesis, sha: str) -> RemediationAction:
    """Take a commit back where no deployment of it is on record."""
    command = commands.revert_commit(sha)
    return RemediationAction(
        action_id="",
        type=ActionType.ROLL_FORWARD,
        title=f"Revert commit {sha[:_SHORT_SHA]} and release",
        why=hypothesis.description,
        target=hypothesis.service,
        command=command,
        risk=Risk.MEDIUM,
        expected_effect="A release without the commit replaces the faulty one.",
        verification=_ERRORS_GONE,
        undo="Revert the revert and release.",
        missing="" if command else "the commit's hash is not valid",
        evidence=hypothesis.evidence,
        call=wanted(ActionType.ROLL_FORWARD, version=sha),
    )


def config_revert(hypothesis: Hypothesis) -> RemediationAction:
    """Take a configuration change back."""
    sha = hypothesis.caused_by.id if hypothesis.caused_by.kind == "change" else None
    command = commands.revert_commit(sha) if sha else None
    return RemediationAction(
        action_id="",
        type=ActionType.CONFIG_REVERT,
        title=f"Revert configuration change ({sha[:_SHORT_SHA]})"
        if sha
        else "Revert configuration to its last good state",
        why=hypothesis.description,
        target=hypothesis.service,
        command=command,
        risk=Risk.MEDIUM,
        expected_effect="The configuration from before the onset is in force again.",
        verification=_NORMAL_AGAIN,
        undo="Revert the revert.",
        missing="" if command else "which change to revert is not known",
        evidence=hypothesis.evidence,
        call=wanted(ActionType.CONFIG_REVERT, version=sha),
    )


def config_revert_unknown(hypothesis: Hypothesis, _evidence: Evidence) -> RemediationAction:
    """Take a configuration change back that no source has named yet."""
    return config_revert(hypothesis)


def disable_flag(hypothesis: Hypothesis, flag: FlagChange | None) -> RemediationAction:
    """Turn a feature flag back."""
    name = flag.name if flag else hypothesis.caused_by.id or ""
    before = flag.previous_value if flag else None
    after = flag.value if flag else None
    return RemediationAction(
        action_id="",
        type=ActionType.DISABLE_FLAG,
        title=f"Turn feature flag {name} back to {before}" if before is not None else f"Turn feature flag {name} off",
        why=hypothesis.description,
        target=hypothesis.service or (flag.service if flag else None),
        risk=Risk.LOW,
        expected_effect=f"The behaviour from before {name} was turned.",
        verification=_NORMAL_AGAIN,
        undo=f"Turn {name} to {after} again." if after is not None else f"Turn {name} on again.",
        missing="" if name else "which flag was turned is not known",
        evidence=hypothesis.evidence,
        call=wanted(ActionType.DISABLE_FLAG, flag=name, state=_on_or_off(before)),
    )


def _on_or_off(value: str | None) -> str | None:
    """The state to turn a flag to: what it was; off where that is not known; None where it was neither on nor off."""
    if value is None:
        return "off"
    return {"on": "on", "true": "on", "off": "off", "false": "off"}.get(value.lower())


def previous_version(deployment: Deployment, evidence: Evidence) -> str | None:
    """The version before a deployment: from its own record, else from the last good one of its service before it."""
    if deployment.previous_version or deployment.at is None:
        return deployment.previous_version
    before = [
        (other.at, other.version)
        for other in evidence.deployments.rows
        if other.at is not None
        and other.at < deployment.at
        and other.version
        and other.version != deployment.version
        and (other.service, other.environment) == (deployment.service, deployment.environment)
        and not _FAILED.search(other.status or "")
    ]
    return max(before)[1] if before and deployment.service else None


def deployment_with(evidence: Evidence, deployment_id: str | None, service: str | None) -> Deployment | None:
    """The deployment of that id, of that service where several share the id."""
    found = [d for d in evidence.deployments.rows if d.id == deployment_id]
    return next((d for d in found if d.service == service), found[0] if found else None)


def deployment_of(evidence: Evidence, sha: str | None) -> Deployment | None:
    """The deployment that released a commit."""
    return next((d for d in evidence.deployments.rows if _same_commit(d.commit_sha, sha)), None)


def commit_with(evidence: Evidence, sha: str | None) -> CodeChange | None:
    """The commit of that hash."""
    return next((c for c in evidence.code_changes.rows if _same_commit(c.sha, sha)), None)


def flag_named(evidence: Evidence, name: str | None) -> FlagChange | None:
    """The last known turn of a flag."""
    turns = [flag for flag in evidence.flag_changes.rows if flag.name == name]
    return max(turns, key=lambda flag: flag.changed_at.timestamp() if flag.changed_at else 0.0, default=None)


def _same_commit(one: str | None, other: str | None) -> bool:
    """Whether two hashes name one commit; either may be shortened, to seven digits or more."""
    if not one or not other:
        return False
    return one == other or (min(len(one), len(other)) >= 7 and (one.startswith(other) or other.startswith(one)))


def _area(commit: CodeChange) -> str:
    """What a commit is about, from the first source file that it touched: `payments/validation.py` is `validation`."""
    for name in commit.files:
        path = PurePosixPath(name)
        if path.suffix not in {".md", ".txt", ".lock"} and not any("test" in part.lower() for part in path.parts):
            return re.sub(r"[_\-]+", " ", path.stem).strip()
    return ""


def _files(commit: CodeChange) -> str:
    more = len(commit.files) - 2
    shown = ", ".join(commit.files[:2]) or "files that are not on record"
    return shown + (f" and {count(more, 'more file')}" if more > 0 else "")
