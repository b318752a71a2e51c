"""What an incident teaches, read from what is stored and from nothing else.

Belongs here: one sentence for each thing that the record shows. Does not belong here: opinions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from incident_pipeline.documents.wording import humanise, kind_name, listed
from incident_pipeline.models import ActionState, Category, Diagnosis, Incident, Remediation

_PAST = 3


class Before(NamedTuple):
    """An incident of the past that looked like this one."""

    incident_id: str
    title: str
    fixed_by: str | None = None
    open_items: tuple[str, ...] = ()
    """Titles of its action items that nobody has said to be done."""


def lessons_learned(
    incident: Incident,
    diagnosis: Diagnosis,
    remediation: Remediation,
    time_to_detect: timedelta | None,
    before: Sequence[Before] = (),
) -> tuple[str, ...]:
    """The lessons, most useful first.

    Args:
        incident: which services its alerts named.
        diagnosis: the cause, and what was missing.
        remediation: the actions in the states that they came to.
        time_to_detect: from the onset to the first alert.
        before: similar incidents of the past, the most similar first.
    """
    return (
        *_of_history(before),
        *_of_cause(diagnosis),
        *_of_detection(time_to_detect),
        *_of_reach(incident, diagnosis),
        *_of_actions(remediation),
        *_of_gaps(diagnosis),
    )


def _of_history(before: Sequence[Before]) -> Iterator[str]:
    """That it happened before, and what was meant to be done about it and was not."""
    if before:
        named = listed([f"{past.incident_id} ({past.title})" for past in before[:_PAST]])
        yield f"It has happened before: {named}."
    for past in before[:_PAST]:
        if past.open_items:
            yield f"Still open since {past.incident_id}: {'; '.join(past.open_items)}."
        if past.fixed_by:
            yield f"What ended {past.incident_id}: {past.fixed_by}."


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
