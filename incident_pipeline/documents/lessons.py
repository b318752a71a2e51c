"""What an incident teaches, read from what is stored and from nothing else.

Belongs here: one sentence for each thing that the record shows. Does not belong here: opinions.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from incident_pipeline.documents.wording import humanise, kind_name, listed
from incident_pipeline.models import ActionState, Category, Diagnosis, Incident, Remediation


def lessons_learned(
    incident: Incident, diagnosis: Diagnosis, remediation: Remediation, time_to_detect: timedelta | None
) -> tuple[str, ...]:
    """The lessons, most useful first."""
    return (
        *_of_cause(diagnosis),
        *_of_detection(time_to_detect),
        *_of_reach(incident, diagnosis),
        *_of_actions(remediation),
        *_of_gaps(diagnosis),
    )


def _of_cause(diagnosis: Diagnosis) -> Iterator[str]:
    primary = diagnosis.primary
    if primary is None:
        yield "The stored evidence was not enough to determine the cause."
    elif primary.category is Category.DEPLOYMENT_ISSUE:
        yield f"A release reached its users with the fault in it: {primary.description}."
    elif diagnosis.root_cause_change == "none":
        yield f"No change was to blame: {primary.description}."


def _of_detection(time_to_detect: timedelta | None) -> Iterator[str]:
    if time_to_detect is not None and time_to_detect >= timedelta(minutes=1):
        yield f"The first alert came {humanise(time_to_detect)} after the onset."


def _of_reach(incident: Incident, diagnosis: Diagnosis) -> Iterator[str]:
    origin = diagnosis.first_failing_service
    others = [name for name in diagnosis.blast_radius if name != origin]
    if origin and others:
        yield f"A failure that started in {origin} reached {listed(others[:6])}."
    if origin and incident.services and origin not in incident.services:
        yield f"The alerts named {listed(incident.services)}; the failure started in {origin}."


def _of_actions(remediation: Remediation) -> Iterator[str]:
    for state, words in (
        (ActionState.DONE, "Carried out"),
        (ActionState.FAILED, "Tried, and failed"),
        (ActionState.REJECTED, "Proposed, and rejected by a person"),
    ):
        titles = [action.title for action in remediation.actions if action.state is state]
        if titles:
            yield f"{words}: {'; '.join(titles)}."


def _of_gaps(diagnosis: Diagnosis) -> Iterator[str]:
    asked = [gap for gap in diagnosis.gaps if gap.reason != "no source is configured"]
    if asked:
        yield f"The diagnosis had to do without {listed([kind_name(gap.kind) for gap in asked])}."
