"""What is failing and since when, in one or two sentences that every document shares.

Belongs here: choosing the words. Does not belong here: escaping them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from incident_pipeline.documents.escape import clean
from incident_pipeline.documents.wording import clock, count, listed
from incident_pipeline.models import Alert, Diagnosis, Incident, Symptoms

_SERVICES_NAMED = 4


def began_at(incident: Incident, symptoms: Symptoms, diagnosis: Diagnosis) -> datetime:
    """When the problem began: its onset where the evidence shows one before the first alert, else the first alert."""
    onset = symptoms.onset or diagnosis.onset
    return min(onset, incident.started_at) if onset else incident.started_at


def summary_text(incident: Incident, since: datetime, as_of: datetime) -> str:
    """What is failing, in the words of the alert that says most, and since when; not escaped."""
    telling = sorted((a for a in incident.alerts if a.summary.strip()), key=lambda a: (a.severity, a.started_at))
    text = clean(telling[0].summary if telling else incident.title, 280).rstrip(". ") or "No description"
    if not re.search(r"\bsince\b", text, re.IGNORECASE):
        text += f" since {clock(since, as_of)} UTC"
    return f"{text}.{_more_alerts(incident.alerts)}"


def _more_alerts(alerts: Sequence[Alert]) -> str:
    different = {(alert.source, alert.dedup_key or alert.source_id) for alert in alerts}
    if len(different) < 2:
        return ""
    services = sorted({clean(alert.service, 60) for alert in alerts if alert.service})
    named, rest = services[:_SERVICES_NAMED], len(services) - _SERVICES_NAMED
    if rest > 0:
        named.append(count(rest, "more service"))
    return f" {len(different):,} alerts{f' in {listed(named)}' if named else ''}."
