"""The notice for people outside engineering: what is affected, since when, what happens next, in plain words.

Belongs here: choosing what is said. Hosts, versions, log lines and probabilities stay inside.
Does not belong here: the form (the template), and sending it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from incident_pipeline.documents.escape import markdown
from incident_pipeline.documents.render import render
from incident_pipeline.documents.summary import began_at
from incident_pipeline.documents.wording import clock, elapsed, listed
from incident_pipeline.models import Diagnosis, Incident, IncidentStatus, Symptoms

TEMPLATE = "stakeholder_notice.md.j2"
_WHAT_NEXT = {
    IncidentStatus.INVESTIGATING: "We are looking for the cause.",
    IncidentStatus.IDENTIFIED: "We know the likely cause and are preparing a remedy.",
    IncidentStatus.MITIGATING: "A remedy is being applied.",
    IncidentStatus.MONITORING: "A remedy was applied; we are watching whether it holds.",
    IncidentStatus.RESOLVED: "It is over. A written review follows.",
    IncidentStatus.CLOSED: "It is over.",
    IncidentStatus.MERGED: "It is handled together with another incident.",
}


def stakeholder_notice(
    incident: Incident, symptoms: Symptoms, diagnosis: Diagnosis, *, as_of: datetime, templates: Path | None
) -> str:
    """Write the notice as Markdown.

    Args:
        incident: what it is called, how severe it is, where it stands.
        symptoms: since when, and what is affected.
        diagnosis: read for the onset alone.
        as_of: the time for which the notice is true.
        templates: the user's folder of templates.

    Raises:
        ConfigurationError: the user's template is wrong.
    """
    since = began_at(incident, symptoms, diagnosis)
    affected = dict.fromkeys([*incident.services, *symptoms.blast_radius])
    lasted = elapsed(since, incident.resolved_at or as_of)
    context = {
        "title": markdown(incident.title, 150) or "Incident",
        "what": "Some requests are failing or slow." if incident.resolved_at is None else f"It lasted {lasted}.",
        "since": f"{clock(since, as_of)} UTC ({lasted})",
        "status": incident.status.value.capitalize(),
        "severity": incident.severity.value,
        "affected": listed([markdown(name, 60) for name in affected][:6]) or "not known yet",
        "next": _WHAT_NEXT[incident.status],
    }
    return render(TEMPLATE, context, templates)
