"""Actions that touch no system: telling people, and following what is written down."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_pipeline.config import Communication
from incident_pipeline.models import (
    ActionType,
    Diagnosis,
    Evidence,
    Incident,
    RemediationAction,
    Risk,
    SuggestedRunbook,
)
from incident_pipeline.remediation.proposals import WORTH_RECOMMENDING


def notifications(
    incident: Incident, evidence: Evidence, diagnosis: Diagnosis, settings: Communication
) -> Iterator[RemediationAction]:
    """Who should hear of it: the team that owns the likeliest origin, the status page, stakeholders."""
    primary = diagnosis.primary
    known = primary is not None and primary.confidence >= WORTH_RECOMMENDING
    services = [primary.service] if primary and known and primary.service else []
    services += incident.services
    owners = {service.name: service.owner for service in evidence.service_graph.rows if service.owner}
    owner = next((owners[name] for name in services if name in owners), None)
    yield _told(f"Notify {_team(owner, services)}", owner)
    if settings.status_page:
        yield _told("Update status page", "status page", Risk.LOW)
    if settings.stakeholder_notify:
        yield _told("Notify stakeholders", "stakeholders", Risk.LOW)


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


def _told(title: str, target: str | None, risk: Risk = Risk.NONE) -> RemediationAction:
    """Tell somebody; who is not of the team cannot be untold, so that waits for a person."""
    return RemediationAction(
        action_id="",
        type=ActionType.COMMUNICATE,
        title=title,
        target=target,
        risk=risk,
        expected_effect="Those concerned know what is happening.",
        verification="The message has arrived.",
        undo="Send a correction.",
        requires_approval=False,
    )


def _team(owner: str | None, services: list[str]) -> str:
    """`payment team`, from an owner such as `payment-team` or `payment`, else from the service."""
    name = re.sub(r"[-_]team$", " team", owner.strip(), flags=re.IGNORECASE) if owner else next(iter(services), "")
    if not name:
        return "the on-call team"
    return name if "team" in name.lower() or "@" in name else f"{name} team"
