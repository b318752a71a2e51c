"""What the public status page says: a draft, until a person approves it.

Belongs here: the draft, from closed lists and from names that somebody chose for the public; pure. Nothing that came
from an alert, a log line, a deployment or the diagnosis is part of it, so nothing internal can be.
Does not belong here: publishing it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from incident_pipeline.config import Communication
from incident_pipeline.documents.escape import clean
from incident_pipeline.documents.render import render
from incident_pipeline.documents.wording import listed
from incident_pipeline.models import ActionCall, Incident, IncidentStatus, Model, RemediationAction, Risk, Severity

TEMPLATE = "status_page.md.j2"
STATUS_PAGE = "status page"
"""The target of the action that publishes."""
UNNAMED = "one of our services"
_STATUS = {
    IncidentStatus.INVESTIGATING: ("investigating", "We are looking into it."),
    IncidentStatus.IDENTIFIED: ("identified", "We know the likely cause and are working on it."),
    IncidentStatus.MITIGATING: ("identified", "A remedy is being applied."),
    IncidentStatus.MONITORING: ("monitoring", "A remedy was applied, and we are watching it."),
    IncidentStatus.RESOLVED: ("resolved", "This incident is over."),
    IncidentStatus.CLOSED: ("resolved", "This incident is over."),
    IncidentStatus.MERGED: ("resolved", "It is handled together with another incident."),
}
_IMPACT = {Severity.P1: "critical", Severity.P2: "major", Severity.P3: "minor"}
_COMPONENT = {Severity.P1: "major_outage", Severity.P2: "partial_outage"}


class PageDraft(Model):
    """What would be published."""

    name: str
    body: str
    status: str
    impact: str
    components: dict[str, str] = Field(default_factory=dict)
    """Id on the page -> its status."""


def status_page_draft(
    incident: Incident, reached: Iterable[str], settings: Communication, templates: Path | None
) -> PageDraft:
    """Draft the public update.

    Args:
        incident: its services, severity, status and times are read, and no text of it.
        reached: further services that it has reached.
        settings: what the public calls a service, and which component it is.
        templates: the user's folder of templates.

    Raises:
        ConfigurationError: the user's template is wrong.
    """
    services = dict.fromkeys([*incident.services, *reached])
    names = [clean(settings.public_names[name], 80) for name in services if name in settings.public_names]
    affected = listed(names) or UNNAMED
    status, sentence = _STATUS[incident.status]
    over = status == "resolved"
    context = {
        "affected": affected[:1].upper() + affected[1:] if over else affected,
        "since": f"{incident.started_at:%Y-%m-%d %H:%M}",
        "status": sentence,
        "over": over,
    }
    state = "operational" if over else _COMPONENT.get(incident.severity, "degraded_performance")
    return PageDraft(
        name=f"Problem with {affected}",
        body=" ".join(render(TEMPLATE, context, templates).split()),
        status=status,
        impact=_IMPACT.get(incident.severity, "none"),
        components={settings.components[name]: state for name in services if name in settings.components},
    )


def publication(action: RemediationAction, incident_id: str, draft: PageDraft, lacking: str) -> RemediationAction:
    """The action that publishes a draft: what is approved is this text and no other.

    Args:
        action: the proposal to update the page.
        incident_id: names the incident on the page, in its metadata alone.
        draft: the text.
        lacking: what keeps it from being published, if anything does.
    """
    given = {
        "key": f"{incident_id}:status_page",
        "name": draft.name,
        "body": draft.body,
        "status": draft.status,
        "impact": draft.impact,
        "components": json.dumps(draft.components, sort_keys=True),
    }
    digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:6]
    return action.model_copy(
        update={
            "action_id": f"{action.type.value}-page-{digest}",
            "call": ActionCall(executor="status-page", operation="publish", parameters=given),
            "command": f"status page, {draft.status}: {draft.name}. {draft.body}",
            # medium always waits for a person, whatever a policy says
            "risk": Risk.MEDIUM,
            "risk_reasons": ("the public reads it, and what has been read cannot be taken back",),
            "requires_approval": True,
            "missing": lacking,
            "needs": (),
            "verification": "The status page shows this status.",
            "undo": "Nothing takes it back; a correction is another update.",
        }
    )
