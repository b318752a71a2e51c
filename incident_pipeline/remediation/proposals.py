"""Which actions answer which kind of cause.

Belongs here: one small function per kind of action. Does not belong here: order, ids, approval (`plan.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from incident_pipeline.config import Communication
from incident_pipeline.documents.wording import count
from incident_pipeline.models import (
    ActionType,
    Category,
    CodeChange,
    Deployment,
    Diagnosis,
    Evidence,
    FlagChange,
    Hypothesis,
    Incident,
    RemediationAction,
    Risk,
    SuggestedRunbook,
)
from incident_pipeline.remediation import commands

CHANGES_BACK = frozenset(
    {ActionType.ROLLBACK, ActionType.ROLL_FORWARD, ActionType.CONFIG_REVERT, ActionType.DISABLE_FLAG}
)
"""What only helps where a change is to blame."""
_CERTIFICATE = re.compile(r"certificate|\bcert\b|x509|\btls\b", re.IGNORECASE)
_LEAK = re.compile(r"leak|oom|out.of.memory|deadlock|stuck|hang|thread", re.IGNORECASE)


def proposals_for(hypothesis: Hypothesis, evidence: Evidence) -> Iterator[RemediationAction]:
    """The actions that answer one hypothesis, the best first."""
    blamed = hypothesis.caused_by
    if blamed.kind == "flag":
        yield disable_flag(hypothesis, _flag(evidence, blamed.id))
    elif blamed.kind == "deployment" or hypothesis.category is Category.DEPLOYMENT_ISSUE:
        deployment = _deployment(evidence, blamed.id, hypothesis.service)
        yield rollback(hypothesis, deployment)
        change = _change_of(evidence, deployment)
        if change is not None:
            yield hot_fix(hypothesis, change)
    elif blamed.kind == "change":
        yield from _answers_to_change(hypothesis, evidence)
    else:
        yield from _answers_to_state(hypothesis, evidence)


def _answers_to_change(hypothesis: Hypothesis, evidence: Evidence) -> Iterator[RemediationAction]:
    deployment = next((d for d in evidence.deployments.rows if _same_sha(d.commit_sha, hypothesis.caused_by.id)), None)
    if hypothesis.category is Category.CONFIGURATION_ERROR:
        yield config_revert(hypothesis)
    if deployment is not None:
        yield rollback(hypothesis, deployment)
    if hypothesis.category is not Category.CONFIGURATION_ERROR:
        change = next((c for c in evidence.code_changes.rows if c.sha == hypothesis.caused_by.id), None)
        if change is not None:
            yield hot_fix(hypothesis, change)


def _answers_to_state(hypothesis: Hypothesis, evidence: Evidence) -> Iterator[RemediationAction]:
    words = f"{hypothesis.mechanism or ''} {hypothesis.description}"
    if _CERTIFICATE.search(words):
        yield rotate_certificate(hypothesis)
    elif hypothesis.category is Category.CAPACITY_PROBLEM:
        yield restart(hypothesis) if _LEAK.search(words) else scale(hypothesis, evidence)
    elif hypothesis.category is Category.DEPENDENCY_FAILURE:
        yield from _answers_to_dependency(hypothesis, evidence)
    elif hypothesis.category is Category.CONFIGURATION_ERROR:
        yield config_revert(hypothesis)
    elif hypothesis.category is Category.EXTERNAL_FACTOR:
        yield escalate_upstream(hypothesis)
    elif hypothesis.service:
        yield restart(hypothesis)


def _answers_to_dependency(hypothesis: Hypothesis, evidence: Evidence) -> Iterator[RemediationAction]:
    ours = {deployment.service for deployment in evidence.deployments.rows} | {
        service.name for service in evidence.service_graph.rows if service.owner
    }
    if hypothesis.service in ours:
        yield restart(hypothesis)
    else:
        yield failover(hypothesis)
        yield escalate_upstream(hypothesis)


def rollback(hypothesis: Hypothesis, deployment: Deployment | None) -> RemediationAction:
    """Back to the version before; without its record it says what is missing."""
    service = (deployment.service if deployment else None) or hypothesis.service
    previous = deployment.previous_version if deployment else None
    command = commands.undo_rollout(service) if service else None
    missing = "" if previous else "the previous version is not on record"
    if not command:
        missing = _join(missing, "the service's workload name is not known")
    return RemediationAction(
        action_id="",
        type=ActionType.ROLLBACK,
        title=f"Rollback to previous version ({previous})" if previous else "Rollback to previous version",
        why=hypothesis.description,
        target=service,
        command=command,
        risk=Risk.LOW if previous else Risk.MEDIUM,
        expected_effect=f"{service or 'The service'} runs {previous or 'the version before'} again; errors stop.",
        verification="The error rate is back at its level from before the onset within 10 minutes.",
        undo=f"Deploy {deployment.version or deployment.id} again."
        if deployment
        else "Deploy the newer version again.",
        missing=missing,
    )


def hot_fix(hypothesis: Hypothesis, change: CodeChange) -> RemediationAction:
    """A corrected release of what a commit touched."""
    area = _area(change)
    return RemediationAction(
        action_id="",
        type=ActionType.ROLL_FORWARD,
        title=f"Hot-fix {area} logic" if area else f"Hot-fix commit {change.sha[:10]}",
        why=f"Commit {change.sha[:10]} changed {_files(change)}.",
        target=hypothesis.service or change.service,
        risk=Risk.MEDIUM,
        expected_effect="A corrected release replaces the faulty one.",
        verification="The error rate is back at its level from before the onset within 10 minutes.",
        undo="Roll back the corrected release.",
    )


def config_revert(hypothesis: Hypothesis) -> RemediationAction:
    """Take a configuration change back."""
    sha = hypothesis.caused_by.id if hypothesis.caused_by.kind == "change" else None
    command = commands.revert_commit(sha) if sha else None
    return RemediationAction(
        action_id="",
        type=ActionType.CONFIG_REVERT,
        title=f"Revert configuration change ({sha[:10]})" if sha else "Revert configuration to its last good state",
        why=hypothesis.description,
        target=hypothesis.service,
        command=command,
        risk=Risk.MEDIUM,
        expected_effect="The configuration from before the onset is in force again.",
        verification="The symptom that moved first is back in its normal range within 10 minutes.",
        undo="Revert the revert.",
        missing="" if command else "which change to revert is not known",
    )


def disable_flag(hypothesis: Hypothesis, flag: FlagChange | None) -> RemediationAction:
    """Turn a feature flag back."""
    name = flag.name if flag else hypothesis.caused_by.id or ""
    before = flag.previous_value if flag else None
    return RemediationAction(
        action_id="",
        type=ActionType.DISABLE_FLAG,
        title=f"Turn feature flag {name} back to {before}" if before is not None else f"Turn feature flag {name} off",
        why=hypothesis.description,
        target=hypothesis.service or (flag.service if flag else None),
        risk=Risk.LOW,
        expected_effect=f"The behaviour from before {name} was turned.",
        verification="The symptom that moved first is back in its normal range within 10 minutes.",
        undo=f"Turn {name} to {flag.value} again." if flag and flag.value is not None else f"Turn {name} on again.",
        missing="" if name else "which flag was turned is not known",
    )


def scale(hypothesis: Hypothesis, evidence: Evidence) -> RemediationAction:
    """More replicas, as many as are running and half again."""
    service = hypothesis.service
    running = _replicas(evidence, service)
    wanted = running + max(2, running // 2) if running else None
    command = commands.scale(service, wanted) if service and wanted else None
    detail = f" from {running} to {count(wanted, 'replica')}" if running and wanted else ""
    return RemediationAction(
        action_id="",
        type=ActionType.SCALE,
        title=f"Scale up {service or 'the affected service'}{detail}",
        why=hypothesis.description,
        target=service,
        command=command,
        risk=Risk.LOW,
        expected_effect="The load is shared by more replicas; saturation and latency fall.",
        verification="Latency and saturation are back in their normal range within 10 minutes.",
        undo=f"Scale back to {count(running, 'replica')}." if running else "Scale back to the number from before.",
        missing="" if command else "the number of replicas that run now is not known",
    )


def restart(hypothesis: Hypothesis) -> RemediationAction:
    """A rolling restart."""
    service = hypothesis.service
    command = commands.restart(service) if service else None
    return RemediationAction(
        action_id="",
        type=ActionType.RESTART,
        title=f"Restart {service or 'the affected service'}",
        why=hypothesis.description,
        target=service,
        command=command,
        risk=Risk.LOW,
        expected_effect="Stuck or leaked resources are freed; the cause itself remains.",
        verification="The symptom that moved first is back in its normal range within 10 minutes.",
        undo="None is needed: the same version runs again.",
        missing="" if command else "the service's workload name is not known",
    )


def rotate_certificate(hypothesis: Hypothesis) -> RemediationAction:
    """A new certificate."""
    return RemediationAction(
        action_id="",
        type=ActionType.ROTATE_CERT,
        title=f"Renew the TLS certificate of {hypothesis.service or 'the affected service'}",
        why=hypothesis.description,
        target=hypothesis.service,
        risk=Risk.MEDIUM,
        expected_effect="TLS handshakes succeed again.",
        verification="The new certificate's end date lies in the future; handshake errors stop.",
        undo="Install the former certificate again.",
    )


def failover(hypothesis: Hypothesis) -> RemediationAction:
    """Around a dependency that does not answer."""
    return RemediationAction(
        action_id="",
        type=ActionType.FAILOVER,
        title=f"Fail over from {hypothesis.service or 'the failing dependency'} to its alternative",
        why=hypothesis.description,
        target=hypothesis.service,
        risk=Risk.MEDIUM,
        expected_effect="Requests no longer wait for the failing dependency.",
        verification="Errors and latency of its callers are back in their normal range within 10 minutes.",
        undo="Fail back when the dependency answers again.",
        missing="whether an alternative exists is not on record",
    )


def escalate_upstream(hypothesis: Hypothesis) -> RemediationAction:
    """Tell those who run what fails."""
    return RemediationAction(
        action_id="",
        type=ActionType.ESCALATE_UPSTREAM,
        title=f"Escalate to the operator of {hypothesis.service or 'the failing dependency'}",
        why=hypothesis.description,
        target=hypothesis.service,
        risk=Risk.NONE,
        expected_effect="Those who can repair it know of it.",
        verification="The operator has confirmed the report.",
        undo="Withdraw the report.",
    )


def runbook_step(runbook: SuggestedRunbook) -> RemediationAction:
    """Follow what is written down."""
    return RemediationAction(
        action_id="",
        type=ActionType.RUNBOOK_STEP,
        title=f"Follow runbook: {runbook.title}",
        why=runbook.why,
        target=runbook.runbook_id,
        risk=Risk.LOW,
        expected_effect="The steps that helped before are taken in order.",
        verification="As the runbook says.",
        undo="As the runbook says.",
    )


def notifications(
    incident: Incident, evidence: Evidence, diagnosis: Diagnosis, settings: Communication
) -> Iterator[RemediationAction]:
    """Who should hear of it: the team that owns the likeliest origin, the status page, stakeholders."""
    services = [h.service for h in diagnosis.hypotheses[:1] if h.service] + list(incident.services)
    owners = {service.name: service.owner for service in evidence.service_graph.rows if service.owner}
    owner = next((owners[name] for name in services if name in owners), None)
    yield _told(f"Notify {_team(owner, services)}", owner)
    if settings.status_page:
        yield _told("Update status page", "status page")
    if settings.stakeholder_notify:
        yield _told("Notify stakeholders", "stakeholders")


def _told(title: str, target: str | None) -> RemediationAction:
    return RemediationAction(
        action_id="",
        type=ActionType.COMMUNICATE,
        title=title,
        target=target,
        risk=Risk.NONE,
        expected_effect="Those concerned know what is happening.",
        verification="The message has arrived.",
        undo="Send a correction.",
        requires_approval=False,
    )


def _team(owner: str | None, services: list[str]) -> str:
    name = owner.replace("-", " ").replace("_", " ") if owner else (services[0] if services else "")
    if not name:
        return "the on-call team"
    return name if name.lower().endswith("team") else f"{name} team"


def _deployment(evidence: Evidence, deployment_id: str | None, service: str | None) -> Deployment | None:
    rows = evidence.deployments.rows
    exact = [d for d in rows if d.id == deployment_id]
    return next((d for d in exact if d.service == service), exact[0] if exact else None)


def _flag(evidence: Evidence, name: str | None) -> FlagChange | None:
    return next((flag for flag in evidence.flag_changes.rows if flag.name == name), None)


def _change_of(evidence: Evidence, deployment: Deployment | None) -> CodeChange | None:
    if deployment is None:
        return None
    return next((c for c in evidence.code_changes.rows if _same_sha(c.sha, deployment.commit_sha)), None)


def _same_sha(one: str | None, other: str | None) -> bool:
    """Whether two hashes name one commit; either may be shortened, to seven digits or more."""
    if not one or not other:
        return False
    return one == other or (min(len(one), len(other)) >= 7 and (one.startswith(other) or other.startswith(one)))


def _area(change: CodeChange) -> str:
    """What a commit is about, from the first source file that it touched: `payments/validation.py` is `validation`."""
    for name in change.files:
        path = PurePosixPath(name)
        if path.suffix in {".md", ".txt", ".lock"} or any("test" in part.lower() for part in path.parts):
            continue
        return re.sub(r"[_\-]+", " ", path.stem)
    return ""


def _files(change: CodeChange) -> str:
    shown = ", ".join(change.files[:2])
    more = len(change.files) - 2
    return (shown or "nothing that is on record") + (f" and {count(more, 'more file')}" if more > 0 else "")


def _replicas(evidence: Evidence, service: str | None) -> int | None:
    """How many replicas ran last, where a series counts them."""
    for series in evidence.metrics.rows:
        if series.service == service and "replicas" in series.name.lower():
            known = [value for value in series.values if math.isfinite(value)]
            if known and known[-1] >= 1:
                return int(known[-1])
    return None


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
