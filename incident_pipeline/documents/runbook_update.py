"""What an incident adds to the runbook of its failure mode, for a person to accept.

Belongs here: the proposal. Does not belong here: publishing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from incident_pipeline.diagnosis.sentences import number
from incident_pipeline.documents.edits import difference
from incident_pipeline.documents.escape import clean, code, fenced, markdown
from incident_pipeline.documents.render import render
from incident_pipeline.documents.summary import began_at
from incident_pipeline.models import (
    ActionState,
    ActionType,
    Diagnosis,
    Incident,
    Remediation,
    RemediationAction,
    RunbookUpdate,
    SuggestedRunbook,
    Symptoms,
)

TEMPLATE = "runbook_update.md.j2"
_NOT_A_STEP = {ActionType.COMMUNICATE, ActionType.RUNBOOK_STEP}


def propose_runbook_update(
    incident: Incident,
    symptoms: Symptoms,
    diagnosis: Diagnosis,
    remediation: Remediation,
    runbooks: Sequence[SuggestedRunbook],
    *,
    as_of: datetime,
    templates: Path | None,
    current: str | None = None,
) -> RunbookUpdate:
    """Propose an addition to the runbook that fitted best, or a new one where none did.

    Args:
        incident: named as the origin of the proposal.
        symptoms: how it showed.
        diagnosis: the cause.
        remediation: actions that were carried out come first; rejected and failed ones are left out.
        runbooks: what was suggested during the incident, best first.
        as_of: the time for which the proposal is true.
        templates: the user's folder of templates.
        current: the text of the runbook that fitted best; None: it is not known, or none fitted.

    Raises:
        ConfigurationError: the user's template is wrong.
    """
    primary = diagnosis.primary
    runbook = runbooks[0] if runbooks else None
    mode = (primary.mechanism or primary.category.value).replace("_", " ") if primary else "cause not determined"
    where = f" in {primary.service}" if primary and primary.service else ""
    title = f"{mode[:1].upper()}{mode[1:]}{where}"
    context = {
        "title": markdown(title, 150),
        "extends": markdown(f"{runbook.title} ({runbook.runbook_id})", 200) if runbook else "",
        "incident_id": markdown(incident.incident_id, 120),
        "date": f"{began_at(incident, symptoms, diagnosis):%Y-%m-%d}",
        "proposed_on": f"{as_of:%Y-%m-%d}",
        "signs": list(_signs(incident, symptoms)),
        "cause": markdown(primary.description, 400) if primary else "Not determined.",
        "steps": [_step(action) for action in _steps(remediation)],
        "worked": any(action.state is ActionState.DONE for action in remediation.actions),
        "disproved_by": markdown(primary.disproved_by if primary else "", 400) or "Not on record.",
    }
    text = render(TEMPLATE, context, templates)
    known = runbook.runbook_id if runbook else None
    if known is None or current is None:
        return RunbookUpdate(runbook_id=known, title=title, markdown=text)
    name = clean(known, 120)
    diff = difference(current, _with_addition(current, text), f"{name} (now)", f"{name} (proposed)")
    return RunbookUpdate(
        runbook_id=known, title=title, markdown=f"{text}\n## Proposed change\n\n{fenced(diff, 'diff')}\n", diff=diff
    )


def _with_addition(current: str, text: str) -> str:
    """The runbook with the addition at its end, every heading a level lower, so that the runbook keeps its title."""
    body, _, _ = text.partition("\n---\n")
    lowered = re.sub(r"^(#{1,5} )", r"#\1", body.strip(), flags=re.MULTILINE)
    return f"{current.rstrip()}\n\n{lowered}\n"


def _signs(incident: Incident, symptoms: Symptoms) -> Iterator[str]:
    yield f"Alert: {markdown(incident.title, 150)}"
    for anomaly in symptoms.anomalies[:3]:
        where = f" of {anomaly.service}" if anomaly.service else ""
        yield markdown(f"{anomaly.series}{where} moves from about {number(anomaly.before)} to {number(anomaly.after)}")
    for pattern in symptoms.log_patterns[:3]:
        yield f"Log line: {code(pattern.template, 200)}"


def _steps(remediation: Remediation) -> list[RemediationAction]:
    """What worked; where nothing was carried out, what was proposed and not rejected."""
    steps = [action for action in remediation.actions if action.type not in _NOT_A_STEP]
    done = [action for action in steps if action.state is ActionState.DONE]
    failed = {ActionState.REJECTED, ActionState.FAILED, ActionState.UNDONE}
    return done or [action for action in steps if action.state not in failed]


def _step(action: RemediationAction) -> dict[str, str]:
    return {
        "title": markdown(action.title, 150),
        "command": code(action.command or "", 400),
        "risk": action.risk.value,
        "verification": markdown(action.verification) or "not on record",
        "undo": markdown(action.undo) or "not on record",
    }
