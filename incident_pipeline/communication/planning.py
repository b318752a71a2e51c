"""The communication plan and the public draft of an incident under one configuration.

Belongs here: what of the application they are made from. Does not belong here: their content (`plan.py`,
`status_page.py`).
"""

from __future__ import annotations

from datetime import datetime

from incident_pipeline.application import Application
from incident_pipeline.communication.audience import anybody_told
from incident_pipeline.communication.notices import concerned
from incident_pipeline.communication.plan import communication_plan
from incident_pipeline.communication.status_page import STATUS_PAGE, PageDraft, publication, status_page_draft
from incident_pipeline.models import ActionType, Diagnosis, Incident, Remediation, RemediationAction, Risk


def with_communication_plan(
    application: Application, incident: Incident, diagnosis: Diagnosis, plan: Remediation, now: datetime
) -> Remediation:
    """The plan with who is told what, and when they next hear.

    Raises:
        ConfigurationError: the user's template of the status page is wrong.
    """
    settings = application.scenario.remediation
    if not anybody_told(settings):
        return plan
    told_at = application.inbox.told(incident.incident_id).at or now
    draft = page_draft(application, incident, diagnosis)
    lacking = "" if _has_page(application) else "connections.statuspage needs a token and options.page"
    heard = bool(concerned(settings.communication, incident))
    return plan.model_copy(
        update={
            "communication_plan": communication_plan(incident, settings, draft, told_at),
            "actions": tuple(_exact(action, incident, draft, lacking, heard) for action in plan.actions),
        }
    )


def _exact(
    action: RemediationAction, incident: Incident, draft: PageDraft | None, lacking: str, heard: bool
) -> RemediationAction:
    """What is said to the public, word by word, waits for a person; configured stakeholders are told by themselves."""
    if action.type is ActionType.COMMUNICATE and action.target == STATUS_PAGE and draft is not None:
        return publication(action, incident.incident_id, draft, lacking)
    if action.type is ActionType.COMMUNICATE and action.target == "stakeholders" and heard:
        effect = "Those in remediation.communication.stakeholders whom it concerns are told by themselves."
        return action.model_copy(update={"requires_approval": False, "risk": Risk.NONE, "expected_effect": effect})
    return action


def _has_page(application: Application) -> bool:
    connection = application.scenario.connections.get("statuspage")
    return connection is not None and connection.token is not None and bool(connection.options.get("page"))


def page_draft(application: Application, incident: Incident, diagnosis: Diagnosis | None) -> PageDraft | None:
    """What the public page would say; None where there is no page.

    Raises:
        ConfigurationError: the user's template is wrong.
    """
    settings = application.scenario.remediation.communication
    if not settings.status_page:
        return None
    reached = diagnosis.blast_radius if diagnosis else ()
    return status_page_draft(incident, reached, settings, application.templates)
