"""The communication plan and the public draft of an incident under one configuration.

Belongs here: what of the application they are made from. Does not belong here: their content (`plan.py`,
`status_page.py`).
"""

from __future__ import annotations

from datetime import datetime

from incident_pipeline.application import Application
from incident_pipeline.communication.audience import anybody_told
from incident_pipeline.communication.plan import communication_plan
from incident_pipeline.communication.status_page import PageDraft, status_page_draft
from incident_pipeline.models import Diagnosis, Incident, Remediation


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
    steps = communication_plan(incident, settings, page_draft(application, incident, diagnosis), told_at)
    return plan.model_copy(update={"communication_plan": steps})


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
