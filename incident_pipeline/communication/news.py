"""What has changed of an incident that people should hear of.

Belongs here: which facts matter, and how a change of each reads; pure. Does not belong here: to whom, and how.

A run that comes to the same result is no news. News is a changed status, severity or likeliest cause, a confidence that
moved by ten points, and an action that somebody decided on or that was carried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import Field

from incident_pipeline.documents.wording import percent
from incident_pipeline.models import ActionState, Diagnosis, Incident, Model, Remediation

MOVED = 0.1
"""From this change of confidence on, people are told."""
_ROUNDING = 1e-9
TOLD_STATES: Mapping[str, str] = {
    ActionState.APPROVED: "approved",
    ActionState.REJECTED: "rejected",
    ActionState.EXPIRED: "no longer approved: the approval has expired",
    ActionState.EXECUTING: "being carried out",
    ActionState.DONE: "done",
    ActionState.FAILED: "failed",
    ActionState.UNKNOWN: "in an unknown state: nobody knows whether it was carried out, look at the target",
    ActionState.UNDONE: "undone",
}
"""States of an action that people hear of, and how they read."""


class Facts(Model):
    """What matters of an incident."""

    status: str
    severity: str
    cause: str = ""
    """What is blamed, so that another wording of the same cause is the same."""
    description: str = ""
    confidence: float | None = None
    actions: dict[str, str] = Field(default_factory=dict)
    """Action -> state, of those that are no longer mere proposals."""


class News(NamedTuple):
    """One thing that changed."""

    kind: str
    """new, status, severity, cause, confidence or action."""
    text: str
    about: str = ""
    """Of an action: which."""


def facts_of(incident: Incident, diagnosis: Diagnosis | None, remediation: Remediation | None) -> Facts:
    """What matters of an incident as it is now."""
    primary = diagnosis.primary if diagnosis else None
    cause = ""
    if primary is not None:
        blamed = primary.caused_by
        # without anything that is blamed, the mechanism is what makes one cause another
        parts = (primary.category.value, primary.service, blamed.kind, blamed.id or primary.mechanism)
        cause = " ".join(part or "-" for part in parts)
    actions = remediation.actions if remediation else ()
    return Facts(
        status=incident.status.value,
        severity=incident.severity.value,
        cause=cause,
        description=primary.description if primary else "",
        confidence=primary.confidence if primary else None,
        actions={action.action_id: action.state.value for action in actions if action.state in TOLD_STATES},
    )


def news(before: Facts | None, now: Facts, titles: Mapping[str, str]) -> list[News]:
    """What changed; empty where nothing that matters did.

    Args:
        before: what was told last; None: nothing.
        now: how it is.
        titles: action -> what people call it.
    """
    if before is None:
        return [News("new", "first update")]
    return list(_changes(before, now, titles))


def _changes(before: Facts, now: Facts, titles: Mapping[str, str]) -> Iterator[News]:
    if before.status != now.status:
        yield News("status", f"status is now {now.status}, was {before.status}")
    if before.severity != now.severity:
        yield News("severity", f"severity is now {now.severity}, was {before.severity}")
    if before.cause != now.cause:
        yield News("cause", f"likeliest cause is now: {now.description or 'not determined'}")
    elif _moved(before.confidence, now.confidence):
        yield News("confidence", f"confidence is now {_said(now.confidence)}, was {_said(before.confidence)}")
    for action, state in now.actions.items():
        if before.actions.get(action) != state:
            yield News("action", f"{titles.get(action, action)}: {TOLD_STATES[state]}", action)


def _moved(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(now - before) >= MOVED - _ROUNDING


def _said(confidence: float | None) -> str:
    return "not determined" if confidence is None else percent(confidence)
